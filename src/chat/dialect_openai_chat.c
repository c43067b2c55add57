/* OpenAI's chat completions, with what DeepSeek, llama.cpp's server and vLLM add to them.
 * Source: the OpenAPI description of the OpenAI API; thinking is given as reasoning_content
 * (DeepSeek, llama.cpp) and as reasoning (vLLM, OpenRouter). */
#include "chat/dialect_openai.h"
#include "chat/dialect_parts.h"

/* ---- requests ---- */

static void parse_chat(struct fields *body, struct request *request) {
    static const char *const limits[] = {"max_completion_tokens", "max_tokens", "n_predict", NULL};
    static const struct field_kept kept[] = {
        {"user", FIELD_STRING},          {"metadata", FIELD_OBJECT},
        {"store", FIELD_FLAG},           {"service_tier", FIELD_STRING},
        {"verbosity", FIELD_STRING},     {"prompt_cache_key", FIELD_STRING},
        {"modalities", FIELD_ARRAY},     {"prediction", FIELD_OBJECT},
        {"cache_prompt", FIELD_FLAG},    {"safety_identifier", FIELD_STRING},
        {"id_slot", FIELD_INTEGER},      {"audio", FIELD_OBJECT},
        {"return_progress", FIELD_FLAG}, {"web_search_options", FIELD_OBJECT}};
    request->kind = REQUEST_CHAT;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_messages(body, request);
    request->documents = json_incref(field_array(body, "documents", PARTS_MAX));
    read_tools(body, request);
    read_max_tokens(body, limits, request);
    read_limits(body, request);
    read_sampling(body, request);
    read_chat_logprobs(body, request);
    read_format(body, "response_format", request);
    read_guided(body, request);
    read_thinking(body, request);
}

/* ---- answers ---- */

static bool wants_functions(const struct answer_writer *w) {
    return json_object_get(w->shape, "functions") != NULL;
}

static const char *reason_of(const struct answer_writer *w, enum finish_reason reason) {
    if (reason == FINISH_TOOL_CALLS && wants_functions(w)) return "function_call";
    return openai_reason(reason);
}

/* The calls of a message, or the one call of those who asked for functions. */
static bool set_calls(const struct answer_writer *w, const struct answer_choice *choice,
                      json_t *message) {
    json_t *calls = json_array();
    for (size_t i = 0; i < choice->n_calls; i++)
        json_array_append_new(calls, make_call(choice->calls[i].id, choice->calls[i].name,
                                               buf_json(&choice->calls[i].arguments)));
    calls = whole_list(calls, choice->n_calls);
    if (!wants_functions(w)) return set_json(message, "tool_calls", calls);
    json_t *function = json_object_get(json_array_get(calls, 0), "function");
    bool ok = json_object_set(message, "function_call", function) == 0;
    json_decref(calls);
    return ok;
}

static json_t *message_of(const struct answer_writer *w, const struct answer_choice *choice) {
    bool empty = choice->text.length == 0 && choice->n_calls > 0;
    json_t *message = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content",
                                empty ? json_null() : buf_json(&choice->text), "refusal");
    bool ok = message != NULL;
    if (choice->reasoning.length > 0)
        ok = ok && set_json(message, "reasoning_content", buf_json(&choice->reasoning)) &&
             json_object_set(message, "reasoning", json_object_get(message, "reasoning_content")) ==
                 0;
    if (choice->n_calls > 0) ok = ok && set_calls(w, choice, message);
    if (ok) return message;
    json_decref(message);
    return NULL;
}

static json_t *logprobs_of(json_t *content) {
    return content ? json_pack("{s:o, s:n}", "content", content, "refusal") : json_null();
}

static bool chat_body(struct answer_writer *w, struct buf *out) {
    json_t *choices = json_array();
    for (size_t i = 0; i < w->n_choices; i++) {
        struct answer_choice *choice = &w->choices[i];
        json_array_append_new(choices, json_pack("{s:I, s:o, s:o, s:s}", "index", (json_int_t)i,
                                                 "message", message_of(w, choice), "logprobs",
                                                 logprobs_of(json_incref(choice->logprobs)),
                                                 "finish_reason", reason_of(w, choice->reason)));
    }
    return openai_put_body(w, "chat.completion", choices, out);
}

