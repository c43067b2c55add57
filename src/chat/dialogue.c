#include "chat/dialogue.h"

#include <string.h>

enum shape { JOIN_PARTS = 1, PARSE_ARGUMENTS = 2, FILL_CONTENT = 4 };

/* ---- shapes of messages ---- */

/* The text of parts that are all text, joined by newlines; NULL when some are not. */
static json_t *joined_parts(const json_t *parts) {
    struct buf text;
    const json_t *part;
    size_t i;
    buf_init(&text, 64 << 20);
    bool plain = true;
    json_array_foreach(parts, i, part) {
        const json_t *piece = json_object_get(part, "text");
        if (!piece) piece = json_object_get(part, "refusal");
        plain &= json_is_string(piece);
        if (i > 0) buf_append_char(&text, '\n');
        if (plain) buf_append(&text, json_string_value(piece), json_string_length(piece));
    }
    json_t *joined = plain && !text.failed ? json_stringn(buf_text(&text), text.length) : NULL;
    buf_release(&text);
    return joined;
}

static bool shape_content(json_t *message, unsigned shape) {
    const json_t *content = json_object_get(message, "content");
    json_t *changed = NULL;
    if ((shape & JOIN_PARTS) && json_is_array(content))
        changed = joined_parts(content);
    else if ((shape & FILL_CONTENT) && (!content || json_is_null(content)))
        changed = json_string("");
    else
        return true;
    return !changed || json_object_set_new(message, "content", changed) == 0;
}

static bool parse_arguments(json_t *call) {
    json_t *holder = json_object_get(call, "function");
    if (!holder) holder = call;
    const json_t *text = json_object_get(holder, "arguments");
    if (!json_is_string(text)) return true;
    json_t *parsed =
        json_loadb(json_string_value(text), json_string_length(text), JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(parsed)) return json_object_set_new(holder, "arguments", parsed) == 0;
    json_decref(parsed);
    return true;
}

/* Reasoning goes by two names; templates know the longer one. */
static bool name_reasoning(json_t *message) {
    json_t *reasoning = json_object_get(message, "reasoning");
    if (!json_is_string(reasoning) || json_object_get(message, "reasoning_content")) return true;
    return json_object_set(message, "reasoning_content", reasoning) == 0;
}

static json_t *shaped_messages(const json_t *messages, unsigned shape) {
    json_t *copy = json_deep_copy(messages), *message, *call;
    size_t i, k;
    bool ok = copy != NULL;
    json_array_foreach(copy, i, message) {
        if (!json_is_object(message)) continue;
        ok &= name_reasoning(message) && shape_content(message, shape);
        if (!(shape & PARSE_ARGUMENTS)) continue;
        json_array_foreach(json_object_get(message, "tool_calls"), k, call) {
            ok &= parse_arguments(call);
        }
    }
    if (ok) return copy;
    json_decref(copy);
    return NULL;
}

/* ---- rendering ---- */

static bool set_copy(json_t *object, const char *name, const json_t *value) {
    return json_object_set_new(object, name, value ? json_deep_copy(value) : json_null()) == 0;
}

static json_t *make_context(const struct dialogue *d) {
    json_t *context = json_object();
    bool ok = context != NULL;
    ok = ok && set_copy(context, "tools", d->tools) && set_copy(context, "documents", d->documents);
    ok = ok && json_object_set_new(context, "add_generation_prompt",
                                   json_boolean(d->add_generation_prompt)) == 0;
    ok = ok && json_object_set_new(context, "bos_token",
                                   json_string(d->bos_text ? d->bos_text : "")) == 0;
    ok = ok && json_object_set_new(context, "eos_token",
                                   json_string(d->eos_text ? d->eos_text : "")) == 0;
    if (ok && d->variables) {
        json_t *variables = json_deep_copy(d->variables);
        ok = variables && json_object_update(context, variables) == 0;
        json_decref(variables);
    }
    if (ok) return context;
    json_decref(context);
    return NULL;
}

static hearth_status try_shapes(const struct chat_template *t, const struct dialogue *d,
                                const struct template_limits *limits, json_t *context,
                                struct buf *out, hearth_error *err) {
    static const unsigned shapes[] = {JOIN_PARTS | PARSE_ARGUMENTS,
                                      JOIN_PARTS | PARSE_ARGUMENTS | FILL_CONTENT,
                                      JOIN_PARTS,
                                      JOIN_PARTS | FILL_CONTENT,
                                      PARSE_ARGUMENTS,
                                      0};
    hearth_status first = HEARTH_OK;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        hearth_error later;
        json_t *messages = shaped_messages(d->messages, shapes[i]);
        if (!messages || json_object_set_new(context, "messages", messages) != 0)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the messages");
        hearth_status status =
            chat_template_render(t, context, d->now, limits, out, i == 0 ? err : &later);
        if (i == 0) first = status;
        if (status == HEARTH_OK) return status;
        if (status != HEARTH_ERROR_FORMAT && status != HEARTH_ERROR_ARGUMENT) break;
    }
    return first;
}

hearth_status dialogue_render(const struct chat_template *t, const struct dialogue *d,
                              const struct template_limits *limits, struct buf *out,
                              hearth_error *err) {
    if (!json_is_array(d->messages))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "messages are not an array");
    if (d->variables && !json_is_object(d->variables))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "template variables are not an object");
    json_t *context = make_context(d);
    if (!context) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the messages");
    hearth_status status = try_shapes(t, d, limits, context, out, err);
    json_decref(context);
    return status;
}

hearth_status dialogue_open_chatml(struct chat_template **t, hearth_error *err) {
    static const char source[] =
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + "
        "(message.content or '') + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    return chat_template_open(t, source, sizeof source - 1, err);
}
