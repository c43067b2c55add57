/* Conversations as others write them, checked and in OpenAI's shape. */
#include <string.h>

#include "base/nearest.h"
#include "train/dataset_schema.h"

enum { MAX_MESSAGES = 100000 };

bool messages_add(json_t *messages, const char *role, const json_t *content) {
    json_t *message = json_pack("{s:s, s:O}", "role", role, "content", content);
    return message && json_array_append_new(messages, message) == 0;
}

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the record");
}

static const char *role_of(const json_t *message) {
    return json_string_value(json_object_get(message, "role"));
}

static bool has_assistant(const json_t *messages) {
    size_t i;
    json_t *message;
    json_array_foreach(messages, i, message) {
        if (strcmp(role_of(message), "assistant") == 0) return true;
    }
    return false;
}

static hearth_status check_list(const json_t *list, const char *what, hearth_error *err) {
    if (!json_is_array(list) || json_array_size(list) == 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "'%s' is %s", what,
                         json_is_array(list) ? "an empty conversation" : "not a list of messages");
    if (json_array_size(list) > MAX_MESSAGES)
        return error_set(err, HEARTH_ERROR_LIMIT, "'%s' has %zu messages; at most %d are read",
                         what, json_array_size(list), MAX_MESSAGES);
    return HEARTH_OK;
}

static hearth_status unknown_role(const char *what, size_t i, const char *given,
                                  const char *const *known, size_t n, hearth_error *err) {
    const char *near = given ? nearest_name(given, known, n) : NULL;
    if (!given)
        return error_set(err, HEARTH_ERROR_FORMAT, "message %zu of '%s' does not say who speaks",
                         i + 1, what);
    return error_set(err, HEARTH_ERROR_FORMAT, "message %zu of '%s' is by '%.40s'%s%s%s", i + 1,
                     what, given, near ? "; did you mean '" : ", which is no role",
                     near ? near : "", near ? "'?" : "");
}

/* ---- OpenAI ---- */

static hearth_status check_content(const json_t *message, const char *what, size_t i,
                                   hearth_error *err) {
    const json_t *content = json_object_get(message, "content");
    const json_t *calls = json_object_get(message, "tool_calls");
    size_t k;
    json_t *part;
    if (calls && !json_is_null(calls) && !json_is_array(calls))
        return error_set(err, HEARTH_ERROR_FORMAT, "'tool_calls' of message %zu is not a list",
                         i + 1);
    if (json_is_string(content)) return HEARTH_OK;
    if (!content || json_is_null(content)) {
        if (json_array_size(calls) > 0 || json_object_get(message, "function_call"))
            return HEARTH_OK;
        return error_set(err, HEARTH_ERROR_FORMAT, "message %zu of '%s' has no 'content'", i + 1,
                         what);
    }
    if (!json_is_array(content))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "'content' of message %zu of '%s' is neither text nor parts", i + 1, what);
    json_array_foreach(content, k, part) {
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!json_is_string(json_object_get(part, "text")))
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "message %zu of '%s' has a part of type '%.40s'; only text can be "
                             "trained on",
                             i + 1, what, type ? type : "?");
    }
    return HEARTH_OK;
}

/* OpenAI's older function_call becomes one tool call. */
static hearth_status modernise_call(json_t *message, hearth_error *err) {
    json_t *call = json_object_get(message, "function_call");
    if (!json_is_object(call) || json_object_get(message, "tool_calls")) return HEARTH_OK;
    json_t *calls = json_pack("[{s:s, s:O}]", "type", "function", "function", call);
    if (!calls || json_object_set_new(message, "tool_calls", calls) != 0) return no_memory(err);
    json_object_del(message, "function_call");
    return HEARTH_OK;
}

json_t *messages_from_openai(const json_t *list, const char *what, bool needs_assistant,
                             hearth_error *err) {
    static const char *const roles[] = {"system", "user",     "assistant",
                                        "tool",   "function", "developer"};
    enum { N = sizeof roles / sizeof roles[0] };
    size_t i;
    json_t *message;
    if (check_list(list, what, err) != HEARTH_OK) return NULL;
    json_t *copy = json_deep_copy(list);
    hearth_status status = copy ? HEARTH_OK : no_memory(err);
    json_array_foreach(copy, i, message) {
        const char *role = role_of(message);
        size_t k = 0;
        while (role && k < N && strcmp(role, roles[k]) != 0)
            k++;
        if (!role || k == N) status = unknown_role(what, i, role, roles, N, err);
        if (status == HEARTH_OK) status = check_content(message, what, i, err);
        if (status == HEARTH_OK) status = modernise_call(message, err);
        if (status != HEARTH_OK) break;
    }
    if (status == HEARTH_OK && needs_assistant && !has_assistant(copy))
        status = error_set(err, HEARTH_ERROR_FORMAT,
                           "'%s' has no message of the assistant: nothing to train", what);
    if (status == HEARTH_OK) return copy;
    json_decref(copy);
    return NULL;
}

