/* The arguments of a call: an object that is left to the tool's schema, or each written by itself,
 * in the order of the schema. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/answer_form_grammar.h"

enum { MEMBERS_MAX = 256, RULE_NAME_MAX = 32 };

struct member {
    const char *key;
    const json_t *schema;
    bool required;
};

struct members {
    struct member list[MEMBERS_MAX];
    size_t n;
};

static bool is_required(const json_t *schema, const char *key) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, item) {
        if (json_is_string(item) && strcmp(json_string_value(item), key) == 0) return true;
    }
    return false;
}

static int compare_keys(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    return strcmp(x->key, y->key);
}

/* False: too many. */
static bool list_members(const struct call_grammar *g, const json_t *schema, struct members *m) {
    json_t *properties = json_object_get(schema, "properties"), *property;
    const char *key;
    m->n = 0;
    if (json_object_size(properties) > MEMBERS_MAX) return false;
    json_object_foreach(properties, key, property) {
        m->list[m->n++] = (struct member){key, property, is_required(schema, key)};
    }
    if (g->form->style == CALLS_BRACES) /* its templates sort them */
        qsort(m->list, m->n, sizeof *m->list, compare_keys);
    return true;
}

/* ---- with commas ---- */

static bool is_word(const char *key) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    return *key && key[strspn(key, letters)] == '\0';
}

static void put_key(const struct call_grammar *g, struct buf *out, const char *key) {
    const char *quote = is_word(key) ? NULL : "<|\"|>";
    if (g->form->style == CALLS_PYTHON) {
        call_grammar_literal(out, key, "=", NULL);
        return;
    }
    call_grammar_literal(out, quote, key, quote);
    call_grammar_literal(out, ":", NULL, NULL);
}

/* NAME-i: member i and those after it, as the first; NAME-i-more: after a comma. */
static void put_member(struct call_grammar *g, const char *name, size_t i, const struct member *m,
                       const json_t *parameters) {
    struct buf one;
    buf_init(&one, CALL_GRAMMAR_BYTES_MAX);
    put_key(g, &one, m->key);
    call_grammar_value(g, &one, parameters, m->schema);
    if (one.failed) g->text.failed = true;
    const char *comma = g->form->style == CALLS_PYTHON ? "\",\" ws " : "\",\" ";
    buf_append_format(&g->text, "%s-%zu ::= %s%s-%zu-more", name, i, buf_text(&one), name, i + 1);
    if (!m->required) buf_append_format(&g->text, " | %s-%zu", name, i + 1);
    buf_append_format(&g->text, "\n%s-%zu-more ::= %s%s%s-%zu-more", name, i, comma, buf_text(&one),
                      name, i + 1);
    if (!m->required) buf_append_format(&g->text, " | %s-%zu-more", name, i + 1);
    buf_append_char(&g->text, '\n');
    buf_release(&one);
}

bool call_grammar_members(struct call_grammar *g, const char *name, const json_t *parameters,
                          const json_t *schema) {
    struct members m;
    if (!list_members(g, schema, &m)) return false;
    for (size_t i = 0; i < m.n; i++)
        put_member(g, name, i, &m.list[i], parameters);
    buf_append_format(&g->text, "%s-%zu ::= \"\"\n", name, m.n);
    if (m.n > 0) buf_append_format(&g->text, "%s-%zu-more ::= \"\"\n", name, m.n);
    return true;
}

/* ---- in tags ---- */

static void put_tagged(struct call_grammar *g, struct buf *out, const struct member *m,
                       const json_t *parameters) {
    bool tree = g->form->style == CALLS_TREE;
    if (!m->required) buf_append_text(out, "(");
    call_grammar_literal(out, tree ? CALL_TREE_MARK "<" : g->form->key_open, m->key,
                         tree ? ">" : NULL);
    call_grammar_value(g, out, parameters, m->schema);
    if (tree) call_grammar_literal(out, "</", m->key, ">");
    buf_append_text(out, m->required ? "ws " : "ws )? ");
}

static bool put_all_tagged(struct call_grammar *g, const char *name, const json_t *parameters) {
    struct members m;
    struct buf rule;
    if (!list_members(g, parameters, &m)) return false;
    buf_init(&rule, CALL_GRAMMAR_BYTES_MAX);
    buf_append_format(&rule, "%s ::= ws ", name);
    for (size_t i = 0; i < m.n; i++)
        put_tagged(g, &rule, &m.list[i], parameters);
    buf_append_format(&g->text, "%s\n", buf_text(&rule));
    if (rule.failed) g->text.failed = true;
    buf_release(&rule);
    return true;
}

/* ---- as an object ---- */

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

bool call_grammar_arguments(struct call_grammar *g, size_t tool, const json_t *parameters) {
    char name[RULE_NAME_MAX];
    snprintf(name, sizeof name, "arguments-%zu", tool);
    switch (g->form->style) {
    case CALLS_PARAMETERS:
    case CALLS_TREE: return put_all_tagged(g, name, parameters);
    case CALLS_PYTHON:
    case CALLS_BRACES:
        buf_append_format(&g->text, "%s ::= %s-0\n", name, name);
        return call_grammar_members(g, name, parameters, parameters);
    default: return json_object_set_new(g->schemas, name, arguments_schema(parameters)) == 0;
    }
}
