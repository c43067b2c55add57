/* Anthropic's messages: requests. Blocks become the messages and parts of chat completions;
 * signatures of thinking and blocks that are not known go along as they are.
 * Source: the API reference of Anthropic's Messages. */
#include "chat/dialect_anthropic.h"

#include <string.h>

#include "base/mem.h"
#include "chat/dialect_parts.h"

enum { BLOCKS_MAX = PARTS_MAX };

/* One message being taken apart. */
struct turn {
    json_t *parts, *calls, *thoughts;
    struct buf reasoning;
};

static void add_to(json_t **list, json_t *value, struct dialect_problem *problem) {
    if (!*list) *list = json_array();
    if (json_array_append_new(*list, value) != 0) problem_no_memory(problem);
}

/* ---- blocks ---- */

/* {"type": "base64", "media_type", "data"} or {"type": "url", "url"}. */
static json_t *image_part(struct fields *block) {
    static const char *const types[] = {"base64", "url", NULL};
    struct fields source;
    if (!field_object(block, "source", &source)) {
        field_need(block, "source");
        return NULL;
    }
    int type = field_one_of(&source, "type", types);
    const json_t *data = type == 0 ? field_string(&source, "data") : NULL;
    const char *media = type == 0 ? field_word(&source, "media_type") : NULL;
    const char *url = type == 1 ? field_word(&source, "url") : NULL;
    if (type < 0) field_problem(&source, "type", "is missing");
    if (type == 0 && !media) field_problem(&source, "media_type", "is missing");
    if (type == 0 && !data) field_problem(&source, "data", "is missing");
    if (type == 1 && !url) field_problem(&source, "url", "is missing");
    if (!fields_ok(block)) return NULL;
    struct buf address;
    buf_init(&address, TEXT_MAX_BYTES);
    if (url)
        buf_append_text(&address, url);
    else
        buf_append_format(&address, "data:%s;base64,%s", media, json_string_value(data));
    json_t *part = address.failed ? NULL
                                  : json_pack("{s:s, s:{s:s}}", "type", "image_url", "image_url",
                                              "url", buf_text(&address));
    buf_release(&address);
    return part;
}

static void check_text(struct fields *block) {
    static const struct field_kept kept[] = {{"cache_control", FIELD_OBJECT}};
    fields_check_kept(block, kept, sizeof kept / sizeof kept[0]);
    if (!field_string(block, "text")) field_need(block, "text");
}

/* A part of the neutral shape from a block that is neither a call, a result nor thinking. */
static json_t *read_part(struct fields *block, json_t *value) {
    const char *type = field_word(block, "type");
    if (!type)
        field_problem(block, "type", "is missing");
    else if (strcmp(type, "image") == 0)
        return image_part(block);
    else if (strcmp(type, "text") == 0)
        check_text(block);
    return json_incref(value); /* a text has the same shape */
}

static json_t *read_result_content(struct fields *block) {
    json_t *content = field_take(block, "content"), *element, *parts = NULL;
    struct place outer = field_place(block, "content");
    size_t i;
    if (!content) return json_string("");
    if (json_is_string(content)) return json_incref(content);
    if (!json_is_array(content)) {
        field_problem(block, "content", "must be a string or an array of blocks, not %s",
                      json_type_words(content));
        return NULL;
    }
    json_array_foreach(content, i, element) {
        struct place place = {.up = &outer, .index = i};
        struct fields part;
        if (fields_open(&part, element, &place, block->problem))
            add_to(&parts, read_part(&part, element), block->problem);
    }
    return parts ? parts : json_string("");
}

static void read_tool_result(struct fields *block, struct request *request) {
    const char *id = field_word(block, "tool_use_id");
    bool is_error = false;
    if (!id) field_need(block, "tool_use_id");
    field_flag(block, "is_error", &is_error);
    json_t *content = read_result_content(block);
    if (!fields_ok(block)) {
        json_decref(content);
        return;
    }
    add_message(request,
                json_pack("{s:s, s:s, s:o, s:o*}", "role", "tool", "tool_call_id", id, "content",
                          content, "is_error", is_error ? json_true() : NULL),
                block->problem);
}

static void read_tool_use(struct fields *block, struct turn *turn) {
    const char *id = field_word(block, "id"), *name = field_word(block, "name");
    json_t *input = field_any_object(block, "input");
    if (!id) field_need(block, "id");
    if (!name) field_need(block, "name");
    if (!input) field_need(block, "input");
    if (fields_ok(block))
        add_to(&turn->calls, make_call(id, name, json_incref(input)), block->problem);
}

