/* Ollama's interface: requests. Settings are in "options", what is not said to be whole is a
 * stream, and a request without a prompt loads a model.
 * Source: the API documentation of Ollama. */
#include "chat/dialect_ollama.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "chat/dialect_parts.h"

enum { IMAGES_MAX = 256 };

/* ---- settings ---- */

static void read_keep_alive(struct fields *body, struct request *request) {
    const json_t *given = field_take(body, "keep_alive");
    double seconds = json_number_value(given);
    if (!given) return;
    if (json_is_string(given)) {
        const char *text = json_word(given);
        if (!text || !units_parse_duration(text, &seconds)) {
            field_problem(body, "keep_alive", "is no duration as \"5m\" or \"1h30m\"");
            return;
        }
    } else if (!json_is_number(given)) {
        field_problem(body, "keep_alive", "must be a number of seconds or a duration, not %s",
                      json_type_words(given));
        return;
    }
    request->keep_alive_s = seconds < 0 ? INFINITY : seconds;
}

/* "json", or a schema. */
static void read_ollama_format(struct fields *body, struct request *request) {
    static const char *const words[] = {"json", NULL};
    json_t *given = json_object_get(body->object, "format");
    if (field_is_empty(body, "format")) return;
    if (json_is_object(given)) {
        set_constraint(body, "format", request, CONSTRAINT_SCHEMA, json_incref(given), NULL);
        field_take(body, "format");
    } else if (given && !json_is_null(given) && !json_is_string(given)) {
        field_problem(body, "format", "must be \"json\" or a schema, not %s",
                      json_type_words(given));
    } else if (field_one_of(body, "format", words) == 0)
        set_constraint(body, "format", request, CONSTRAINT_JSON, NULL, NULL);
}

/* true, false, or how hard. */
static void read_think(struct fields *body, struct request *request) {
    const json_t *given = json_object_get(body->object, "think");
    bool on;
    if (given && !json_is_null(given) && !json_is_boolean(given) && !json_is_string(given))
        field_problem(body, "think", "must be true, false or a level, not %s",
                      json_type_words(given));
    else if (json_is_string(given))
        set_effort(body, "think", request);
    else if (field_flag(body, "think", &on))
        request->thinking = on ? SWITCH_ON : SWITCH_OFF;
}

/* -1 is no limit and -2 the context, which is the same here. What is not known goes along. */
static void read_options(struct fields *body, struct request *request) {
    static const struct field_kept kept[] = {
        {"num_ctx", FIELD_INTEGER},      {"num_batch", FIELD_INTEGER},  {"num_gpu", FIELD_INTEGER},
        {"main_gpu", FIELD_INTEGER},     {"num_thread", FIELD_INTEGER}, {"num_keep", FIELD_INTEGER},
        {"use_mmap", FIELD_FLAG},        {"use_mlock", FIELD_FLAG},     {"numa", FIELD_FLAG},
        {"low_vram", FIELD_FLAG},        {"vocab_only", FIELD_FLAG},    {"tfs_z", FIELD_NUMBER},
        {"penalize_newline", FIELD_FLAG}};
    struct fields options;
    int64_t limit;
    if (!field_object(body, "options", &options)) return;
    fields_check_kept(&options, kept, sizeof kept / sizeof kept[0]);
    options.rest = object_copy(options.object);
    read_sampling(&options, request);
    read_stops(&options, "stop", request);
    if (field_integer(&options, "num_predict", -2, INT32_MAX, &limit))
        request->max_tokens = limit < 0 ? -1 : limit;
    if (!options.rest || (json_object_size(options.rest) > 0 &&
                          json_object_set(body->rest, "options", options.rest) != 0))
        problem_no_memory(body->problem);
    json_decref(options.rest);
}

static void read_common(struct fields *body, struct request *request) {
    static const struct field_kept kept[] = {{"truncate", FIELD_FLAG}, {"shift", FIELD_FLAG}};
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_options(body, request);
    read_keep_alive(body, request);
}

static void read_answer_settings(struct fields *body, struct request *request) {
    request->stream = true;
    field_flag(body, "stream", &request->stream);
    read_ollama_format(body, request);
    read_think(body, request);
    read_chat_logprobs(body, request);
}

/* A request that only loads the model, or unloads it. */
static void set_loading(struct fields *body, struct request *request) {
    if (!request->messages) request->messages = json_array();
    if (!request->messages) problem_no_memory(body->problem);
    if (request->keep_alive_s == 0) set_shape(request, "unload", json_true(), body->problem);
}

/* ---- messages ---- */

/* The first bytes of a JPEG in base64; others say what they are by themselves. */
static json_t *image_part(const json_t *image) {
    const char *data = json_string_value(image);
    const char *type = strncmp(data, "/9j/", 4) == 0 ? "jpeg" : "png";
    struct buf address;
    buf_init(&address, TEXT_MAX_BYTES);
    buf_append_format(&address, "data:image/%s;base64,%s", type, data);
    json_t *part = address.failed ? NULL
                                  : json_pack("{s:s, s:{s:s}}", "type", "image_url", "image_url",
                                              "url", buf_text(&address));
    buf_release(&address);
    return part;
}

