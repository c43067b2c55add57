/* The messages of chat completions, checked, and messages of other dialects made of parts. */
#include <string.h>

#include "chat/dialect_parts.h"

bool add_message(struct request *request, json_t *message, struct dialect_problem *problem) {
    if (!request->messages) request->messages = json_array();
    return json_array_append_new(request->messages, message) == 0 || problem_no_memory(problem);
}

json_t *make_message(const char *role, json_t *content) {
    return json_pack("{s:s, s:O?}", "role", role, "content", content);
}

/* ---- content ---- */

static void check_image(struct fields *part) {
    const json_t *image = json_object_get(part->object, "image_url");
    struct fields holder;
    if (json_is_string(image)) return;
    if (!field_object(part, "image_url", &holder)) {
        field_need(part, "image_url");
        return;
    }
    static const struct field_kept kept[] = {{"url", FIELD_STRING}, {"detail", FIELD_STRING}};
    fields_check_kept(&holder, kept, sizeof kept / sizeof kept[0]);
    field_need(&holder, "url");
}

/* Parts that are not known stay as they are: whoever answers knows them or refuses them. */
static void check_part(struct fields *part, void *context) {
    (void)context;
    const char *type = field_word(part, "type");
    if (!type)
        field_problem(part, "type", "is missing");
    else if (strcmp(type, "text") == 0) {
        if (!field_string(part, "text")) field_need(part, "text");
    } else if (strcmp(type, "refusal") == 0) {
        if (!field_string(part, "refusal")) field_need(part, "refusal");
    } else if (strcmp(type, "image_url") == 0) {
        check_image(part);
    } else if (strcmp(type, "input_audio") == 0 || strcmp(type, "file") == 0) {
        if (!field_any_object(part, type)) field_need(part, type);
    }
}

static void check_content(struct fields *message, bool may_miss) {
    json_t *content = may_miss ? field_take(message, "content") : field_need(message, "content");
    fields_each(message, "content", content, PARTS_MAX, check_part, NULL);
    if (content && !json_is_string(content) && !json_is_array(content))
        field_problem(message, "content", "must be a string or an array of parts, not %s",
                      json_type_words(content));
}

/* ---- calls ---- */

static void check_function_call(struct fields *function) {
    const json_t *arguments = field_take(function, "arguments");
    if (!field_word(function, "name")) field_need(function, "name");
    if (arguments && !json_is_string(arguments) && !json_is_object(arguments))
        field_problem(function, "arguments", "must be a string of JSON, not %s",
                      json_type_words(arguments));
}

static void check_call(struct fields *call, void *context) {
    (void)context;
    static const struct field_kept kept[] = {{"id", FIELD_STRING}, {"type", FIELD_STRING}};
    struct fields function;
    fields_check_kept(call, kept, sizeof kept / sizeof kept[0]);
    if (field_object(call, "function", &function))
        check_function_call(&function);
    else
        field_need(call, "function");
}

/* The older function_call becomes the only one of tool_calls. */
static bool modernise_call(struct fields *message, json_t *changed) {
    struct fields function;
    json_t *call = json_object_get(message->object, "function_call");
    if (!field_object(message, "function_call", &function)) return false;
    check_function_call(&function);
    json_t *calls =
        json_pack("[{s:s, s:s, s:O}]", "id", "call_0", "type", "function", "function", call);
    json_object_del(changed, "function_call");
    if (json_object_set_new(changed, "tool_calls", calls) != 0) problem_no_memory(message->problem);
    return true;
}

/* ---- messages ---- */

enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION };

static void rename_role(json_t *message, const char *role, struct dialect_problem *problem) {
    if (json_object_set_new(message, "role", json_string(role)) != 0) problem_no_memory(problem);
}

static void read_message(struct fields *message, void *context) {
    static const char *const roles[] = {"system", "developer", "user", "assistant",
                                        "tool",   "function",  NULL};
    static const struct field_kept kept[] = {{"name", FIELD_STRING},
                                             {"tool_call_id", FIELD_STRING},
                                             {"refusal", FIELD_STRING},
                                             {"reasoning_content", FIELD_STRING},
                                             {"reasoning", FIELD_STRING}};
    int role = field_one_of(message, "role", roles);
    if (role < 0) field_problem(message, "role", "is missing");
    json_t *changed = object_copy(message->object); /* the fields are shared */
    if (!changed) {
        problem_no_memory(message->problem);
        return;
    }
    fields_check_kept(message, kept, sizeof kept / sizeof kept[0]);
    bool calls = false;
    if (role == ROLE_ASSISTANT) {
        calls = json_array_size(field_each(message, "tool_calls", CALLS_MAX, check_call, NULL)) > 0;
        calls |= modernise_call(message, changed);
    }
    check_content(message, calls || json_object_get(message->object, "reasoning_content") ||
                               json_object_get(message->object, "reasoning") ||
                               json_object_get(message->object, "refusal"));
    if (role == ROLE_DEVELOPER) rename_role(changed, "system", message->problem);
    if (role == ROLE_FUNCTION) rename_role(changed, "tool", message->problem);
    add_message(context, changed, message->problem);
}

void read_messages(struct fields *fields, struct request *request) {
    const json_t *list = field_each(fields, "messages", MESSAGES_MAX, read_message, request);
    if (json_array_size(list) == 0)
        field_problem(fields, "messages", list ? "is empty" : "is missing");
}