/* The text is reasoning; the block with its signature is kept for whoever gave it. */
static void read_thought(struct fields *block, json_t *value, const char *name, struct turn *turn) {
    static const struct field_kept kept[] = {{"signature", FIELD_STRING}};
    const json_t *text = field_string(block, name);
    fields_check_kept(block, kept, sizeof kept / sizeof kept[0]);
    if (!text) field_need(block, name);
    if (text && strcmp(name, "thinking") == 0)
        buf_append(&turn->reasoning, json_string_value(text), json_string_length(text));
    add_to(&turn->thoughts, json_incref(value), block->problem);
}

/* ---- messages ---- */

static void flush_user(struct turn *turn, struct request *request,
                       struct dialect_problem *problem) {
    if (turn->parts)
        add_message(request, json_pack("{s:s, s:o}", "role", "user", "content", turn->parts),
                    problem);
    turn->parts = NULL;
}

static void flush_assistant(struct turn *turn, struct request *request,
                            struct dialect_problem *problem) {
    json_t *message =
        json_pack("{s:s, s:O?, s:O*, s:O*}", "role", "assistant", "content", turn->parts,
                  "tool_calls", turn->calls, "thinking_blocks", turn->thoughts);
    if (message && turn->reasoning.length > 0 &&
        json_object_set_new(message, "reasoning_content",
                            json_stringn(turn->reasoning.data, turn->reasoning.length)) != 0)
        problem_no_memory(problem);
    if (turn->reasoning.failed) problem_no_memory(problem);
    add_message(request, message, problem);
}

static void read_block(struct fields *block, json_t *value, bool by_user, struct turn *turn,
                       struct request *request) {
    const char *type = json_word(json_object_get(value, "type"));
    if (type && by_user && strcmp(type, "tool_result") == 0) {
        flush_user(turn, request, block->problem);
        read_tool_result(block, request);
    } else if (type && !by_user && strcmp(type, "tool_use") == 0)
        read_tool_use(block, turn);
    else if (type && !by_user && strcmp(type, "thinking") == 0)
        read_thought(block, value, "thinking", turn);
    else if (type && !by_user && strcmp(type, "redacted_thinking") == 0)
        read_thought(block, value, "data", turn);
    else
        add_to(&turn->parts, read_part(block, value), block->problem);
}

static void read_blocks(struct fields *message, const json_t *blocks, bool by_user,
                        struct request *request) {
    struct turn turn = {0};
    struct place outer = field_place(message, "content");
    json_t *element;
    size_t i;
    buf_init(&turn.reasoning, TEXT_MAX_BYTES);
    json_array_foreach(blocks, i, element) {
        struct place place = {.up = &outer, .index = i};
        struct fields block;
        if (fields_open(&block, element, &place, message->problem))
            read_block(&block, element, by_user, &turn, request);
    }
    if (by_user)
        flush_user(&turn, request, message->problem);
    else
        flush_assistant(&turn, request, message->problem);
    json_decref(turn.parts);
    json_decref(turn.calls);
    json_decref(turn.thoughts);
    buf_release(&turn.reasoning);
}

static void read_message(struct fields *message, struct request *request) {
    static const char *const roles[] = {"user", "assistant", NULL};
    int role = field_one_of(message, "role", roles);
    json_t *content = field_need(message, "content");
    if (role < 0) field_problem(message, "role", "is missing");
    if (!fields_ok(message)) return;
    if (json_is_string(content))
        add_message(request, make_message(roles[role], content), message->problem);
    else if (!json_is_array(content))
        field_problem(message, "content", "must be a string or an array of blocks, not %s",
                      json_type_words(content));
    else if (json_array_size(content) > BLOCKS_MAX)
        field_problem(message, "content", "has %zu blocks; the most is %d",
                      json_array_size(content), BLOCKS_MAX);
    else
        read_blocks(message, content, role == 0, request);
}

static void read_list(struct fields *body, struct request *request) {
    json_t *list = field_array(body, "messages", MESSAGES_MAX), *element;
    struct place outer = field_place(body, "messages");
    size_t i;
    if (json_array_size(list) == 0)
        field_problem(body, "messages", list ? "is empty" : "is missing");
    json_array_foreach(list, i, element) {
        struct place place = {.up = &outer, .index = i};
        struct fields message;
        if (fields_open(&message, element, &place, body->problem)) read_message(&message, request);
        if (!fields_ok(body)) return;
    }
}

