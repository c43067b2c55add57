#include "route/answer_events.h"

#define MAX_PIECE_BYTES ((size_t)16 << 20)

hearth_status answer_events_init(struct answer_events *e, struct event_sink sink, uint32_t choice,
                                 const struct tokenizer *tokenizer,
                                 const struct answer_events_options *options, hearth_error *err) {
    *e = (struct answer_events){.sink = sink,
                                .choice = choice,
                                .tokenizer = tokenizer,
                                .listening = true,
                                .splits = options->splits};
    buf_init(&e->reasoning, MAX_PIECE_BYTES);
    buf_init(&e->content, MAX_PIECE_BYTES);
    reasoning_split_init(&e->split, NULL, NULL, options->inside_thinking);
    if (options->n_logprobs < 0) return HEARTH_OK;
    return held_tokens_open(&e->held, (uint32_t)options->n_logprobs, err);
}

void answer_events_release(struct answer_events *e) {
    held_tokens_close(&e->held);
    buf_release(&e->reasoning);
    buf_release(&e->content);
}

static void send(struct answer_events *e, const struct event *event) {
    if (e->listening) e->listening = e->sink.take(e->sink.context, event);
}

/* A piece with the tokens that end in it. What is held back by the split keeps its tokens: then
 * there is no piece to send them with. */
static void send_text(struct answer_events *e, enum event_kind kind, struct buf *text) {
    struct event event = {.kind = kind, .choice = e->choice};
    event.text.data = buf_text(text);
    event.text.length = text->length;
    if (e->held.items)
        event.text.n_logprobs =
            held_tokens_take(&e->held, e->tokenizer, e->text_bytes, &event.text.logprobs);
    if (event.text.length || event.text.n_logprobs) send(e, &event);
    buf_clear(text);
}

static void send_pieces(struct answer_events *e) {
    if (e->reasoning.length) send_text(e, EVENT_REASONING, &e->reasoning);
    if (e->content.length) send_text(e, EVENT_TEXT, &e->content);
}

static bool is_thinking(const struct answer_events *e) {
    return e->splits && (e->split.state == SPLIT_OPENED || e->split.state == SPLIT_REASONING);
}

bool answer_events_token(struct answer_events *e, const struct sampler_result *token,
                         size_t text_bytes) {
    if (is_thinking(e)) e->n_reasoning++;
    if (!e->held.items || held_tokens_push(&e->held, token, text_bytes)) return e->listening;
    e->text_bytes = text_bytes; /* very many tokens without text */
    send_text(e, is_thinking(e) ? EVENT_REASONING : EVENT_TEXT, &e->content);
    held_tokens_push(&e->held, token, text_bytes);
    return e->listening;
}

bool answer_events_text(struct answer_events *e, const char *text, size_t n) {
    e->text_bytes += n;
    if (e->splits)
        reasoning_split_push(&e->split, text, n, &e->reasoning, &e->content);
    else
        buf_append(&e->content, text, n);
    send_pieces(e);
    return e->listening;
}

void answer_events_finish(struct answer_events *e, enum finish_reason reason,
                          const char *stop_text) {
    struct event event = {.kind = EVENT_FINISHED, .choice = e->choice};
    if (e->splits) reasoning_split_finish(&e->split, &e->reasoning, &e->content);
    send_pieces(e);
    if (e->held.items) send_text(e, EVENT_TEXT, &e->content);
    event.finished.reason = reason;
    event.finished.stop_text = stop_text;
    send(e, &event);
}
