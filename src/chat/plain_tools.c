#include "chat/plain_tools.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define MAX_TEXT_BYTES ((size_t)64 << 20)

static const char *role_of(const json_t *message) {
    const char *role = json_string_value(json_object_get(message, "role"));
    return role ? role : "";
}

bool plain_tools_are_needed(const json_t *messages, const json_t *tools) {
    const json_t *message;
    size_t i;
    if (json_array_size(tools) > 0) return true;
    json_array_foreach(messages, i, message) if (strcmp(role_of(message), "tool") == 0 ||
                                                 json_array_size(json_object_get(
                                                     message, "tool_calls")) > 0) return true;
    return false;
}

static void append_json(struct buf *out, const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text || !buf_append_text(out, text)) out->failed = true;
    free(text);
}

/* Content is a text or an array of parts, of which the texts count. */
static void append_content(struct buf *out, const json_t *content) {
    const json_t *part;
    size_t i;
    if (json_is_string(content))
        buf_append(out, json_string_value(content), json_string_length(content));
    json_array_foreach(content, i, part) {
        const json_t *text = json_object_get(part, "text");
        buf_append(out, json_string_value(text), json_string_length(text));
    }
}

static void append_tools(struct buf *out, const json_t *tools) {
    const json_t *tool;
    size_t i;
    buf_append_text(out, "You may call one or more functions to assist with the user query.\n\n"
                         "You are provided with function signatures within <tools></tools> tags:\n"
                         "<tools>\n");
    json_array_foreach(tools, i, tool) {
        append_json(out, tool);
        buf_append_char(out, '\n');
    }
    buf_append_text(out,
                    "</tools>\n\nFor each function call, return a JSON object with the function's "
                    "name and arguments within <tool_call></tool_call> tags:\n<tool_call>\n"
                    "{\"name\": \"NAME\", \"arguments\": {ARGUMENTS}}\n</tool_call>");
}

/* {"name": …, "arguments": …} of a call, whose arguments are JSON in a text, or an object. */
static void append_call(struct buf *out, const json_t *call) {
    const json_t *function = json_object_get(call, "function");
    const json_t *arguments = json_object_get(function, "arguments");
    buf_append_text(out, "<tool_call>\n{\"name\": ");
    append_json(out, json_object_get(function, "name"));
    buf_append_text(out, ", \"arguments\": ");
    if (json_is_string(arguments))
        buf_append(out, json_string_value(arguments), json_string_length(arguments));
    else
        append_json(out, arguments);
    buf_append_text(out, "}\n</tool_call>");
}

/* A message of its own, whose content is the text; the buffer is empty afterwards. */
static bool add_message(json_t *messages, const char *role, struct buf *text) {
    json_t *message = text->failed ? NULL
                                   : json_pack("{s:s, s:s%}", "role", role, "content",
                                               buf_text(text), text->length);
    buf_clear(text);
    return json_array_append_new(messages, message) == 0;
}

static bool tell_calls(json_t *messages, const json_t *message, struct buf *text) {
    const json_t *call, *calls = json_object_get(message, "tool_calls");
    json_t *copy = json_copy((json_t *)(uintptr_t)message);
    size_t i;
    append_content(text, json_object_get(message, "content"));
    json_array_foreach(calls, i, call) {
        if (text->length) buf_append_char(text, '\n');
        append_call(text, call);
    }
    json_object_del(copy, "tool_calls");
    json_t *content = json_stringn(buf_text(text), text->length);
    bool ok = !text->failed && json_object_set_new(copy, "content", content) == 0;
    buf_clear(text);
    if (!ok) {
        json_decref(copy);
        return false;
    }
    return json_array_append_new(messages, copy) == 0;
}

/* Results that follow one another are one message, as roles must alternate for many templates. */
static void tell_result(const json_t *message, struct buf *results) {
    if (results->length) buf_append_char(results, '\n');
    buf_append_text(results, "<tool_response>\n");
    append_content(results, json_object_get(message, "content"));
    buf_append_text(results, "\n</tool_response>");
}

static bool tell_system(json_t *messages, const json_t *first, const json_t *tools,
                        struct buf *text) {
    if (first) {
        append_content(text, json_object_get(first, "content"));
        buf_append_text(text, "\n\n");
    }
    append_tools(text, tools);
    return add_message(messages, first ? role_of(first) : "system", text);
}

static bool tell_all(const json_t *messages, const json_t *tools, json_t *out, struct buf *text,
                     struct buf *results) {
    const json_t *first = json_array_get(messages, 0), *message;
    bool has_system =
        strcmp(role_of(first), "system") == 0 || strcmp(role_of(first), "developer") == 0;
    bool tells = json_array_size(tools) > 0, ok = true;
    size_t i;
    if (tells) ok = tell_system(out, has_system ? first : NULL, tools, text);
    json_array_foreach(messages, i, message) {
        bool is_result = strcmp(role_of(message), "tool") == 0;
        if (tells && has_system && i == 0) continue;
        if (is_result) tell_result(message, results);
        if (!is_result && results->length) ok = add_message(out, "user", results) && ok;
        if (!is_result && json_array_size(json_object_get(message, "tool_calls")) > 0)
            ok = tell_calls(out, message, text) && ok;
        else if (!is_result)
            ok = json_array_append(out, (json_t *)(uintptr_t)message) == 0 && ok;
    }
    if (results->length) ok = add_message(out, "user", results) && ok;
    return ok && !text->failed && !results->failed;
}

hearth_status plain_tools_tell(const json_t *messages, const json_t *tools, json_t **out,
                               hearth_error *err) {
    struct buf text, results;
    json_t *told = json_array();
    buf_init(&text, MAX_TEXT_BYTES);
    buf_init(&results, MAX_TEXT_BYTES);
    bool ok = told && tell_all(messages, tools, told, &text, &results);
    buf_release(&text);
    buf_release(&results);
    *out = ok ? told : NULL;
    if (ok) return HEARTH_OK;
    json_decref(told);
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the messages");
}
