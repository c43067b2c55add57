/* Anthropic's messages: answers, errors and the events of a stream.
 * Source: the API reference of Anthropic's Messages and of streaming them.
 *
 * A stream is a row of blocks, one open at a time: thinking, text, one call of a tool each. The
 * numbers of tokens are known at the end; message_delta has them, message_start only zeros. */
#include <string.h>

#include "chat/dialect_anthropic.h"

/* ---- errors ---- */

static const char *problem_type(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503:
    case 529: return "overloaded_error";
    default: return status >= 500 ? "api_error" : "invalid_request_error";
    }
}

json_t *anthropic_problem(const struct dialect_problem *problem) {
    struct buf message;
    buf_init(&message, 2048);
    if (problem->parameter[0] && problem->http_status != 404)
        buf_append_format(&message, "%s: ", problem->parameter);
    if (problem->excess.n_ctx)
        buf_append_format(&message, "prompt is too long: %llu tokens > %llu maximum",
                          (unsigned long long)problem->excess.n_prompt,
                          (unsigned long long)problem->excess.n_ctx);
    else
        buf_append_text(&message, problem->message);
    json_t *error = json_pack("{s:s, s:{s:s, s:o}}", "type", "error", "error", "type",
                              problem_type(problem->http_status), "message", buf_json(&message));
    buf_release(&message);
    return error;
}

static bool put_named(struct buf *out, json_t *event) {
    const char *name = json_string_value(json_object_get(event, "type"));
    return put_event(out, name, event);
}

static bool put_failure(struct answer_writer *w, struct buf *out) {
    return put_named(out, anthropic_problem(&w->problem));
}

/* ---- whole answers ---- */

static json_t *usage_of(const struct event_usage *usage) {
    return json_pack("{s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)computed_tokens(usage),
                     "cache_creation_input_tokens", (json_int_t)0, "cache_read_input_tokens",
                     (json_int_t)usage->n_cached, "output_tokens", (json_int_t)usage->n_answer);
}

static const char *reason_of(enum finish_reason reason) {
    switch (reason) {
    case FINISH_STOP_TEXT: return "stop_sequence";
    case FINISH_LENGTH: return "max_tokens";
    case FINISH_TOOL_CALLS: return "tool_use";
    case FINISH_STOP:
    case FINISH_CANCELLED: break;
    }
    return "end_turn";
}

static json_t *content_of(const struct answer_choice *choice) {
    json_t *content = json_array();
    if (choice->reasoning.length > 0)
        json_array_append_new(content, json_pack("{s:s, s:o, s:s}", "type", "thinking", "thinking",
                                                 buf_json(&choice->reasoning), "signature", ""));
    if (choice->text.length > 0)
        json_array_append_new(
            content, json_pack("{s:s, s:o}", "type", "text", "text", buf_json(&choice->text)));
    for (size_t i = 0; i < choice->n_calls; i++)
        json_array_append_new(content, json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id",
                                                 choice->calls[i].id, "name", choice->calls[i].name,
                                                 "input", arguments_object(&choice->calls[i])));
    size_t n = choice->n_calls;
    if (choice->reasoning.length > 0) n++;
    if (choice->text.length > 0) n++;
    return whole_list(content, n);
}

/* Takes the content; a message that has not ended has no reason (NULL). */
static json_t *message_of(const struct answer_writer *w, json_t *content, const char *reason) {
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s?, s:s?, s:o}", "id", w->id, "type", "message",
                     "role", "assistant", "model", w->model, "content", content, "stop_reason",
                     reason, "stop_sequence", w->choices[0].stop_text, "usage",
                     usage_of(&w->usage));
}

static bool messages_body(struct answer_writer *w, struct buf *out) {
    return put_json(out,
                    message_of(w, content_of(&w->choices[0]), reason_of(w->choices[0].reason)));
}

static bool count_body(struct answer_writer *w, struct buf *out) {
    return put_json(out, json_pack("{s:I}", "input_tokens", (json_int_t)w->usage.n_prompt));
}

/* ---- streams ---- */

