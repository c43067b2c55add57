#include "route/answer_stream.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define MAX_TEXT_BYTES ((size_t)1 << 20)

/* A model that opens thinking again and again after its budget is spent is stopped. */
enum { MAX_CLOSED = 4 };

hearth_status answer_stream_open(struct answer_stream *c, const struct answer_terms *terms,
                                 struct event_sink sink, uint32_t number, hearth_error *err) {
    const struct answer_events_options options = {.form = terms->form,
                                                  .tools = terms->tools,
                                                  .inside_thinking = terms->inside_thinking,
                                                  .one_call = terms->one_call,
                                                  .stops = terms->stops,
                                                  .keeps_content = terms->constraint != NULL,
                                                  .n_logprobs = terms->n_logprobs};
    *c = (struct answer_stream){.terms = terms};
    buf_init(&c->text, MAX_TEXT_BYTES);
    token_stream_init(&c->stream, terms->model->engine.tokenizer, false);
    c->stream.started = true;
    if ((terms->constraint || terms->calls) && terms->form) {
        c->first = mem_alloc_array(terms->model->n_words, sizeof *c->first);
        if (!c->first)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the form of an answer");
    }
    return answer_events_init(&c->events, sink, number, terms->model->engine.tokenizer, &options,
                              err);
}

void answer_stream_close(struct answer_stream *c) {
    constraint_end(c->state);
    constraint_end(c->call);
    answer_events_release(&c->events);
    buf_release(&c->text);
    mem_free(c->first);
    *c = (struct answer_stream){0};
}

/* ---- the form ------------------------------------------------------------------- */

/* Whether the next token belongs to what must have a form. */
static bool is_bound(const struct answer_stream *c) {
    const struct answer_reader *reader = c->events.reader;
    if (!c->terms->constraint) return false;
    if (c->state || !reader) return true;
    if (answer_reader_calls(reader) > 0) return false;
    return c->terms->must_call ? !answer_reader_is_thinking(reader)
                               : answer_reader_is_answering(reader);
}

static bool may_think_first(const struct answer_stream *c) {
    return c->terms->may_think && c->n_closed == 0 && c->events.n_reasoning == 0;
}

/* What may begin an answer: its form, or the tags of thinking and of calls. */
static void add_tags(struct answer_stream *c, const uint64_t **allowed) {
    const struct answer_terms *t = c->terms;
    const struct local_model *m = t->model;
    bool thinks = may_think_first(c) && m->thinking_tag != TOKEN_NONE;
    bool calls = t->tools && !t->must_call && m->call_tag != TOKEN_NONE;
    if (!c->first || !(thinks || calls)) return;
    memcpy(c->first, *allowed, m->n_words * sizeof *c->first);
    if (thinks) token_set_add(c->first, m->thinking_tag);
    if (calls) token_set_add(c->first, m->call_tag);
    *allowed = c->first;
}

/* A model that has thought has something to say, and where it had to be told that it has thought
 * enough, says it next. */
static const uint64_t *what_must_follow(const struct answer_stream *c) {
    bool thought = c->n_closed > 0 || c->events.n_reasoning > 0;
    if (!thought || c->events.n_content > 0 || answer_events_are_thinking(&c->events)) return NULL;
    return c->n_closed > 0 ? c->terms->model->not_tags : c->terms->model->not_ends;
}

/* In free text, a token that ends the mark of a call must go on as the call may. */
static void leave_out_marks(struct answer_stream *c, const uint64_t **allowed) {
    const uint64_t *marked = NULL;
    size_t n;
    if (!c->terms->calls || !c->events.reader) return;
    const char *before = answer_reader_before_mark(c->events.reader, &n);
    if (before) marked = constraint_allowed_before(c->terms->calls, before, n);
    if (!marked) return;
    for (size_t i = 0; *allowed && i < c->terms->model->n_words; i++)
        c->first[i] = marked[i] & (*allowed)[i];
    *allowed = *allowed ? c->first : marked;
}

