/* OpenAI's responses: answers, whole and as events.
 * Source: the OpenAPI description of the OpenAI API.
 *
 * An answer is a row of items, one open at a time: thinking, a message, calls of functions. The
 * text of the open one is kept, as its end and that of the answer repeat it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_parts.h"
#include "chat/dialect_responses.h"

static struct answer_choice *choice_of(struct answer_writer *w) {
    return &w->choices[0];
}

/* ---- the response ---- */

static json_t *usage_of(const struct event_usage *usage) {
    return json_pack("{s:I, s:{s:I, s:i}, s:I, s:{s:I}, s:I}", "input_tokens",
                     (json_int_t)usage->n_prompt, "input_tokens_details", "cached_tokens",
                     (json_int_t)usage->n_cached, "cache_write_tokens", 0, "output_tokens",
                     (json_int_t)usage->n_answer, "output_tokens_details", "reasoning_tokens",
                     (json_int_t)usage->n_reasoning, "total_tokens",
                     (json_int_t)(usage->n_prompt + usage->n_answer));
}

static json_t *error_of(const struct dialect_problem *problem) {
    if (problem->http_status == 0) return json_null();
    const char *code = problem->http_status == 429  ? "rate_limit_exceeded"
                       : problem->excess.n_ctx      ? "context_length_exceeded"
                       : problem->http_status < 500 ? "invalid_prompt"
                                                    : "server_error";
    return json_pack("{s:s, s:o}", "code", code, "message",
                     text_json(problem->message, strlen(problem->message)));
}

/* What was said or is null without having been said. */
static json_t *said(const struct answer_writer *w, const char *name) {
    json_t *value = json_object_get(w->shape, name);
    return value ? json_incref(value) : json_null();
}

static json_t *said_or(const struct answer_writer *w, const char *name, json_t *otherwise) {
    json_t *value = json_object_get(w->shape, name);
    if (!value) return otherwise;
    json_decref(otherwise);
    return json_incref(value);
}

static bool set_said(const struct answer_writer *w, json_t *response) {
    static const char *const names[] = {"instructions", "max_output_tokens", "temperature",
                                        "top_p",        "max_tool_calls",    "top_logprobs"};
    bool ok = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ok &= json_object_set_new(response, names[i], said(w, names[i])) == 0;
    json_t *rest = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:n}", "metadata",
        said_or(w, "metadata", json_object()), "parallel_tool_calls",
        said_or(w, "parallel_tool_calls", json_true()), "reasoning",
        said_or(w, "reasoning", json_pack("{s:n, s:n}", "effort", "summary")), "text",
        said(w, "text"), "tool_choice", said_or(w, "tool_choice", json_string("auto")), "tools",
        said(w, "tools"), "truncation", said_or(w, "truncation", json_string("disabled")), "store",
        0, "background", 0, "previous_response_id");
    json_t *user = json_object_get(w->shape, "user");
    if (user) ok &= json_object_set(response, "user", user) == 0;
    ok &= rest && json_object_update(response, rest) == 0;
    json_decref(rest);
    return ok;
}

/* NULL: no memory. The numbers of tokens are there when the response has ended. */
static json_t *response_of(struct answer_writer *w, const char *status) {
    bool ended = strcmp(status, "completed") == 0 || strcmp(status, "incomplete") == 0;
    bool cut = choice_of(w)->reason == FINISH_LENGTH && ended;
    json_t *output = json_array();
    bool whole = json_array_extend(output, w->items) == 0;
    json_t *response = json_pack(
        "{s:s, s:s, s:I, s:s, s:o, s:o, s:s, s:o}", "id", w->id, "object", "response", "created_at",
        (json_int_t)w->created_s, "status", status, "error", error_of(&w->problem),
        "incomplete_details", cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null(),
        "model", w->model, "output", output);
    bool ok = !ended || set_json(response, "usage", usage_of(&w->usage));
    if (whole && ok && set_said(w, response)) return response;
    json_decref(response);
    return NULL;
}

/* ---- events ---- */

/* Takes the event, which gets its number. Nothing is written of answers that are not streams. */
static bool put_numbered(struct answer_writer *w, json_t *event, struct buf *out) {
    if (!w->stream) {
        json_decref(event);
        return event != NULL;
    }
    if (!event || json_object_set_new(event, "sequence_number", json_integer(w->sequence++)) != 0) {
        json_decref(event);
        return false;
    }
    return put_event(out, json_string_value(json_object_get(event, "type")), event);
}

static bool put_response(struct answer_writer *w, const char *type, const char *status,
                         struct buf *out) {
    return put_numbered(
        w, json_pack("{s:s, s:o}", "type", type, "response", response_of(w, status)), out);
}

