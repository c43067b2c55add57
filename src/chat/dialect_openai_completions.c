/* OpenAI's older completions: texts are continued; echo and log-probabilities score them.
 * Source: the OpenAPI description of the OpenAI API. */
#include <math.h>

#include "chat/dialect_openai.h"
#include "chat/dialect_parts.h"

/* ---- requests ---- */

enum { DEFAULT_MAX_TOKENS = 16 }; /* of the OpenAPI description */

static void parse_completion(struct fields *body, struct request *request) {
    static const char *const limits[] = {"max_tokens", "n_predict", NULL};
    static const struct field_kept kept[] = {{"user", FIELD_STRING}, {"cache_prompt", FIELD_FLAG}};
    int64_t number;
    request->kind = REQUEST_TEXT;
    request->max_tokens = DEFAULT_MAX_TOKENS;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_inputs(body, "prompt", request);
    if (!field_is_empty(body, "suffix"))
        field_text(body, "suffix", TEXT_MAX_BYTES, &request->suffix);
    field_flag(body, "echo", &request->echo);
    if (field_integer(body, "logprobs", 0, REQUEST_MAX_LOGPROBS, &number))
        request->n_logprobs = (int32_t)number;
    read_max_tokens(body, limits, request);
    read_limits(body, request);
    if (field_integer(body, "best_of", 1, REQUEST_MAX_CHOICES, &number) &&
        number != request->n_choices)
        field_problem(body, "best_of", "must be as many as 'n', or missing");
    if (json_array_size(request->inputs) * request->n_choices > ANSWER_CHOICES_MAX)
        field_problem(body, "n", "asks for more than %d answers to all prompts together",
                      ANSWER_CHOICES_MAX);
    read_sampling(body, request);
    read_format(body, "response_format", request);
    read_guided(body, request);
}

/* ---- answers ---- */

static size_t characters_in(const struct event_token *token) {
    size_t n = 0;
    for (size_t i = 0; i < token->n_bytes; i++)
        n += ((unsigned char)token->bytes[i] & 0xC0) != 0x80;
    return n;
}

/* Tokens that are not whole characters are told apart as OpenAI does: "bytes:\xe2\x80". */
static json_t *token_text(const struct event_token *token) {
    if (text_is_whole(token->bytes, token->n_bytes)) return text_json(token->bytes, token->n_bytes);
    struct buf name;
    buf_init(&name, 4096);
    buf_append_text(&name, "bytes:");
    for (size_t i = 0; i < token->n_bytes; i++)
        buf_append_format(&name, "\\x%02x", (unsigned)(unsigned char)token->bytes[i]);
    json_t *text = name.failed ? NULL : buf_json(&name);
    buf_release(&name);
    return text;
}

/* The likelier of two with one text stays. */
static json_t *top_json(const struct event_logprob *logprob) {
    json_t *top = json_object();
    bool ok = top != NULL;
    for (size_t i = 0; ok && i < logprob->n_top; i++) {
        json_t *name = token_text(&logprob->top[i]);
        const char *key = json_string_value(name);
        ok = key && (json_object_get(top, key) ||
                     set_json(top, key, logprob_json(logprob->top[i].logprob)));
        json_decref(name);
    }
    if (ok) return top;
    json_decref(top);
    return NULL;
}

static bool append_to(json_t *lists, const char *name, json_t *value) {
    return json_array_append_new(json_object_get(lists, name), value) == 0;
}

static bool add_logprob(json_t **kept, const struct event_logprob *logprob, size_t *n_characters) {
    if (!*kept)
        *kept = json_pack("{s:[], s:[], s:[], s:[]}", "tokens", "token_logprobs", "top_logprobs",
                          "text_offset");
    bool first = logprob->n_top == 0 && isnan(logprob->token.logprob);
    bool ok = append_to(*kept, "tokens", token_text(&logprob->token)) &&
              append_to(*kept, "token_logprobs", logprob_json(logprob->token.logprob)) &&
              append_to(*kept, "top_logprobs", first ? json_null() : top_json(logprob)) &&
              append_to(*kept, "text_offset", json_integer((json_int_t)*n_characters));
    *n_characters += characters_in(&logprob->token);
    return ok;
}

/* Takes the text and the log-probabilities (NULL: none). */
static json_t *choice_json(size_t index, json_t *text, json_t *logprobs, const char *reason) {
    return json_pack("{s:o, s:I, s:o, s:s?}", "text", text, "index", (json_int_t)index, "logprobs",
                     logprobs ? logprobs : json_null(), "finish_reason", reason);
}

static const char *reason_of(enum finish_reason reason) {
    return reason == FINISH_LENGTH ? "length" : "stop";
}

static bool completion_body(struct answer_writer *w, struct buf *out) {
    json_t *choices = json_array();
    for (size_t i = 0; i < w->n_choices; i++) {
        const struct answer_choice *choice = &w->choices[i];
        json_array_append_new(choices,
                              choice_json(i, buf_json(&choice->text), json_incref(choice->logprobs),
                                          reason_of(choice->reason)));
    }
    return openai_put_body(w, "text_completion", choices, out);
}

static bool put_text(struct answer_writer *w, const struct event *event, struct buf *out) {
    json_t *logprobs;
    if (!piece_logprobs(w, event, &logprobs)) return false;
    return openai_put_chunk(
        w, "text_completion",
        choice_json(event->choice, text_json(event->text.data, event->text.length), logprobs, NULL),
        out);
}

static bool stream_completion(struct answer_writer *w, const struct event *event, struct buf *out) {
    switch (event->kind) {
    case EVENT_TEXT: return put_text(w, event, out);
    case EVENT_FINISHED:
        return openai_put_chunk(
            w, "text_completion",
            choice_json(event->choice, json_string(""), NULL, reason_of(event->finished.reason)),
            out);
    case EVENT_DONE: return openai_put_end(w, "text_completion", out);
    case EVENT_STARTED:
    case EVENT_REASONING:
    case EVENT_TOOL_CALL:
    case EVENT_EMBEDDING:
    case EVENT_FAILED: break;
    }
    return true;
}

static const struct answer_ops completion_answer = {.id_prefix = "cmpl-",
                                                    .body = completion_body,
                                                    .stream = stream_completion,
                                                    .failure = openai_put_failure,
                                                    .add_logprob = add_logprob};

const struct endpoint_ops openai_completions_endpoint = {
    .parse = parse_completion, .problem = openai_problem, .answer = &completion_answer};
