/* Grammars of answers that must be calls. What stands around a call is literal; arguments that are
 * one object are left to the tool's schema. */
#include "chat/answer_form_grammar.h"

#include <stdlib.h>
#include <string.h>

/* A weak model that must call would go on calling for ever. */
enum { GRAMMAR_CALLS_MAX = 16 };

/* ---- literals ---- */

static void put_byte(struct buf *out, char c) {
    if (c == '"' || c == '\\')
        buf_append_format(out, "\\%c", c);
    else if (c == '\n')
        buf_append_text(out, "\\n");
    else if ((unsigned char)c < 0x20)
        buf_append_format(out, "\\x%02X", (unsigned)c);
    else
        buf_append_char(out, c);
}

static void put_bytes(struct buf *out, const char *text) {
    for (; text && *text; text++)
        put_byte(out, *text);
}

void call_grammar_literal(struct buf *out, const char *a, const char *b, const char *c) {
    if (!(a && *a) && !(b && *b) && !(c && *c)) return;
    buf_append_char(out, '"');
    put_bytes(out, a);
    put_bytes(out, b);
    put_bytes(out, c);
    buf_append_text(out, "\" ");
}

/* The length of the white space at `text` that separates parts: with a line's end, or the last. */
static size_t separating(const char *text) {
    size_t n = strspn(text, " \n");
    return text[n] == '\0' || memchr(text, '\n', n) ? n : 0;
}

void call_grammar_loose(struct buf *out, const char *text) {
    if (!text) return;
    while (*text) {
        size_t n = separating(text);
        if (n > 0) {
            buf_append_text(out, "ws ");
            text += n;
            continue;
        }
        buf_append_char(out, '"');
        while (*text && separating(text) == 0)
            put_byte(out, *text++);
        buf_append_text(out, "\" ");
    }
}

void call_grammar_json(struct buf *out, const json_t *value) {
    char *json = json_dumps(value, JSON_ENCODE_ANY);
    if (!json) out->failed = true;
    call_grammar_literal(out, json, NULL, NULL);
    free(json);
}

/* ---- calls ---- */

/* {"name": "…", "arguments": …} */
static void put_object_call(struct buf *out, size_t tool, const json_t *name,
                            const struct call_form *form) {
    const struct call_writing *w = &form->writing;
    bool keyed = form->style == CALLS_KEYED;
    const char *key = w->name_key ? w->name_key : "name";
    call_grammar_literal(out, w->open, keyed ? "{" : "{\"", keyed ? NULL : key);
    if (!keyed) call_grammar_literal(out, "\": ", NULL, NULL);
    call_grammar_json(out, name);
    call_grammar_literal(out, keyed ? ": " : ", \"", NULL, NULL);
    if (!keyed)
        call_grammar_literal(out, w->arguments_key ? w->arguments_key : "arguments", "\": ", NULL);
    buf_append_format(out, "arguments-%zu ", tool);
    call_grammar_literal(out, "}", w->close, NULL);
}

static void put_call_rule(struct buf *out, size_t tool, const json_t *name,
                          const struct call_form *form) {
    const struct call_writing *w = &form->writing;
    buf_append_format(out, "call-%zu ::= ", tool);
    if (form->style == CALLS_OBJECT || form->style == CALLS_KEYED) {
        put_object_call(out, tool, name, form);
    } else {
        call_grammar_literal(out, w->open, json_string_value(name), w->middle);
        buf_append_format(out, "arguments-%zu ", tool);
        call_grammar_literal(out, w->close, NULL, NULL);
    }
    buf_append_char(out, '\n');
}

static void put_root(struct buf *out, size_t n_tools, const struct call_form *form, bool one_call) {
    const struct call_writing *w = &form->writing;
    buf_append_text(out, "root ::= ");
    call_grammar_literal(out, w->begin, NULL, NULL);
    buf_append_text(out, "call ");
    if (!one_call && form->style != CALLS_CHANNEL) {
        buf_append_text(out, "(");
        call_grammar_literal(out, w->between, NULL, NULL);
        buf_append_format(out, "call){0,%d} ", GRAMMAR_CALLS_MAX - 1);
    }
    call_grammar_literal(out, w->end, NULL, NULL);
    buf_append_text(out, "\ncall ::= call-0");
    for (size_t i = 1; i < n_tools; i++)
        buf_append_format(out, " | call-%zu", i);
    buf_append_char(out, '\n');
}

static bool put_tool(struct call_grammar *g, size_t i, const json_t *tool) {
    const json_t *function = json_object_get(tool, "function");
    const json_t *name = json_object_get(function, "name");
    if (json_string_length(name) == 0) return false;
    put_call_rule(&g->text, i, name, g->form);
    return call_grammar_arguments(g, i, json_object_get(function, "parameters"));
}

bool answer_form_tool_grammar(const struct answer_form *form, const json_t *tools, bool one_call,
                              char **grammar, json_t **schemas) {
    struct call_grammar g = {.form = form->call, .schemas = json_object()};
    const json_t *tool;
    size_t i, n = json_array_size(tools);
    bool ok = g.schemas && form->call->style != CALLS_NONE && n > 0 && n <= CALL_GRAMMAR_TOOLS_MAX;
    buf_init(&g.text, CALL_GRAMMAR_BYTES_MAX);
    if (ok) put_root(&g.text, n, form->call, one_call);
    json_array_foreach(tools, i, tool) ok = ok && put_tool(&g, i, tool);
    if (ok) call_grammar_common(&g);
    *grammar = ok ? buf_take(&g.text) : NULL;
    *schemas = *grammar ? g.schemas : NULL;
    if (!*grammar) json_decref(g.schemas);
    buf_release(&g.text);
    return *grammar != NULL;
}
