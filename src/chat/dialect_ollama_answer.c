/* Ollama's interface: answers and lines of a stream. Times are nanoseconds, arguments of calls
 * objects, so a call goes out when it is whole.
 * Source: the API documentation of Ollama. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "chat/dialect_ollama.h"

/* ---- errors ---- */

json_t *ollama_problem(const struct dialect_problem *problem) {
    struct buf message;
    buf_init(&message, 2048);
    if (problem->parameter[0] && problem->http_status != 404)
        buf_append_format(&message, "%s: ", problem->parameter);
    if (problem->excess.n_ctx)
        buf_append_text(&message, "the input length exceeds the context length: ");
    buf_append_text(&message, problem->message);
    json_t *error = json_pack("{s:o}", "error", buf_json(&message));
    buf_release(&message);
    return error;
}

static bool put_failure(struct answer_writer *w, struct buf *out) {
    return put_line(out, ollama_problem(&w->problem));
}

/* ---- pieces ---- */

static json_int_t nanoseconds(double seconds) {
    return (json_int_t)llround(seconds * 1e9);
}

static json_t *line_of(const struct answer_writer *w) {
    char at[40] = "";
    struct tm when;
    time_t created = (time_t)w->created_s;
    if (gmtime_r(&created, &when)) strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &when);
    return json_pack("{s:s, s:s}", "model", w->model, "created_at", at);
}

static double total_seconds(const struct event_usage *usage) {
    return usage->queue_seconds + usage->load_seconds + usage->prompt_seconds +
           usage->answer_seconds;
}

static const char *reason_of(const struct answer_writer *w) {
    if (w->only_loads) return json_object_get(w->shape, "unload") ? "unload" : "load";
    return w->choices[0].reason == FINISH_LENGTH ? "length" : "stop";
}

static bool set_end(const struct answer_writer *w, json_t *line) {
    const struct event_usage *usage = &w->usage;
    bool ok = set_json(line, "done", json_true()) &&
              set_json(line, "done_reason", json_string(reason_of(w)));
    if (w->only_loads) return ok;
    return ok &&
           set_json(line, "total_duration", json_integer(nanoseconds(total_seconds(usage)))) &&
           set_json(line, "load_duration", json_integer(nanoseconds(usage->load_seconds))) &&
           set_json(line, "prompt_eval_count", json_integer((json_int_t)usage->n_prompt)) &&
           set_json(line, "prompt_eval_duration",
                    json_integer(nanoseconds(usage->prompt_seconds))) &&
           set_json(line, "eval_count", json_integer((json_int_t)usage->n_answer)) &&
           set_json(line, "eval_duration", json_integer(nanoseconds(usage->answer_seconds)));
}

static json_t *calls_json(const struct answer_choice *choice, size_t first, size_t end) {
    json_t *calls = json_array();
    for (size_t i = first; i < end; i++)
        json_array_append_new(calls, json_pack("{s:s, s:{s:I, s:s, s:o}}", "id",
                                               choice->calls[i].id, "function", "index",
                                               (json_int_t)i, "name", choice->calls[i].name,
                                               "arguments", arguments_object(&choice->calls[i])));
    return whole_list(calls, end - first);
}

/* Chats have the answer in a message, generate beside the rest; takes the text. Returns what
 * holds it, NULL: no memory. */
static json_t *set_text(json_t *line, bool is_chat, json_t *text) {
    if (!is_chat) return set_json(line, "response", text) ? line : NULL;
    json_t *message = json_pack("{s:s, s:o}", "role", "assistant", "content", text);
    return set_json(line, "message", message) ? message : NULL;
}

/* ---- whole answers ---- */

static bool put_whole(struct answer_writer *w, bool is_chat, struct buf *out) {
    struct answer_choice *choice = &w->choices[0];
    json_t *line = line_of(w), *holder = set_text(line, is_chat, buf_json(&choice->text));
    bool ok = holder != NULL;
    if (choice->reasoning.length > 0)
        ok = set_json(holder, "thinking", buf_json(&choice->reasoning)) && ok;
    if (choice->n_calls > 0)
        ok = set_json(holder, "tool_calls", calls_json(choice, 0, choice->n_calls)) && ok;
    ok = ok && set_end(w, line);
    if (choice->logprobs) ok = ok && json_object_set(line, "logprobs", choice->logprobs) == 0;
    return put_json(out, line) && ok;
}

static bool chat_body(struct answer_writer *w, struct buf *out) {
    return put_whole(w, true, out);
}