/* A text, or blocks of text. */
static void read_system(struct fields *body, struct request *request) {
    static const char *const types[] = {"text", NULL};
    json_t *system = field_take(body, "system"), *element;
    struct place outer = field_place(body, "system");
    size_t i;
    if (!system) return;
    if (!json_is_string(system) && !json_is_array(system))
        field_problem(body, "system", "must be a string or an array of blocks, not %s",
                      json_type_words(system));
    json_array_foreach(system, i, element) {
        struct place place = {.up = &outer, .index = i};
        struct fields block;
        if (!fields_open(&block, element, &place, body->problem)) return;
        if (field_one_of(&block, "type", types) < 0) field_problem(&block, "type", "is missing");
        check_text(&block);
    }
    bool empty =
        json_is_array(system) ? json_array_size(system) == 0 : json_string_length(system) == 0;
    if (!empty) add_message(request, make_message("system", system), body->problem);
}

/* ---- tools ---- */

static void read_tool(struct fields *tool, struct request *request) {
    const char *type = field_word(tool, "type"), *name = field_word(tool, "name");
    json_t *description = field_string(tool, "description");
    json_t *schema = field_any_object(tool, "input_schema");
    if (type && strcmp(type, "custom") != 0)
        field_problem(tool, "type", "tools of type '%.40s' are not available here; custom ones are",
                      type);
    if (!name || *name == '\0') field_problem(tool, "name", "is missing");
    if (!schema) field_need(tool, "input_schema");
    if (fields_ok(tool))
        add_tool(request, make_tool(name, description, schema, NULL), tool->problem);
}

static void read_choice(struct fields *body, struct request *request) {
    static const char *const types[] = {"auto", "any", "tool", "none", NULL};
    static const enum tool_choice choices[] = {TOOLS_AUTO, TOOLS_REQUIRED, TOOLS_NAMED, TOOLS_NONE};
    struct fields choice;
    if (!field_object(body, "tool_choice", &choice)) return;
    int type = field_one_of(&choice, "type", types);
    field_flag(&choice, "disable_parallel_tool_use", &request->one_tool_call);
    if (type < 0)
        field_problem(&choice, "type", "is missing");
    else
        request->tool_choice = choices[type];
    if (type == 2 && !field_text(&choice, "name", TEXT_MAX_NAME_BYTES, &request->tool_name))
        field_problem(&choice, "name", "is missing");
    check_tool_choice(body, "tool_choice", request);
}

static void read_anthropic_tools(struct fields *body, struct request *request) {
    json_t *list = field_array(body, "tools", TOOLS_MAX), *element;
    struct place outer = field_place(body, "tools");
    size_t i;
    json_array_foreach(list, i, element) {
        struct place place = {.up = &outer, .index = i};
        struct fields tool;
        if (fields_open(&tool, element, &place, body->problem)) read_tool(&tool, request);
    }
    read_choice(body, request);
}

/* ---- bodies ---- */

static void read_prompt(struct fields *body, struct request *request) {
    static const struct field_kept kept[] = {
        {"metadata", FIELD_OBJECT}, {"service_tier", FIELD_STRING}, {"betas", FIELD_ARRAY}};
    struct fields output;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    fields_refuse(body, "mcp_servers", "servers of tools are not available here");
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_system(body, request);
    read_list(body, request);
    read_anthropic_tools(body, request);
    read_thinking(body, request);
    read_format(body, "output_format", request);
    if (field_object(body, "output_config", &output)) {
        read_format(&output, "format", request);
        set_effort(&output, "effort", request);
    }
}

static void parse_anthropic(struct fields *body, struct request *request) {
    request->kind = REQUEST_CHAT;
    read_prompt(body, request);
    if (!field_integer(body, "max_tokens", 1, INT32_MAX, &request->max_tokens))
        field_problem(body, "max_tokens", "is missing");
    read_stops(body, "stop_sequences", request);
    field_flag(body, "stream", &request->stream);
    read_sampling(body, request);
    read_guided(body, request);
}

static void parse_count(struct fields *body, struct request *request) {
    request->kind = REQUEST_COUNT;
    read_prompt(body, request);
}

const struct endpoint_ops anthropic_messages_endpoint = {
    .parse = parse_anthropic, .problem = anthropic_problem, .answer = &anthropic_answer};
const struct endpoint_ops anthropic_count_endpoint = {
    .parse = parse_count, .problem = anthropic_problem, .answer = &anthropic_count_answer};