/* ---- items ---- */

static const char *item_id(const struct answer_writer *w, char id[80]) {
    static const char *const prefixes[] = {"", "rs_", "msg_", "fc_"};
    snprintf(id, 80, "%s%.40s_%zu", prefixes[w->item], bare_id(w), json_array_size(w->items));
    return id;
}

/* The only part of a message or of thinking. */
static json_t *part_of(struct answer_writer *w, json_t *text) {
    struct answer_choice *choice = choice_of(w);
    if (w->item == ITEM_REASONING)
        return json_pack("{s:s, s:o}", "type", "reasoning_text", "text", text);
    return json_pack("{s:s, s:o, s:[], s:o}", "type", "output_text", "text", text, "annotations",
                     "logprobs", choice->logprobs ? json_incref(choice->logprobs) : json_array());
}

/* The open item; takes the content or arguments. */
static json_t *item_of(struct answer_writer *w, json_t *content, const char *status) {
    char id[80];
    const struct answer_choice *choice = choice_of(w);
    switch (w->item) {
    case ITEM_REASONING:
        return json_pack("{s:s, s:s, s:[], s:o, s:s}", "id", item_id(w, id), "type", "reasoning",
                         "summary", "content", content, "status", status);
    case ITEM_TEXT:
        return json_pack("{s:s, s:s, s:s, s:o, s:s}", "id", item_id(w, id), "type", "message",
                         "role", "assistant", "content", content, "status", status);
    case ITEM_CALL:
        return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "id", item_id(w, id), "type",
                         "function_call", "call_id", choice->calls[w->item_call].id, "name",
                         choice->calls[w->item_call].name, "arguments", content, "status", status);
    case ITEM_NONE: break;
    }
    json_decref(content);
    return NULL;
}

/* An event about the open item; takes the value, which has the name. */
static bool put_about(struct answer_writer *w, const char *type, const char *name, json_t *value,
                      struct buf *out) {
    char id[80];
    json_t *event = json_pack("{s:s, s:s, s:I, s:o}", "type", type, "item_id", item_id(w, id),
                              "output_index", (json_int_t)json_array_size(w->items), name, value);
    bool ok = w->item == ITEM_CALL || set_json(event, "content_index", json_integer(0));
    return put_numbered(w, event, out) && ok;
}

static bool put_item(struct answer_writer *w, const char *type, json_t *item, struct buf *out) {
    return put_numbered(w,
                        json_pack("{s:s, s:I, s:o}", "type", type, "output_index",
                                  (json_int_t)json_array_size(w->items), "item", item),
                        out);
}

static bool open_item(struct answer_writer *w, enum answer_item kind, struct buf *out) {
    w->item = kind;
    json_t *nothing = kind == ITEM_CALL ? json_string("") : json_array();
    if (!put_item(w, "response.output_item.added", item_of(w, nothing, "in_progress"), out))
        return false;
    return kind == ITEM_CALL ||
           put_about(w, "response.content_part.added", "part", part_of(w, json_string("")), out);
}

static bool end_call(struct answer_writer *w, struct buf *out) {
    const struct answer_call *call = &choice_of(w)->calls[w->item_call];
    char id[80];
    return put_numbered(
        w,
        json_pack("{s:s, s:s, s:I, s:s, s:o}", "type", "response.function_call_arguments.done",
                  "item_id", item_id(w, id), "output_index", (json_int_t)json_array_size(w->items),
                  "name", call->name, "arguments", buf_json(&call->arguments)),
        out);
}

static bool end_text(struct answer_writer *w, struct buf *out) {
    struct answer_choice *choice = choice_of(w);
    char id[80];
    bool thinks = w->item == ITEM_REASONING;
    json_t *logprobs = choice->logprobs ? json_incref(choice->logprobs) : json_array();
    json_t *done =
        json_pack("{s:s, s:s, s:I, s:i, s:o}", "type",
                  thinks ? "response.reasoning_text.done" : "response.output_text.done", "item_id",
                  item_id(w, id), "output_index", (json_int_t)json_array_size(w->items),
                  "content_index", 0, "text", buf_json(&choice->text));
    bool ok = thinks || json_object_set(done, "logprobs", logprobs) == 0;
    json_decref(logprobs);
    return put_numbered(w, done, out) && ok &&
           put_about(w, "response.content_part.done", "part", part_of(w, buf_json(&choice->text)),
                     out);
}