static bool generate_body(struct answer_writer *w, struct buf *out) {
    return put_whole(w, false, out);
}

/* ---- streams ---- */

static bool put_piece(struct answer_writer *w, const struct event *event, bool is_chat,
                      struct buf *out) {
    bool thinks = event->kind == EVENT_REASONING;
    json_t *line = line_of(w), *logprobs = NULL;
    json_t *text = text_json(event->text.data, event->text.length);
    json_t *holder = set_text(line, is_chat, thinks ? json_string("") : json_incref(text));
    bool ok = text && holder && set_json(line, "done", json_false());
    if (thinks)
        ok = ok && json_object_set(holder, "thinking", text) == 0;
    else
        ok = ok && piece_logprobs(w, event, &logprobs);
    if (logprobs) ok = set_json(line, "logprobs", logprobs) && ok;
    json_decref(text);
    return put_line(out, line) && ok;
}

/* The calls that came before the end-th and were not sent; w->n_items counts the sent ones. */
static bool put_calls(struct answer_writer *w, size_t end, bool is_chat, struct buf *out) {
    if (w->n_items >= end) return true;
    json_t *line = line_of(w), *holder = set_text(line, is_chat, json_string(""));
    bool ok = holder &&
              set_json(holder, "tool_calls", calls_json(&w->choices[0], w->n_items, end)) &&
              set_json(line, "done", json_false());
    w->n_items = end;
    return put_line(out, line) && ok;
}

static bool put_end(struct answer_writer *w, bool is_chat, struct buf *out) {
    json_t *line = line_of(w);
    bool ok = set_text(line, is_chat, json_string("")) && set_end(w, line);
    return put_line(out, line) && ok;
}

static bool put_streamed(struct answer_writer *w, const struct event *event, bool is_chat,
                         struct buf *out) {
    switch (event->kind) {
    case EVENT_REASONING:
    case EVENT_TEXT: return put_piece(w, event, is_chat, out);
    case EVENT_TOOL_CALL: return put_calls(w, event->tool_call.index, is_chat, out);
    case EVENT_FINISHED: return put_calls(w, w->choices[0].n_calls, is_chat, out);
    case EVENT_DONE: return put_end(w, is_chat, out);
    case EVENT_STARTED:
    case EVENT_EMBEDDING:
    case EVENT_FAILED: break;
    }
    return true;
}

static bool stream_chat(struct answer_writer *w, const struct event *event, struct buf *out) {
    return put_streamed(w, event, true, out);
}

static bool stream_generate(struct answer_writer *w, const struct event *event, struct buf *out) {
    return put_streamed(w, event, false, out);
}

/* ---- embeddings ---- */

/* The older endpoint had one vector and nothing else. */
static bool embed_body(struct answer_writer *w, struct buf *out) {
    const json_t *dimensions = json_object_get(w->shape, "dimensions");
    if (dimensions && !cut_vectors(w, "dimensions", (size_t)json_integer_value(dimensions)))
        return true;
    if (json_object_get(w->shape, "prompt"))
        return put_json(out, json_pack("{s:o}", "embedding", vector_json(&w->vectors[0])));
    bool ok = buf_append_text(out, "{\"embeddings\":[");
    for (size_t i = 0; ok && i < w->n_vectors; i++)
        ok = (i == 0 || buf_append_char(out, ',')) && put_json(out, vector_json(&w->vectors[i]));
    buf_append_text(out, "],\"model\":");
    ok = ok && put_json(out, text_json(w->model, strlen(w->model)));
    return buf_append_format(out,
                             ",\"total_duration\":%lld,\"load_duration\":%lld,"
                             "\"prompt_eval_count\":%llu}",
                             (long long)nanoseconds(total_seconds(&w->usage)),
                             (long long)nanoseconds(w->usage.load_seconds),
                             (unsigned long long)w->usage.n_prompt) &&
           ok;
}

const struct answer_ops ollama_chat_answer = {.id_prefix = "",
                                              .lines = true,
                                              .keeps_calls = true,
                                              .body = chat_body,
                                              .stream = stream_chat,
                                              .failure = put_failure,
                                              .add_logprob = add_chat_logprob};
const struct answer_ops ollama_generate_answer = {.id_prefix = "",
                                                  .lines = true,
                                                  .keeps_calls = true,
                                                  .body = generate_body,
                                                  .stream = stream_generate,
                                                  .failure = put_failure,
                                                  .add_logprob = add_chat_logprob};
const struct answer_ops ollama_embed_answer = {.id_prefix = "", .body = embed_body};