bool answer_stream_allowed(struct answer_stream *c, const uint64_t **allowed) {
    if (c->call) return (*allowed = constraint_allowed(c->call)) != NULL;
    if (!is_bound(c)) {
        *allowed = what_must_follow(c);
        leave_out_marks(c, allowed);
        return true;
    }
    bool begins = !c->state;
    if (begins && constraint_begin(c->terms->constraint, &c->state, &c->err) != HEARTH_OK)
        return false;
    *allowed = constraint_allowed(c->state);
    if (!*allowed) return false;
    if (!begins) return true;
    add_tags(c, allowed);
    return true;
}

static void fail(struct answer_stream *c, hearth_status status) {
    if (c->status == HEARTH_OK) c->status = status;
}

/* What has a form has begun, where it is no call. */
static void begin_form(struct answer_stream *c) {
    c->has_begun = true;
    if (c->events.reader && !c->terms->must_call) answer_reader_end_thinking(c->events.reader);
}

/* After a token that the constraint was asked about; or one of the two tags, which come first
 * where they may come, also if the form allows their text. */
static void accept(struct answer_stream *c, int32_t token) {
    const struct answer_terms *t = c->terms;
    bool thinks = may_think_first(c) && token == t->model->thinking_tag;
    bool calls = t->tools && !t->must_call && token == t->model->call_tag;
    if (!c->has_begun && (thinks || calls)) {
        constraint_end(c->state);
        c->state = NULL;
    } else if (constraint_accept(c->state, token)) {
        begin_form(c);
    } else {
        fail(c, error_set(&c->err, HEARTH_ERROR_INTERNAL,
                          "token %d does not fit the form that was asked for", token));
    }
}

/* What a token that still belonged to thinking has already said of the answer. */
static void accept_rest(struct answer_stream *c) {
    const struct buf *said = &c->events.content;
    const struct answer_reader *reader = c->events.reader;
    if (c->state || !c->terms->constraint || said->length == 0 || c->events.echoes ||
        answer_reader_calls(reader) > 0)
        return;
    hearth_status status = constraint_begin(c->terms->constraint, &c->state, &c->err);
    if (status == HEARTH_OK && !constraint_accept_text(c->state, buf_text(said), said->length))
        status = error_set(&c->err, HEARTH_ERROR_INTERNAL,
                           "the answer began in one token with the end of thinking, and not in the "
                           "form that was asked for");
    if (status != HEARTH_OK)
        fail(c, status);
    else
        begin_form(c);
}

/* ---- calls that the model begins by itself ---------------------------------------- */

static void leave_call(struct answer_stream *c) {
    constraint_end(c->call);
    c->call = NULL;
}

/* A call that does not fit after all goes on as it likes: only what nobody chose, said for the
 * model, can be such a token. */
static void follow_call(struct answer_stream *c, int32_t token) {
    if (!constraint_accept(c->call, token)) leave_call(c);
}

/* After text: a mark in it begins a call, and what stood behind it in the same token is part. */
static void look_for_call(struct answer_stream *c, const struct buf *text) {
    struct answer_mark mark = answer_reader_mark(c->events.reader);
    bool is_new = mark.number != c->n_marks;
    c->n_marks = mark.number;
    if (!is_new || c->call || c->state) return;
    hearth_status status = constraint_begin(c->terms->calls, &c->call, &c->err);
    if (status != HEARTH_OK) {
        fail(c, status);
    } else if (!constraint_accept_text(c->call, mark.text, strlen(mark.text)) ||
               !constraint_accept_text(c->call, buf_text(text) + mark.end,
                                       text->length - mark.end)) {
        leave_call(c);
    }
}

/* Where the call is whole and nothing more of it may come. False: that was the only one. */
static bool end_call(struct answer_stream *c) {
    if (!c->call || !constraint_must_end(c->call)) return true;
    leave_call(c);
    return !c->terms->one_call;
}

/* ---- text ----------------------------------------------------------------------- */

