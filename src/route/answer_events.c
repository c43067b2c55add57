#include "route/answer_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"

#define MAX_CONTENT_BYTES ((size_t)1 << 20)

static void send(struct answer_events *e, const struct event *event) {
    if (e->listening) e->listening = e->sink.take(e->sink.context, event);
}

/* A piece with the tokens that end in it. What the reader holds back keeps its tokens: then there
 * is no piece to send them with. */
static void send_text(struct answer_events *e, enum event_kind kind, const char *text, size_t n) {
    struct event event = {.kind = kind, .choice = e->choice};
    event.text.data = text;
    event.text.length = n;
    if (e->held.items)
        event.text.n_logprobs = held_tokens_take(
            &e->held, e->tokenizer, e->text_bytes - e->pending.length, &event.text.logprobs);
    if (event.text.length || event.text.n_logprobs) send(e, &event);
}

/* The first bytes of what is pending go out. */
static void give(struct answer_events *e, size_t n) {
    struct buf piece = e->pending;
    if (n == 0) return;
    e->n_content += n;
    if (e->keeps_content) buf_append(&e->content, piece.data, n);
    e->pending.length -= n; /* which is what send_text goes by */
    send_text(e, EVENT_TEXT, piece.data, n);
    memmove(piece.data, piece.data + n, e->pending.length);
}

/* The tokens of a tag, and of the white space beside it, belong to no piece. */
static void drop_tokens_before(struct answer_events *e, size_t n_text) {
    held_tokens_drop(&e->held, e->text_bytes - answer_reader_held(e->reader) - n_text);
}

static void take_text(struct answer_events *e, const char *text, size_t n) {
    if (e->reader && e->pending.length == 0) drop_tokens_before(e, n);
    if (!buf_append(&e->pending, text, n)) e->out_of_memory = true;
    text = buf_text(&e->pending);
    n = e->pending.length;
    if (e->echoes) {
        give(e, n);
        return;
    }
    size_t at = stop_texts_find(&e->stops, text, n, &e->stop);
    e->enough = at < n;
    give(e, e->enough ? at : n - stop_texts_held(&e->stops, text, n));
    if (e->enough) buf_clear(&e->pending);
}

static void send_call(struct answer_events *e, const struct answer_piece *piece) {
    struct event event = {.kind = EVENT_TOOL_CALL, .choice = e->choice};
    char id[32];
    if (e->one_call && piece->call > 0) {
        e->enough = true;
        return;
    }
    event.tool_call.index = piece->call;
    event.tool_call.arguments = piece->text;
    event.tool_call.length = piece->length;
    if (piece->call_name) {
        snprintf(id, sizeof id, "call_%016" PRIx64, rng_entropy());
        event.tool_call.id = id;
        event.tool_call.name = piece->call_name;
    }
    e->n_content += piece->length + 1;
    send(e, &event);
}

static void take_piece(void *context, const struct answer_piece *piece) {
    struct answer_events *e = context;
    if (e->enough) return;
    if (piece->kind == PIECE_TEXT) {
        take_text(e, piece->text, piece->length);
        return;
    }
    give(e, e->pending.length); /* no stop text goes on beyond a tag */
    if (piece->kind == PIECE_CALL)
        send_call(e, piece);
    else
        send_text(e, EVENT_REASONING, piece->text, piece->length);
}

hearth_status answer_events_init(struct answer_events *e, struct event_sink sink, uint32_t choice,
                                 const struct tokenizer *tokenizer,
                                 const struct answer_events_options *options, hearth_error *err) {
    *e = (struct answer_events){.sink = sink,
                                .choice = choice,
                                .tokenizer = tokenizer,
                                .one_call = options->one_call,
                                .keeps_content = options->keeps_content,
                                .stops = options->stops,
                                .stop = options->stops.count,
                                .listening = true};
    buf_init(&e->content, MAX_CONTENT_BYTES);
    buf_init(&e->pending, MAX_CONTENT_BYTES);
    if (options->form)
        RETURN_IF_ERROR(answer_reader_open(&e->reader, options->form, options->tools,
                                           options->inside_thinking, take_piece, e, err));
    if (options->n_logprobs < 0) return HEARTH_OK;
    return held_tokens_open(&e->held, (uint32_t)options->n_logprobs, err);
}

void answer_events_release(struct answer_events *e) {
    held_tokens_close(&e->held);
    answer_reader_close(e->reader);
    buf_release(&e->content);
    buf_release(&e->pending);
    e->reader = NULL;
}

bool answer_events_are_thinking(const struct answer_events *e) {
    return e->reader && answer_reader_is_thinking(e->reader);
}

void answer_events_token(struct answer_events *e, const struct sampler_result *token,
                         size_t text_bytes) {
    bool thinks = answer_events_are_thinking(e);
    if (thinks) e->n_reasoning++;
    if (!e->held.items || held_tokens_push(&e->held, token, text_bytes)) return;
    e->text_bytes = text_bytes; /* very many tokens without text */
    send_text(e, thinks ? EVENT_REASONING : EVENT_TEXT, "", 0);
    held_tokens_push(&e->held, token, text_bytes);
}

hearth_status answer_events_text(struct answer_events *e, const char *text, size_t n,
                                 hearth_error *err) {
    hearth_status status = HEARTH_OK;
    e->text_bytes += n;
    if (e->reader)
        status = answer_reader_push(e->reader, text, n, err);
    else if (!e->enough)
        take_text(e, text, n);
    if (status != HEARTH_OK || !e->out_of_memory) return status;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the text of an answer");
}

hearth_status answer_events_flush(struct answer_events *e, bool cut, hearth_error *err) {
    if (e->reader && cut) answer_reader_cut(e->reader);
    hearth_status status = e->reader ? answer_reader_finish(e->reader, err) : HEARTH_OK;
    give(e, e->pending.length);
    if (e->reader && answer_reader_calls(e->reader) == 0) drop_tokens_before(e, 0);
    if (e->held.items && e->stop == e->stops.count) send_text(e, EVENT_TEXT, "", 0);
    return status;
}

void answer_events_finish(struct answer_events *e, enum finish_reason reason) {
    struct event event = {.kind = EVENT_FINISHED, .choice = e->choice};
    event.finished.reason = reason;
    if (reason == FINISH_STOP && e->stop < e->stops.count) {
        event.finished.reason = FINISH_STOP_TEXT;
        event.finished.stop_text = e->stops.items[e->stop];
    } else if (reason == FINISH_STOP && e->reader && answer_reader_calls(e->reader) > 0) {
        event.finished.reason = FINISH_TOOL_CALLS;
    }
    send(e, &event);
}
