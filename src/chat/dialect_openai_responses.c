/* OpenAI's responses: requests. Nothing is stored, so every request brings its whole history.
 * Source: the OpenAPI description of the OpenAI API. */
#include <string.h>

#include "chat/dialect_parts.h"
#include "chat/dialect_responses.h"

enum { INCLUDES_MAX = 64 };

/* ---- tools ---- */

static void read_tool(struct fields *tool, void *context) {
    const char *type = field_word(tool, "type");
    if (!type)
        field_problem(tool, "type", "is missing");
    else if (strcmp(type, "function") != 0)
        field_problem(tool, "type", "tools of type '%.40s' are not available here; functions are",
                      type);
    else
        add_tool(context, read_function(tool), tool->problem);
}

/* ---- what the answer repeats ---- */

static json_t *repeated_tools(const struct request *request) {
    json_t *list = json_array(), *tool;
    size_t i;
    json_array_foreach(request->tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        json_array_append_new(list,
                              json_pack("{s:s, s:O, s:O*, s:O?, s:O?}", "type", "function", "name",
                                        json_object_get(function, "name"), "description",
                                        json_object_get(function, "description"), "parameters",
                                        json_object_get(function, "parameters"), "strict",
                                        json_object_get(function, "strict")));
    }
    return whole_list(list, json_array_size(request->tools));
}

static json_t *repeated_text(const json_t *given) {
    json_t *text = json_is_object(given) ? object_copy(given) : json_object();
    if (json_object_get(text, "format") ||
        set_json(text, "format", json_pack("{s:s}", "type", "text")))
        return text;
    json_decref(text);
    return NULL;
}

static void repeat(struct fields *body, struct request *request) {
    static const char *const names[] = {"instructions", "max_output_tokens", "temperature",
                                        "top_p",        "tool_choice",       "reasoning",
                                        "metadata",     "truncation",        "user",
                                        "top_logprobs", "max_tool_calls",    "service_tier"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *value = json_object_get(body->object, names[i]);
        if (value && !json_is_null(value))
            set_shape(request, names[i], json_incref(value), body->problem);
    }
    set_shape(request, "tools", repeated_tools(request), body->problem);
    set_shape(request, "text", repeated_text(json_object_get(body->object, "text")), body->problem);
    set_shape(request, "parallel_tool_calls", json_boolean(!request->one_tool_call), body->problem);
}

/* ---- bodies ---- */

static void refuse_state(struct fields *body) {
    fields_refuse(body, "previous_response_id",
                  "responses are not stored here; send their items in 'input'");
    fields_refuse(body, "conversation",
                  "conversations are not stored here; send their items in 'input'");
    fields_refuse(body, "prompt", "prompts are not stored here; send their text in 'input'");
    fields_refuse(body, "background", "responses are answered at once or streamed");
}

/* include: ["message.output_text.logprobs"] asks for log-probabilities, as top_logprobs does. */
static void read_logprobs(struct fields *body, struct request *request) {
    json_t *include = field_words(body, "include", INCLUDES_MAX), *word;
    int64_t top;
    size_t i;
    json_array_foreach(include, i, word) {
        if (strcmp(json_string_value(word), "message.output_text.logprobs") == 0)
            request->n_logprobs = 0;
    }
    if (field_integer(body, "top_logprobs", 0, REQUEST_MAX_LOGPROBS, &top) &&
        (top > 0 || request->n_logprobs == 0))
        request->n_logprobs = (int32_t)top;
}

static void read_text(struct fields *body, struct request *request) {
    static const struct field_kept kept[] = {{"verbosity", FIELD_STRING}};
    struct fields text;
    if (!field_object(body, "text", &text)) return;
    fields_check_kept(&text, kept, sizeof kept / sizeof kept[0]);
    read_format(&text, "format", request);
}

static void parse_response(struct fields *body, struct request *request) {
    static const char *const limits[] = {"max_output_tokens", NULL};
    static const char *const truncations[] = {"auto", "disabled", NULL};
    static const struct field_kept kept[] = {{"metadata", FIELD_OBJECT},
                                             {"store", FIELD_FLAG},
                                             {"user", FIELD_STRING},
                                             {"service_tier", FIELD_STRING},
                                             {"max_tool_calls", FIELD_INTEGER},
                                             {"prompt_cache_key", FIELD_STRING},
                                             {"safety_identifier", FIELD_STRING}};
    request->kind = REQUEST_CHAT;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    refuse_state(body);
    json_t *instructions = field_string(body, "instructions");
    if (json_string_length(instructions) > 0)
        add_message(request, make_message("system", instructions), body->problem);
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_response_input(body, request);
    field_each(body, "tools", TOOLS_MAX, read_tool, request);
    read_tool_choice(body, request);
    read_max_tokens(body, limits, request);
    read_limits(body, request);
    if (request->n_choices != 1) field_problem(body, "n", "only one answer can be asked for");
    read_sampling(body, request);
    read_logprobs(body, request);
    read_text(body, request);
    read_guided(body, request);
    read_thinking(body, request);
    request->leaves_out_oldest = field_one_of(body, "truncation", truncations) == 0;
    repeat(body, request);
}

const struct endpoint_ops openai_responses_endpoint = {
    .parse = parse_response, .problem = openai_problem, .answer = &responses_answer};
