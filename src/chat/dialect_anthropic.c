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
    struct request *request;
    bool by_user;
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
static json_t *make_part(struct fields *block) {
    const char *type = field_word(block, "type");
    if (!type)
        field_problem(block, "type", "is missing");
    else if (strcmp(type, "image") == 0)
        return image_part(block);
    else if (strcmp(type, "text") == 0)
        check_text(block);
    return json_incref(block->object); /* a text has the same shape */
}

static void add_part(struct fields *block, void *parts) {
    add_to(parts, make_part(block), block->problem);
}

static json_t *read_result_content(struct fields *block) {
    json_t *content = field_take(block, "content"), *parts = NULL;
    if (json_is_string(content)) return json_incref(content);
    if (content && !json_is_array(content))
        field_problem(block, "content", "must be a string or an array of blocks, not %s",
                      json_type_words(content));
    fields_each(block, "content", content, BLOCKS_MAX, add_part, &parts);
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
static void read_thought(struct fields *block, const char *name, struct turn *turn) {
    static const struct field_kept kept[] = {{"signature", FIELD_STRING}};
    const json_t *text = field_string(block, name);
    fields_check_kept(block, kept, sizeof kept / sizeof kept[0]);
    if (!text) field_need(block, name);
    if (text && strcmp(name, "thinking") == 0)
        buf_append(&turn->reasoning, json_string_value(text), json_string_length(text));
    add_to(&turn->thoughts, json_incref(block->object), block->problem);
}

/* ---- messages ---- */

static void flush_user(struct turn *turn, struct dialect_problem *problem) {
    if (turn->parts)
        add_message(turn->request, json_pack("{s:s, s:o}", "role", "user", "content", turn->parts),
                    problem);
    turn->parts = NULL;
}

static void flush_assistant(struct turn *turn, struct dialect_problem *problem) {
    json_t *message =
        json_pack("{s:s, s:O?, s:O*, s:O*}", "role", "assistant", "content", turn->parts,
                  "tool_calls", turn->calls, "thinking_blocks", turn->thoughts);
    if (message && turn->reasoning.length > 0 &&
        json_object_set_new(message, "reasoning_content",
                            json_stringn(turn->reasoning.data, turn->reasoning.length)) != 0)
        problem_no_memory(problem);
    if (turn->reasoning.failed) problem_no_memory(problem);
    add_message(turn->request, message, problem);
}

static void read_block(struct fields *block, void *context) {
    struct turn *turn = context;
    const char *type = json_word(json_object_get(block->object, "type"));
    if (type && turn->by_user && strcmp(type, "tool_result") == 0) {
        flush_user(turn, block->problem);
        read_tool_result(block, turn->request);
    } else if (type && !turn->by_user && strcmp(type, "tool_use") == 0)
        read_tool_use(block, turn);
    else if (type && !turn->by_user && strcmp(type, "thinking") == 0)
        read_thought(block, "thinking", turn);
    else if (type && !turn->by_user && strcmp(type, "redacted_thinking") == 0)
        read_thought(block, "data", turn);
    else
        add_part(block, &turn->parts);
}

static void read_blocks(struct fields *message, json_t *blocks, bool by_user,
                        struct request *request) {
    struct turn turn = {.request = request, .by_user = by_user};
    buf_init(&turn.reasoning, TEXT_MAX_BYTES);
    fields_each(message, "content", blocks, BLOCKS_MAX, read_block, &turn);
    if (by_user)
        flush_user(&turn, message->problem);
    else
        flush_assistant(&turn, message->problem);
    json_decref(turn.parts);
    json_decref(turn.calls);
    json_decref(turn.thoughts);
    buf_release(&turn.reasoning);
}

static void read_message(struct fields *message, void *context) {
    static const char *const roles[] = {"user", "assistant", NULL};
    int role = field_one_of(message, "role", roles);
    json_t *content = field_need(message, "content");
    if (role < 0) field_problem(message, "role", "is missing");
    if (!fields_ok(message)) return;
    if (json_is_string(content))
        add_message(context, make_message(roles[role], content), message->problem);
    else if (json_is_array(content))
        read_blocks(message, content, role == 0, context);
    else
        field_problem(message, "content", "must be a string or an array of blocks, not %s",
                      json_type_words(content));
}

static void read_turns(struct fields *body, struct request *request) {
    const json_t *list = field_each(body, "messages", MESSAGES_MAX, read_message, request);
    if (json_array_size(list) == 0)
        field_problem(body, "messages", list ? "is empty" : "is missing");
}

static void check_system_block(struct fields *block, void *context) {
    static const char *const types[] = {"text", NULL};
    (void)context;
    if (field_one_of(block, "type", types) < 0) field_problem(block, "type", "is missing");
    check_text(block);
}

/* A text, or blocks of text. */
static void read_system(struct fields *body, struct request *request) {
    json_t *system = field_take(body, "system");
    if (system && !json_is_string(system) && !json_is_array(system))
        field_problem(body, "system", "must be a string or an array of blocks, not %s",
                      json_type_words(system));
    fields_each(body, "system", system, BLOCKS_MAX, check_system_block, NULL);
    if (json_array_size(system) > 0 || json_string_length(system) > 0)
        add_message(request, make_message("system", system), body->problem);
}

/* ---- tools ---- */

static void read_tool(struct fields *tool, void *context) {
    const char *type = field_word(tool, "type"), *name = field_word(tool, "name");
    json_t *description = field_string(tool, "description");
    json_t *schema = field_any_object(tool, "input_schema");
    if (type && strcmp(type, "custom") != 0)
        field_problem(tool, "type", "tools of type '%.40s' are not available here; custom ones are",
                      type);
    if (!name || *name == '\0') field_problem(tool, "name", "is missing");
    if (!schema) field_need(tool, "input_schema");
    if (fields_ok(tool))
        add_tool(context, make_tool(name, description, schema, NULL), tool->problem);
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

/* ---- bodies ---- */

static void read_prompt(struct fields *body, struct request *request) {
    static const struct field_kept kept[] = {
        {"metadata", FIELD_OBJECT}, {"service_tier", FIELD_STRING}, {"betas", FIELD_ARRAY}};
    struct fields output;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    fields_refuse(body, "mcp_servers", "servers of tools are not available here");
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_system(body, request);
    read_turns(body, request);
    field_each(body, "tools", TOOLS_MAX, read_tool, request);
    read_choice(body, request);
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