static bool close_block(struct answer_writer *w, struct buf *out) {
    if (w->item == ITEM_NONE) return true;
    w->item = ITEM_NONE;
    return put_named(out, json_pack("{s:s, s:I}", "type", "content_block_stop", "index",
                                    (json_int_t)w->n_items - 1));
}

/* Takes the block; the one before it is closed. */
static bool open_block(struct answer_writer *w, enum answer_item item, json_t *block,
                       struct buf *out) {
    if (!close_block(w, out)) {
        json_decref(block);
        return false;
    }
    w->item = item;
    return put_named(out, json_pack("{s:s, s:I, s:o}", "type", "content_block_start", "index",
                                    (json_int_t)w->n_items++, "content_block", block));
}

/* Takes the piece. */
static bool put_delta(const struct answer_writer *w, const char *type, const char *name,
                      json_t *piece, struct buf *out) {
    return put_named(out,
                     json_pack("{s:s, s:I, s:{s:s, s:o}}", "type", "content_block_delta", "index",
                               (json_int_t)w->n_items - 1, "delta", "type", type, name, piece));
}

static bool put_thinking(struct answer_writer *w, const struct event *event, struct buf *out) {
    if (w->item != ITEM_REASONING &&
        !open_block(
            w, ITEM_REASONING,
            json_pack("{s:s, s:s, s:s}", "type", "thinking", "thinking", "", "signature", ""), out))
        return false;
    return put_delta(w, "thinking_delta", "thinking",
                     text_json(event->text.data, event->text.length), out);
}

static bool put_text(struct answer_writer *w, const struct event *event, struct buf *out) {
    if (w->item != ITEM_TEXT &&
        !open_block(w, ITEM_TEXT, json_pack("{s:s, s:s}", "type", "text", "text", ""), out))
        return false;
    return put_delta(w, "text_delta", "text", text_json(event->text.data, event->text.length), out);
}

static bool put_call(struct answer_writer *w, const struct event *event, struct buf *out) {
    if (w->item != ITEM_CALL || w->item_call != event->tool_call.index) {
        json_t *block = json_pack("{s:s, s:s, s:s, s:{}}", "type", "tool_use", "id",
                                  event->tool_call.id ? event->tool_call.id : "", "name",
                                  event->tool_call.name ? event->tool_call.name : "", "input");
        w->item_call = event->tool_call.index;
        if (!open_block(w, ITEM_CALL, block, out)) return false;
    }
    if (event->tool_call.length == 0) return true;
    return put_delta(w, "input_json_delta", "partial_json",
                     text_json(event->tool_call.arguments, event->tool_call.length), out);
}

static bool put_start(struct answer_writer *w, struct buf *out) {
    return put_named(out, json_pack("{s:s, s:o}", "type", "message_start", "message",
                                    message_of(w, json_array(), NULL))) &&
           put_named(out, json_pack("{s:s}", "type", "ping"));
}

static bool put_end(struct answer_writer *w, struct buf *out) {
    const struct answer_choice *choice = &w->choices[0];
    return close_block(w, out) &&
           put_named(out, json_pack("{s:s, s:{s:s, s:s?}, s:o}", "type", "message_delta", "delta",
                                    "stop_reason", reason_of(choice->reason), "stop_sequence",
                                    choice->stop_text, "usage", usage_of(&w->usage))) &&
           put_named(out, json_pack("{s:s}", "type", "message_stop"));
}

static bool stream_messages(struct answer_writer *w, const struct event *event, struct buf *out) {
    switch (event->kind) {
    case EVENT_STARTED: return put_start(w, out);
    case EVENT_REASONING: return put_thinking(w, event, out);
    case EVENT_TEXT: return put_text(w, event, out);
    case EVENT_TOOL_CALL: return put_call(w, event, out);
    case EVENT_FINISHED: return close_block(w, out);
    case EVENT_DONE: return put_end(w, out);
    case EVENT_EMBEDDING:
    case EVENT_FAILED: break;
    }
    return true;
}

const struct answer_ops anthropic_answer = {
    .id_prefix = "msg_", .body = messages_body, .stream = stream_messages, .failure = put_failure};
const struct answer_ops anthropic_count_answer = {.id_prefix = "msg_", .body = count_body};
