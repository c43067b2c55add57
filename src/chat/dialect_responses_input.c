/* The input of OpenAI's responses: items become messages.
 * Source: the OpenAPI description of the OpenAI API. */
#include <string.h>

#include "chat/dialect_parts.h"
#include "chat/dialect_responses.h"

enum { ITEMS_MAX = MESSAGES_MAX };

/* ---- content ---- */

static json_t *text_part(struct fields *part, const char *name, const char *as) {
    static const struct field_kept kept[] = {{"annotations", FIELD_ARRAY},
                                             {"logprobs", FIELD_ARRAY}};
    json_t *text = field_string(part, name);
    fields_check_kept(part, kept, sizeof kept / sizeof kept[0]);
    if (!text) field_need(part, name);
    return json_pack("{s:s, s:O?}", "type", as, as, text);
}

static json_t *image_part(struct fields *part) {
    json_t *url = field_string(part, "image_url"), *detail = field_string(part, "detail");
    if (!url) field_problem(part, "image_url", "is missing; stored files are not available here");
    return json_pack("{s:s, s:{s:O?, s:O*}}", "type", "image_url", "image_url", "url", url,
                     "detail", detail);
}

static json_t *make_part(struct fields *part) {
    const char *type = field_word(part, "type");
    if (!type)
        field_problem(part, "type", "is missing");
    else if (strcmp(type, "input_text") == 0 || strcmp(type, "output_text") == 0 ||
             strcmp(type, "text") == 0)
        return text_part(part, "text", "text");
    else if (strcmp(type, "refusal") == 0)
        return text_part(part, "refusal", "refusal");
    else if (strcmp(type, "input_image") == 0)
        return image_part(part);
    return json_incref(part->object);
}

static void add_part(struct fields *part, void *parts) {
    if (json_array_append_new(parts, make_part(part)) != 0) problem_no_memory(part->problem);
}

/* A text stays one; one part of text becomes one, as templates know it best. */
static json_t *read_content(struct fields *item, const char *name) {
    json_t *content = field_need(item, name);
    if (!content || json_is_string(content)) return json_incref(content);
    json_t *parts = json_array();
    if (!json_is_array(content))
        field_problem(item, name, "must be a string or an array of parts, not %s",
                      json_type_words(content));
    fields_each(item, name, content, PARTS_MAX, add_part, parts);
    json_t *only = json_array_get(parts, 0), *text = json_object_get(only, "text");
    if (json_array_size(parts) != 1 || !json_is_string(text)) return parts;
    json_incref(text);
    json_decref(parts);
    return text;
}

/* ---- what an assistant did ---- */

/* The message of an assistant that still grows, or NULL: the last one, if it is by one. */
static json_t *last_of_assistant(const struct request *request) {
    json_t *last =
        json_array_get(request->messages, json_array_size(request->messages) - (size_t)1);
    const char *role = json_string_value(json_object_get(last, "role"));
    return role && strcmp(role, "assistant") == 0 ? last : NULL;
}

static json_t *begin_assistant(struct fields *item, struct request *request) {
    add_message(request, make_message("assistant", NULL), item->problem);
    return last_of_assistant(request);
}

static bool has_spoken(const json_t *message) {
    return json_object_get(message, "tool_calls") ||
           !json_is_null(json_object_get(message, "content"));
}

static void set_field(json_t *message, const char *name, json_t *value,
                      struct dialect_problem *problem) {
    if (json_object_set_new(message, name, value) != 0) problem_no_memory(problem);
}

/* Of {"type", "text"}. */
static void append_text(struct fields *part, void *context) {
    struct buf *out = context;
    const json_t *text = field_string(part, "text");
    if (!text) field_need(part, "text");
    if (!field_word(part, "type")) field_need(part, "type");
    if (out->length > 0) buf_append_text(out, "\n");
    buf_append(out, json_string_value(text), json_string_length(text));
}

