/* Tools and the choice among them, in the shape of chat completions. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_parts.h"

json_t *make_tool(const char *name, json_t *description, json_t *parameters, json_t *strict) {
    return json_pack("{s:s, s:{s:s, s:O*, s:O*, s:O*}}", "type", "function", "function", "name",
                     name, "description", description, "parameters", parameters, "strict", strict);
}

json_t *make_call(const char *id, const char *name, json_t *arguments) {
    if (arguments && !json_is_string(arguments)) {
        char *dumped = json_dumps(arguments, JSON_COMPACT | JSON_ENCODE_ANY);
        json_decref(arguments);
        arguments = dumped ? json_string(dumped) : NULL;
        free(dumped);
    }
    return json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", id, "type", "function", "function", "name",
                     name, "arguments", arguments);
}

bool add_tool(struct request *request, json_t *tool, struct dialect_problem *problem) {
    if (!request->tools) request->tools = json_array();
    return json_array_append_new(request->tools, tool) == 0 || problem_no_memory(problem);
}

json_t *read_function(struct fields *function) {
    char *name = NULL;
    json_t *description = field_string(function, "description");
    json_t *parameters = field_any_object(function, "parameters");
    json_t *strict = field_take(function, "strict"), *tool = NULL;
    if (strict && !json_is_boolean(strict))
        field_problem(function, "strict", "must be true or false, not %s", json_type_words(strict));
    if (!field_text(function, "name", TEXT_MAX_NAME_BYTES, &name))
        field_problem(function, "name", "is missing");
    if (fields_ok(function)) {
        tool = make_tool(name, description, parameters, strict);
        if (!tool) problem_no_memory(function->problem);
    }
    mem_free(name);
    return tool;
}

/* ---- lists ---- */

static void read_tool(struct fields *tool, void *context) {
    struct request *request = context;
    static const char *const types[] = {"function", NULL};
    struct fields function;
    const char *type = field_word(tool, "type");
    if (type && strcmp(type, types[0]) != 0)
        field_problem(tool, "type", "tools of type '%.40s' are not available here; functions are",
                      type);
    else if (field_object(tool, "function", &function))
        add_tool(request, read_function(&function), tool->problem);
    else
        field_problem(tool, "function", "is missing");
}

static void read_old_function(struct fields *function, void *context) {
    add_tool(context, read_function(function), function->problem);
}

/* ---- choice ---- */

static bool has_tool(const struct request *request, const char *name) {
    json_t *tool;
    size_t i;
    json_array_foreach(request->tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0) return true;
    }
    return false;
}

void check_tool_choice(struct fields *fields, const char *name, const struct request *request) {
    if (!fields_ok(fields)) return;
    if (request->tool_choice == TOOLS_REQUIRED && json_array_size(request->tools) == 0)
        field_problem(fields, name, "a call is required, but there are no tools");
    if (request->tool_choice == TOOLS_NAMED && !has_tool(request, request->tool_name))
        field_problem(fields, name, "'%.60s' is not among the tools", request->tool_name);
}

static void read_choice_name(struct fields *holder, struct request *request) {
    if (field_text(holder, "name", TEXT_MAX_NAME_BYTES, &request->tool_name))
        request->tool_choice = TOOLS_NAMED;
    else
        field_problem(holder, "name", "is missing");
}

static void read_choice_word(struct fields *fields, const char *name, struct request *request) {
    static const char *const words[] = {"auto", "none", "required", NULL};
    static const enum tool_choice choices[] = {TOOLS_AUTO, TOOLS_NONE, TOOLS_REQUIRED};
    int word = field_one_of(fields, name, words);
    if (word >= 0) request->tool_choice = choices[word];
}

void read_tool_choice(struct fields *fields, struct request *request) {
    static const char *const types[] = {"function", NULL};
    struct fields choice, function;
    bool parallel;
    if (field_flag(fields, "parallel_tool_calls", &parallel)) request->one_tool_call = !parallel;
    if (!json_is_object(json_object_get(fields->object, "tool_choice"))) {
        const json_t *given = json_object_get(fields->object, "tool_choice");
        if (given && !json_is_string(given) && !json_is_null(given))
            field_problem(fields, "tool_choice", "must be a string or an object, not %s",
                          json_type_words(given));
        read_choice_word(fields, "tool_choice", request);
    } else if (field_object(fields, "tool_choice", &choice)) {
        if (field_one_of(&choice, "type", types) < 0)
            field_problem(&choice, "type", "is missing");
        else if (field_object(&choice, "function", &function))
            read_choice_name(&function, request);
        else /* as responses write it */
            read_choice_name(&choice, request);
    }
    check_tool_choice(fields, "tool_choice", request);
}

/* What tools were called first: the answer names its call in the same way. */
static void read_old_functions(struct fields *fields, struct request *request) {
    struct fields choice;
    const json_t *call = json_object_get(fields->object, "function_call");
    field_each(fields, "functions", TOOLS_MAX, read_old_function, request);
    if (json_is_object(call)) {
        if (field_object(fields, "function_call", &choice)) read_choice_name(&choice, request);
    } else if (call && !json_is_null(call) && !json_is_string(call)) {
        field_problem(fields, "function_call", "must be a string or an object, not %s",
                      json_type_words(call));
    } else
        read_choice_word(fields, "function_call", request);
    request->one_tool_call = true;
    set_shape(request, "functions", json_true(), fields->problem);
    check_tool_choice(fields, "function_call", request);
}

void read_tools(struct fields *fields, struct request *request) {
    field_each(fields, "tools", TOOLS_MAX, read_tool, request);
    read_tool_choice(fields, request);
    if (field_take(fields, "functions")) read_old_functions(fields, request);
}