/* A text, or with images an array of parts. */
static json_t *read_content(struct fields *holder, const char *name) {
    json_t *text = field_string(holder, name), *image;
    json_t *images = field_words(holder, "images", IMAGES_MAX);
    size_t i;
    json_t *parts = json_array_size(images) > 0 ? json_array()
                    : text                      ? json_incref(text)
                                                : json_string("");
    if (!parts) problem_no_memory(holder->problem);
    if (!json_is_array(parts)) return parts;
    if (json_string_length(text) > 0 &&
        json_array_append_new(parts, json_pack("{s:s, s:O}", "type", "text", "text", text)) != 0)
        problem_no_memory(holder->problem);
    json_array_foreach(images, i, image) {
        if (json_array_append_new(parts, image_part(image)) != 0)
            problem_no_memory(holder->problem);
    }
    return parts;
}

/* The calls of one message, in the neutral shape. */
struct calls {
    size_t message;
    json_t *list;
};

static void read_call(struct fields *call, void *context) {
    struct calls *calls = context;
    struct fields function;
    char made[48];
    const char *id = field_word(call, "id");
    if (!field_object(call, "function", &function)) {
        field_need(call, "function");
        return;
    }
    const char *name = field_word(&function, "name");
    json_t *arguments = field_any_object(&function, "arguments");
    if (!name) field_need(&function, "name");
    if (!fields_ok(call)) return;
    snprintf(made, sizeof made, "call_%zu_%zu", calls->message, call->place.index);
    arguments = arguments ? json_incref(arguments) : json_object();
    if (!calls->list) calls->list = json_array();
    if (json_array_append_new(calls->list, make_call(id ? id : made, name, arguments)) != 0)
        problem_no_memory(call->problem);
}

static void copy_string(struct fields *from, const char *name, json_t *to, const char *as) {
    json_t *text = field_string(from, name);
    if (text && json_object_set(to, as, text) != 0) problem_no_memory(from->problem);
}

static void read_message(struct fields *message, void *context) {
    struct calls calls = {.message = message->place.index};
    static const char *const roles[] = {"system", "user", "assistant", "tool", NULL};
    int role = field_one_of(message, "role", roles);
    if (role < 0) {
        field_problem(message, "role", "is missing");
        return;
    }
    json_t *content = read_content(message, "content");
    json_t *out = make_message(roles[role], content);
    json_decref(content);
    copy_string(message, "thinking", out, "reasoning_content");
    copy_string(message, "tool_name", out, "name");
    copy_string(message, "tool_call_id", out, "tool_call_id");
    field_each(message, "tool_calls", CALLS_MAX, read_call, &calls);
    if (calls.list && json_object_set_new(out, "tool_calls", calls.list) != 0)
        problem_no_memory(message->problem);
    add_message(context, out, message->problem);
}

/* ---- bodies ---- */

static void parse_chat(struct fields *body, struct request *request) {
    request->kind = REQUEST_CHAT;
    read_common(body, request);
    read_answer_settings(body, request);
    field_each(body, "messages", MESSAGES_MAX, read_message, request);
    read_tools(body, request);
    if (json_array_size(request->messages) == 0) set_loading(body, request);
}

static void read_plain_prompt(struct fields *body, struct request *request) {
    json_t *system = field_string(body, "system"), *content = read_content(body, "prompt");
    bool empty = json_is_string(content) && json_string_length(content) == 0;
    request->kind = REQUEST_CHAT;
    if (!empty && json_string_length(system) > 0)
        add_message(request, make_message("system", system), body->problem);
    if (empty)
        set_loading(body, request);
    else
        add_message(request, make_message("user", content), body->problem);
    json_decref(content);
}

static void parse_generate(struct fields *body, struct request *request) {
    bool raw = false;
    read_common(body, request);
    read_answer_settings(body, request);
    fields_refuse(body, "template", "a template cannot be sent; the model's own is used");
    fields_refuse(body, "context",
                  "earlier answers cannot be continued; send messages to /api/chat");
    field_flag(body, "raw", &raw);
    if (!field_is_empty(body, "suffix"))
        field_text(body, "suffix", TEXT_MAX_BYTES, &request->suffix);
    if (!raw && !request->suffix) {
        read_plain_prompt(body, request);
        return;
    }
    json_t *prompt = field_string(body, "prompt");
    fields_refuse(body, "images", "cannot be part of a raw prompt");
    request->kind = REQUEST_TEXT;
    request->inputs = prompt ? json_pack("[O]", prompt) : json_pack("[s]", "");
    if (!request->inputs) problem_no_memory(body->problem);
}

static void parse_embed(struct fields *body, struct request *request) {
    int64_t dimensions;
    bool old = !json_object_get(body->object, "input") && json_object_get(body->object, "prompt");
    request->kind = REQUEST_EMBED;
    read_common(body, request);
    read_inputs(body, old ? "prompt" : "input", request);
    if (old) set_shape(request, "prompt", json_true(), body->problem);
    if (field_integer(body, "dimensions", 1, DIMENSIONS_MAX, &dimensions))
        set_shape(request, "dimensions", json_integer(dimensions), body->problem);
}

const struct endpoint_ops ollama_chat_endpoint = {
    .parse = parse_chat, .problem = ollama_problem, .answer = &ollama_chat_answer};
const struct endpoint_ops ollama_generate_endpoint = {
    .parse = parse_generate, .problem = ollama_problem, .answer = &ollama_generate_answer};
const struct endpoint_ops ollama_embed_endpoint = {
    .parse = parse_embed, .problem = ollama_problem, .answer = &ollama_embed_answer};
