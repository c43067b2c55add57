/* Grammars of calls in the language of llama.cpp (GBNF). Source of the language:
 * https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
 *
 * What stands around a call is literal. Arguments that are an object are left to the tool's schema;
 * those between tags are texts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "chat/answer_form.h"

/* A weak model that must call would go on calling for ever. */
enum { GRAMMAR_BYTES_MAX = 1 << 20, GRAMMAR_PROPERTIES_MAX = 32, GRAMMAR_CALLS_MAX = 16 };

/* A value between tags. */
static const char text_rules[] = "text ::= ([^<] | \"<\" [^/<])*\n";

/* ---- literals ---- */

static void put_bytes(struct buf *out, const char *text) {
    for (; text && *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_append_format(out, "\\%c", *text);
        else if (*text == '\n')
            buf_append_text(out, "\\n");
        else if ((unsigned char)*text < 0x20)
            buf_append_format(out, "\\x%02X", (unsigned)*text);
        else
            buf_append_char(out, *text);
    }
}

/* A literal of up to three texts; nothing when they are empty. */
static void put_literal(struct buf *out, const char *a, const char *b, const char *c) {
    if (!(a && *a) && !(b && *b) && !(c && *c)) return;
    buf_append_char(out, '"');
    put_bytes(out, a);
    put_bytes(out, b);
    put_bytes(out, c);
    buf_append_text(out, "\" ");
}

static void put_json_literal(struct buf *out, const char *before, const json_t *value,
                             const char *after) {
    char *json = json_dumps(value, JSON_ENCODE_ANY);
    if (!json) out->failed = true;
    put_literal(out, before, json, after);
    free(json);
}

/* ---- arguments ---- */

struct property {
    const char *key;
    const json_t *schema;
};

/* The properties of a tool's arguments, the required before the others. */
struct properties {
    struct property list[GRAMMAR_PROPERTIES_MAX];
    size_t n, n_required;
};

static bool is_required(const json_t *parameters, const char *key) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(parameters, "required"), i, item) {
        if (json_is_string(item) && strcmp(json_string_value(item), key) == 0) return true;
    }
    return false;
}

static void add_properties(const json_t *parameters, bool required, struct properties *p) {
    json_t *schema;
    const char *key;
    json_object_foreach(json_object_get(parameters, "properties"), key, schema) {
        if (is_required(parameters, key) == required)
            p->list[p->n++] = (struct property){key, schema};
    }
}

/* False: more than a rule is made of. */
static bool list_properties(const json_t *parameters, struct properties *p) {
    p->n = p->n_required = 0;
    if (json_object_size(json_object_get(parameters, "properties")) > GRAMMAR_PROPERTIES_MAX)
        return false;
    add_properties(parameters, true, p);
    p->n_required = p->n;
    add_properties(parameters, false, p);
    return true;
}

/* What a tool's arguments must be: as its parameters say, and none that they do not name. Given. */
static json_t *arguments_schema(const json_t *parameters) {
    json_t *schema = json_is_object(parameters) ? json_copy((json_t *)(uintptr_t)parameters)
                                                : json_pack("{s:{}}", "properties");
    bool names = json_object_get(schema, "properties") != NULL;
    json_object_set_new(schema, "type", json_string("object"));
    if (names && !json_object_get(schema, "additionalProperties"))
        json_object_set_new(schema, "additionalProperties", json_false());
    return schema;
}

static bool add_schema(json_t *schemas, size_t tool, const json_t *parameters) {
    char name[32];
    snprintf(name, sizeof name, "arguments-%zu", tool);
    return json_object_set_new(schemas, name, arguments_schema(parameters)) == 0;
}

/* Arguments between tags; false: too many. */
static bool put_tags_rule(struct buf *out, size_t tool, const json_t *parameters,
                          const struct call_form *form) {
    struct properties p;
    if (!list_properties(parameters, &p)) return false;
    buf_append_format(out, "arguments-%zu ::= %s", tool, p.n == 0 ? "\"\"" : "");
    for (size_t i = 0; i < p.n; i++) {
        bool optional = i >= p.n_required;
        if (optional) buf_append_text(out, "(");
        put_literal(out, form->key_open, p.list[i].key, form->writing.key_end);
        buf_append_text(out, "text ");
        put_literal(out, form->writing.value_end, NULL, NULL);
        if (optional) buf_append_text(out, ")? ");
    }
    buf_append_char(out, '\n');
    return true;
}