/* The open item is whole: it joins the others. */
static bool close_item(struct answer_writer *w, const char *status, struct buf *out) {
    struct answer_choice *choice = choice_of(w);
    bool is_call = w->item == ITEM_CALL;
    if (w->item == ITEM_NONE) return true;
    if (!(is_call ? end_call(w, out) : end_text(w, out))) return false;
    json_t *item = item_of(w,
                           is_call ? buf_json(&choice->calls[w->item_call].arguments)
                                   : json_pack("[o]", part_of(w, buf_json(&choice->text))),
                           status);
    bool ok = put_item(w, "response.output_item.done", json_incref(item), out);
    ok = json_array_append_new(w->items, item) == 0 && ok;
    buf_clear(&choice->text);
    json_decref(choice->logprobs);
    choice->logprobs = NULL;
    w->item = ITEM_NONE;
    return ok;
}

/* ---- pieces ---- */

/* Opens an item of the kind unless it is open; `new_call`: another one of the same kind. */
static bool turn_to(struct answer_writer *w, enum answer_item kind, bool new_call,
                    struct buf *out) {
    if (w->item == kind && !new_call) return true;
    return close_item(w, "completed", out) && open_item(w, kind, out);
}

static bool keep_logprobs(struct answer_writer *w, json_t *logprobs) {
    struct answer_choice *choice = choice_of(w);
    w->n_logprobs += json_array_size(logprobs);
    if (w->n_logprobs > ANSWER_MAX_LOGPROBS / (1 + REQUEST_MAX_LOGPROBS)) return false;
    if (!choice->logprobs) choice->logprobs = json_array();
    return json_array_extend(choice->logprobs, logprobs) == 0;
}

static bool put_piece(struct answer_writer *w, const struct event *event, struct buf *out) {
    bool thinks = event->kind == EVENT_REASONING;
    json_t *logprobs = NULL;
    char id[80];
    if (!turn_to(w, thinks ? ITEM_REASONING : ITEM_TEXT, false, out) ||
        !buf_append(&choice_of(w)->text, event->text.data, event->text.length))
        return false;
    bool ok = thinks || piece_logprobs(w, event, &logprobs);
    if (logprobs) ok = ok && keep_logprobs(w, logprobs);
    json_t *delta =
        json_pack("{s:s, s:s, s:I, s:i, s:o}", "type",
                  thinks ? "response.reasoning_text.delta" : "response.output_text.delta",
                  "item_id", item_id(w, id), "output_index", (json_int_t)json_array_size(w->items),
                  "content_index", 0, "delta", text_json(event->text.data, event->text.length));
    if (!thinks) ok = set_json(delta, "logprobs", logprobs ? logprobs : json_array()) && ok;
    return put_numbered(w, delta, out) && ok;
}

static bool put_call(struct answer_writer *w, const struct event *event, struct buf *out) {
    bool another = w->item != ITEM_CALL || w->item_call != event->tool_call.index;
    if (another && !close_item(w, "completed", out)) return false;
    w->item_call = event->tool_call.index;
    if (!turn_to(w, ITEM_CALL, another, out)) return false;
    return event->tool_call.length == 0 ||
           put_about(w, "response.function_call_arguments.delta", "delta",
                     text_json(event->tool_call.arguments, event->tool_call.length), out);
}

/* ---- the ends ---- */

static bool put_end(struct answer_writer *w, struct buf *out) {
    enum finish_reason reason = choice_of(w)->reason;
    bool cut = reason == FINISH_LENGTH || reason == FINISH_CANCELLED;
    const char *status = cut ? "incomplete" : "completed";
    if (!close_item(w, status, out)) return false;
    if (!w->stream) return put_json(out, response_of(w, status));
    return put_response(w, cut ? "response.incomplete" : "response.completed", status, out);
}

static bool follow_response(struct answer_writer *w, const struct event *event, struct buf *out) {
    if (!w->items) w->items = json_array();
    switch (event->kind) {
    case EVENT_STARTED:
        return put_response(w, "response.created", "in_progress", out) &&
               put_response(w, "response.in_progress", "in_progress", out);
    case EVENT_REASONING:
    case EVENT_TEXT: return put_piece(w, event, out);
    case EVENT_TOOL_CALL: return put_call(w, event, out);
    case EVENT_FINISHED:
        return close_item(w, event->finished.reason == FINISH_LENGTH ? "incomplete" : "completed",
                          out);
    case EVENT_DONE: return put_end(w, out);
    case EVENT_EMBEDDING:
    case EVENT_FAILED: break;
    }
    return true;
}

static bool put_failure(struct answer_writer *w, struct buf *out) {
    return put_response(w, "response.failed", "failed", out);
}

const struct answer_ops responses_answer = {.id_prefix = "resp_",
                                            .follows = true,
                                            .keeps_calls = true,
                                            .stream = follow_response,
                                            .failure = put_failure,
                                            .add_logprob = add_chat_logprob};