/* ---- streams ---- */

/* Takes the delta and the log-probabilities (NULL: none). */
static bool put_delta(struct answer_writer *w, uint32_t choice, json_t *delta, json_t *logprobs,
                      const char *reason, struct buf *out) {
    json_t *entry = json_pack("{s:I, s:o, s:s?}", "index", (json_int_t)choice, "delta", delta,
                              "finish_reason", reason);
    bool ok = !logprobs || set_json(entry, "logprobs", logprobs_of(logprobs));
    return openai_put_chunk(w, "chat.completion.chunk", entry, out) && ok;
}

static bool put_role(struct answer_writer *w, uint32_t choice, struct buf *out) {
    if (w->choices[choice].begun) return true;
    w->choices[choice].begun = true;
    return put_delta(w, choice, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL,
                     NULL, out);
}

static bool put_text(struct answer_writer *w, const struct event *event, struct buf *out) {
    json_t *text = text_json(event->text.data, event->text.length), *logprobs = NULL;
    if (event->kind == EVENT_REASONING)
        return put_delta(w, event->choice,
                         json_pack("{s:O, s:o}", "reasoning_content", text, "reasoning", text),
                         NULL, NULL, out);
    if (!piece_logprobs(w, event, &logprobs)) {
        json_decref(text);
        return false;
    }
    return put_delta(w, event->choice, json_pack("{s:o}", "content", text), logprobs, NULL, out);
}

/* The first piece of a call has its id and name, the others only more of the arguments. */
static json_t *call_piece(const struct event *event, json_t *function) {
    if (event->tool_call.id)
        return json_pack("{s:I, s:s, s:s, s:o}", "index", (json_int_t)event->tool_call.index, "id",
                         event->tool_call.id, "type", "function", "function", function);
    return json_pack("{s:I, s:o}", "index", (json_int_t)event->tool_call.index, "function",
                     function);
}

static bool put_call(struct answer_writer *w, const struct event *event, struct buf *out) {
    json_t *arguments = text_json(event->tool_call.arguments, event->tool_call.length);
    json_t *function =
        event->tool_call.name
            ? json_pack("{s:s, s:o}", "name", event->tool_call.name, "arguments", arguments)
            : json_pack("{s:o}", "arguments", arguments);
    json_t *delta = wants_functions(w)
                        ? json_pack("{s:o}", "function_call", function)
                        : json_pack("{s:[o]}", "tool_calls", call_piece(event, function));
    return put_delta(w, event->choice, delta, NULL, NULL, out);
}

static bool stream_chat(struct answer_writer *w, const struct event *event, struct buf *out) {
    switch (event->kind) {
    case EVENT_STARTED:
        for (uint32_t i = 0; i < w->n_choices; i++)
            if (!put_role(w, i, out)) return false;
        return true;
    case EVENT_REASONING:
    case EVENT_TEXT: return put_text(w, event, out);
    case EVENT_TOOL_CALL: return put_call(w, event, out);
    case EVENT_FINISHED:
        return put_delta(w, event->choice, json_object(), NULL,
                         reason_of(w, event->finished.reason), out);
    case EVENT_DONE: return openai_put_end(w, "chat.completion.chunk", out);
    case EVENT_EMBEDDING:
    case EVENT_FAILED: break;
    }
    return true;
}

static const struct answer_ops chat_answer = {.id_prefix = "chatcmpl-",
                                              .body = chat_body,
                                              .stream = stream_chat,
                                              .failure = openai_put_failure,
                                              .add_logprob = add_chat_logprob};

const struct endpoint_ops openai_chat_endpoint = {
    .parse = parse_chat, .problem = openai_problem, .answer = &chat_answer};