/* ---- calls ---- */

/* {"name": "…", "arguments": …} */
static void put_object_call(struct buf *out, size_t tool, const json_t *name,
                            const struct call_form *form) {
    const struct call_writing *w = &form->writing;
    bool keyed = form->style == CALLS_KEYED;
    put_literal(out, w->open, keyed ? "{" : "{\"",
                keyed         ? NULL
                : w->name_key ? w->name_key
                              : "name");
    put_json_literal(out, keyed ? NULL : "\": ", name, keyed ? ": " : ", \"");
    if (!keyed) put_literal(out, w->arguments_key ? w->arguments_key : "arguments", "\": ", NULL);
    buf_append_format(out, "arguments-%zu ", tool);
    put_literal(out, "}", w->close, NULL);
}

static void put_call_rule(struct buf *out, size_t tool, const json_t *name,
                          const struct call_form *form) {
    const struct call_writing *w = &form->writing;
    buf_append_format(out, "call-%zu ::= ", tool);
    if (form->style == CALLS_OBJECT || form->style == CALLS_KEYED) {
        put_object_call(out, tool, name, form);
    } else {
        put_literal(out, w->open, json_string_value(name), w->middle);
        buf_append_format(out, "arguments-%zu ", tool);
        put_literal(out, w->close, NULL, NULL);
    }
    buf_append_char(out, '\n');
}

static void put_root(struct buf *out, size_t n_tools, const struct call_form *form, bool one_call) {
    const struct call_writing *w = &form->writing;
    buf_append_text(out, "root ::= ");
    put_literal(out, w->begin, NULL, NULL);
    buf_append_text(out, "call ");
    if (!one_call && form->style != CALLS_CHANNEL) {
        buf_append_text(out, "(");
        put_literal(out, w->between, NULL, NULL);
        buf_append_format(out, "call){0,%d} ", GRAMMAR_CALLS_MAX - 1);
    }
    put_literal(out, w->end, NULL, NULL);
    buf_append_text(out, "\ncall ::= call-0");
    for (size_t i = 1; i < n_tools; i++)
        buf_append_format(out, " | call-%zu", i);
    buf_append_char(out, '\n');
}

static bool can_be_written(const struct call_form *form) {
    switch (form->style) {
    case CALLS_OBJECT:
    case CALLS_KEYED:
    case CALLS_ARGUMENTS:
    case CALLS_CHANNEL: return true;
    case CALLS_PARAMETERS: return form->writing.key_end != NULL;
    default: return false;
    }
}

static bool put_tool(struct buf *out, json_t *schemas, size_t i, const json_t *tool,
                     const struct call_form *call) {
    const json_t *function = json_object_get(tool, "function");
    const json_t *name = json_object_get(function, "name");
    const json_t *parameters = json_object_get(function, "parameters");
    if (json_string_length(name) == 0) return false;
    put_call_rule(out, i, name, call);
    if (call->style == CALLS_PARAMETERS) return put_tags_rule(out, i, parameters, call);
    return add_schema(schemas, i, parameters);
}

bool answer_form_tool_grammar(const struct answer_form *form, const json_t *tools, bool one_call,
                              char **grammar, json_t **schemas) {
    const struct call_form *call = form->call;
    const json_t *tool;
    struct buf text;
    size_t i;
    json_t *named = json_object();
    bool ok = named && can_be_written(call) && json_array_size(tools) > 0;
    buf_init(&text, GRAMMAR_BYTES_MAX);
    if (ok) put_root(&text, json_array_size(tools), call, one_call);
    json_array_foreach(tools, i, tool) ok = ok && put_tool(&text, named, i, tool, call);
    if (call->style == CALLS_PARAMETERS) buf_append_text(&text, text_rules);
    *grammar = ok ? buf_take(&text) : NULL;
    *schemas = *grammar ? named : NULL;
    if (!*grammar) json_decref(named);
    buf_release(&text);
    return *grammar != NULL;
}