static void give(struct answer_stream *c, const struct buf *text) {
    if (text->length == 0) return;
    buf_clear(&c->events.content);
    hearth_status status = answer_events_text(&c->events, buf_text(text), text->length, &c->err);
    if (status != HEARTH_OK) fail(c, status);
    accept_rest(c);
    if (c->terms->calls && c->events.reader) look_for_call(c, text);
}

/* The bytes of a token, from now on part of text_bytes; control tokens have none but where they are
 * tags. */
static void decode(struct answer_stream *c, int32_t token) {
    buf_clear(&c->text);
    c->stream.special =
        c->terms->shows_control || (c->terms->form && token_set_has(c->terms->model->shown, token));
    hearth_status status = token_stream_push(&c->stream, token, &c->text, &c->err);
    if (status != HEARTH_OK) fail(c, status);
    c->text_bytes += c->text.length;
}

/* ---- tokens --------------------------------------------------------------------- */

static enum scheduler_verdict close_thinking(struct answer_stream *c,
                                             struct scheduler_words *words) {
    const struct token_list *end = &c->terms->model->end_of_thinking;
    if (c->n_closed++ == MAX_CLOSED) {
        c->why = FINISH_LENGTH;
        return SCHEDULER_STOP;
    }
    *words = (struct scheduler_words){end->ids, (uint32_t)end->count};
    return SCHEDULER_SAY;
}

/* Thinking that breaks off is closed, unless it may hold a call (answer_reader.h). */
static enum scheduler_verdict take_end(struct answer_stream *c, int32_t token,
                                       struct scheduler_words *words) {
    if (token_set_has(c->terms->model->shown, token)) {
        decode(c, token);
        give(c, &c->text);
    }
    if (!answer_events_are_thinking(&c->events) || c->terms->tools || c->n_closed > 0)
        return SCHEDULER_GO_ON;
    return close_thinking(c, words);
}

static bool has_spent_budget(const struct answer_stream *c) {
    int64_t budget = c->terms->thinking_budget;
    return budget >= 0 && (int64_t)c->events.n_reasoning >= budget &&
           answer_events_are_thinking(&c->events);
}

enum scheduler_verdict answer_stream_take(struct answer_stream *c,
                                          const struct scheduler_token *token,
                                          struct scheduler_words *words) {
    const struct sampler_result result = {.token = token->token,
                                          .logprob = token->said ? NAN : token->logprob,
                                          .top = token->top,
                                          .n_top = token->said ? 0 : token->n_top};
    if (token->ends) return take_end(c, token->token, words);
    if (c->state) accept(c, token->token);
    if (c->call) follow_call(c, token->token);
    decode(c, token->token);
    answer_events_token(&c->events, &result, c->text_bytes + c->stream.n_held);
    give(c, &c->text);
    if (c->status != HEARTH_OK || !c->events.listening || c->events.enough) return SCHEDULER_STOP;
    if (c->state && constraint_must_end(c->state)) return SCHEDULER_STOP;
    if (!end_call(c)) return SCHEDULER_STOP;
    return !token->said && has_spent_budget(c) ? close_thinking(c, words) : SCHEDULER_GO_ON;
}

void answer_stream_echo(struct answer_stream *c, const struct sampler_result *token) {
    if (isnan(token->logprob)) c->stream.started = false; /* the text begins */
    decode(c, token->token);
    answer_events_token(&c->events, token, c->text_bytes + c->stream.n_held);
    c->events.echoes = true;
    give(c, &c->text);
    c->events.echoes = false;
}

bool answer_stream_finish(struct answer_stream *c, enum finish_reason reason) {
    buf_clear(&c->text);
    hearth_status status = token_stream_finish(&c->stream, &c->text, &c->err);
    if (status != HEARTH_OK) fail(c, status);
    c->text_bytes += c->text.length;
    if (!c->events.enough) give(c, &c->text);
    status = answer_events_flush(&c->events, reason == FINISH_LENGTH, &c->err);
    if (status != HEARTH_OK) fail(c, status);
    if (c->status == HEARTH_OK) answer_events_finish(&c->events, reason);
    return c->status == HEARTH_OK;
}