/* What was thought, or else its summary; encrypted thoughts go along. */
static void read_thought(struct fields *item, struct request *request) {
    json_t *message = last_of_assistant(request);
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    field_each(item, "content", PARTS_MAX, append_text, &text);
    struct buf summary = {.max_bytes = TEXT_MAX_BYTES};
    field_each(item, "summary", PARTS_MAX, append_text, text.length > 0 ? &summary : &text);
    json_t *encrypted = field_string(item, "encrypted_content");
    if (!message || has_spoken(message)) message = begin_assistant(item, request);
    if (text.length > 0) set_field(message, "reasoning_content", buf_json(&text), item->problem);
    if (encrypted) set_field(message, "encrypted_reasoning", json_incref(encrypted), item->problem);
    if (text.failed) problem_no_memory(item->problem);
    buf_release(&summary);
    buf_release(&text);
}

static void read_call(struct fields *item, struct request *request) {
    const char *id = field_word(item, "call_id"), *name = field_word(item, "name");
    json_t *arguments = field_string(item, "arguments"), *message = last_of_assistant(request);
    if (!id) field_need(item, "call_id");
    if (!name) field_need(item, "name");
    if (!arguments) field_need(item, "arguments");
    if (!fields_ok(item)) return;
    if (!message) message = begin_assistant(item, request);
    json_t *calls = json_object_get(message, "tool_calls");
    json_t *call = make_call(id, name, json_incref(arguments));
    if (calls) {
        if (json_array_append_new(calls, call) != 0) problem_no_memory(item->problem);
    } else
        set_field(message, "tool_calls", json_pack("[o]", call), item->problem);
}

static void read_call_output(struct fields *item, struct request *request) {
    const char *id = field_word(item, "call_id");
    if (!id) field_need(item, "call_id");
    json_t *output = read_content(item, "output");
    if (fields_ok(item))
        add_message(
            request,
            json_pack("{s:s, s:s, s:O}", "role", "tool", "tool_call_id", id, "content", output),
            item->problem);
    json_decref(output);
}

/* ---- items ---- */

static void read_message(struct fields *item, struct request *request) {
    static const char *const roles[] = {"user", "assistant", "system", "developer", NULL};
    int role = field_one_of(item, "role", roles);
    if (role < 0) field_problem(item, "role", "is missing");
    json_t *content = read_content(item, "content"), *last = last_of_assistant(request);
    if (!fields_ok(item))
        ;
    else if (role == 1 && last && !has_spoken(last))
        set_field(last, "content", json_incref(content), item->problem);
    else
        add_message(request, make_message(role == 3 ? "system" : roles[role], content),
                    item->problem);
    json_decref(content);
}

static void read_item(struct fields *item, void *context) {
    struct request *request = context;
    static const struct field_kept kept[] = {{"id", FIELD_STRING}, {"status", FIELD_STRING}};
    const char *type = field_word(item, "type");
    fields_check_kept(item, kept, sizeof kept / sizeof kept[0]);
    if (!type || strcmp(type, "message") == 0)
        read_message(item, request);
    else if (strcmp(type, "reasoning") == 0)
        read_thought(item, request);
    else if (strcmp(type, "function_call") == 0)
        read_call(item, request);
    else if (strcmp(type, "function_call_output") == 0)
        read_call_output(item, request);
    else
        field_problem(item, "type", "items of type '%.40s' are not known here", type);
}

void read_response_input(struct fields *body, struct request *request) {
    json_t *input = field_need(body, "input");
    if (json_is_string(input))
        add_message(request, make_message("user", input), body->problem);
    else if (input && !json_is_array(input))
        field_problem(body, "input", "must be a string or an array of items, not %s",
                      json_type_words(input));
    else if (input && json_array_size(input) == 0)
        field_problem(body, "input", "is empty");
    fields_each(body, "input", input, ITEMS_MAX, read_item, request);
}