/* ---- ShareGPT ---- */

static const char *const speakers[] = {
    "human",  "user", "gpt",           "assistant", "model",       "chatgpt",  "bot",
    "system", "tool", "function_call", "tool_call", "observation", "function", "function_response"};
enum { N_SPEAKERS = sizeof speakers / sizeof speakers[0] };

static const char *role_of_speaker(const char *speaker) {
    static const char *const roles[N_SPEAKERS] = {
        "user",   "user", "assistant", "assistant", "assistant", "assistant", "assistant",
        "system", "tool", "call",      "call",      "tool",      "tool",      "tool"};
    for (size_t i = 0; speaker && i < N_SPEAKERS; i++)
        if (strcmp(speaker, speakers[i]) == 0) return roles[i];
    return NULL;
}

/* The text of a function_call is {"name", "arguments"}, or a list of them. */
static json_t *message_of_call(const json_t *value, size_t i, hearth_error *err) {
    json_t *parsed = json_loadb(json_string_value(value), json_string_length(value), 0, NULL);
    json_t *list = json_is_object(parsed) ? json_pack("[O]", parsed) : json_incref(parsed);
    json_t *calls = json_array(), *call;
    size_t k;
    bool ok = json_array_size(list) > 0 && calls;
    json_array_foreach(list, k, call) {
        ok = ok && json_is_string(json_object_get(call, "name")) &&
             json_object_get(call, "arguments") &&
             json_array_append_new(
                 calls, json_pack("{s:s, s:O}", "type", "function", "function", call)) == 0;
    }
    json_decref(list);
    json_decref(parsed);
    json_t *message =
        ok ? json_pack("{s:s, s:s, s:O}", "role", "assistant", "content", "", "tool_calls", calls)
           : NULL;
    json_decref(calls);
    if (!message)
        error_set(err, HEARTH_ERROR_FORMAT,
                  "message %zu is a function_call whose value is not JSON of the form "
                  "{\"name\": …, \"arguments\": …}",
                  i + 1);
    return message;
}

static json_t *message_of_turn(const json_t *turn, const char *what, size_t i, hearth_error *err) {
    const char *speaker = json_string_value(json_object_get(turn, "from"));
    const char *role = role_of_speaker(speaker);
    json_t *value = json_object_get(turn, "value"), *weight = json_object_get(turn, "weight");
    if (!role) {
        unknown_role(what, i, speaker, speakers, N_SPEAKERS, err);
        return NULL;
    }
    if (!json_is_string(value)) {
        error_set(err, HEARTH_ERROR_FORMAT, "message %zu of '%s' has no text in 'value'", i + 1,
                  what);
        return NULL;
    }
    if (strcmp(role, "call") == 0) return message_of_call(value, i, err);
    json_t *message = json_pack("{s:s, s:O}", "role", role, "content", value);
    if (message && (!weight || json_object_set(message, "weight", weight) == 0)) return message;
    json_decref(message);
    no_memory(err);
    return NULL;
}

json_t *messages_from_sharegpt(const json_t *list, const char *what, bool needs_assistant,
                               hearth_error *err) {
    size_t i;
    json_t *turn;
    if (check_list(list, what, err) != HEARTH_OK) return NULL;
    json_t *messages = json_array();
    hearth_status status = messages ? HEARTH_OK : no_memory(err);
    json_array_foreach(list, i, turn) {
        json_t *message = status == HEARTH_OK ? message_of_turn(turn, what, i, err) : NULL;
        if (!message || json_array_append_new(messages, message) != 0) status = HEARTH_ERROR_FORMAT;
        if (status != HEARTH_OK) break;
    }
    if (status == HEARTH_OK && needs_assistant && !has_assistant(messages))
        status = error_set(err, HEARTH_ERROR_FORMAT,
                           "'%s' has no message of the assistant: nothing to train", what);
    if (status == HEARTH_OK) return messages;
    json_decref(messages);
    return NULL;
}
