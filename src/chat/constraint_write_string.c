/* constraint_write_string.c - strings: by length alone through the characters of JSON, by pattern,
 * format or value as automata that are met with each other. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_expression.h"
#include "chat/constraint_regex.h"
#include "chat/constraint_schema.h"
#include "token/utf8.h"

enum { PATTERN_ARENA_BYTES = 64 << 20, PATTERN_MAX_STATES = 1 << 17 /* of all kept */ };

/* ---- automata that are kept ---- */

static struct known_dfa *find_dfa(struct schema_compiler *c, const char *text, size_t n,
                                  const void *values) {
    for (struct known_dfa *k = c->dfas; k; k = k->next)
        if (k->values == values && k->n == n &&
            (k->text == text || (k->text && text && memcmp(k->text, text, n) == 0)))
            return k;
    return NULL;
}

static const struct dfa *keep_dfa(struct schema_compiler *c, struct known_dfa known,
                                  hearth_status status) {
    struct known_dfa *k = status == HEARTH_OK ? schema_alloc(c, 1, sizeof *k) : NULL;
    if (status != HEARTH_OK && schema_ok(c))
        schema_fail(c, status, "%s", c->err ? c->err->message : "a pattern that cannot be held to");
    c->n_dfa_states += known.dfa.n_states;
    if (++c->n_dfas > SCHEMA_MAX_PATTERNS || c->n_dfa_states > PATTERN_MAX_STATES)
        schema_fail(c, HEARTH_ERROR_LIMIT, "patterns that are too many or too large together");
    if (!k || !schema_ok(c)) {
        dfa_release(&known.dfa);
        return NULL;
    }
    *k = known;
    k->next = c->dfas;
    c->dfas = k;
    return &k->dfa;
}

/* `x` with any characters before and after it, as a pattern is found; of JSON's spelling. */
static hearth_status search_dfa(struct dfa *out, const struct expression *x, hearth_error *err) {
    struct character_range all = {0, CHARACTER_LAST};
    struct expression any = {.kind = EXPRESSION_SET, .set = {.ranges = &all, .n = 1}};
    struct grammar g;
    grammar_init(&g);
    uint32_t rule = grammar_rule(&g), begin = grammar_node(&g), end = grammar_node(&g);
    if (g.state == HEARTH_OK) {
        grammar_edge(&g, g.rules[rule].start, EDGE_EMPTY, begin);
        expression_write(&any, &g, begin, begin, SPELLING_JSON, false);
        if (x)
            expression_write(x, &g, begin, end, SPELLING_JSON, false);
        else
            grammar_edge(&g, begin, EDGE_EMPTY, end);
        if (x) expression_write(&any, &g, end, end, SPELLING_JSON, false);
        grammar_edge(&g, end, EDGE_EMPTY, g.rules[rule].end);
    }
    hearth_status status = dfa_from_rule(out, &g, rule, err);
    grammar_release(&g);
    return status;
}

const struct dfa *pattern_dfa(struct schema_compiler *c, const char *text, size_t n) {
    struct known_dfa known = {.text = text, .n = n}, *k = find_dfa(c, text, n, NULL);
    struct expression *x = NULL;
    struct arena arena;
    if (k) return &k->dfa;
    if (!schema_ok(c)) return NULL;
    arena_init(&arena, PATTERN_ARENA_BYTES);
    hearth_status status = text ? regex_parse(&x, &arena, text, n, c->err) : HEARTH_OK;
    if (status == HEARTH_OK) status = search_dfa(&known.dfa, x, c->err);
    arena_release(&arena);
    return keep_dfa(c, known, status);
}

/* ---- values ---- */

void write_spelled(struct grammar *g, uint32_t from, const char *text, size_t n, uint32_t to) {
    for (size_t i = 0; i < n && g->state == HEARTH_OK;) {
        uint32_t code = 0, next;
        i += utf8_next(text + i, n - i, &code);
        next = i < n ? grammar_node(g) : to;
        spell_characters(g, from, code, code, next, SPELLING_JSON);
        from = next;
    }
    if (n == 0) grammar_edge(g, from, EDGE_EMPTY, to);
}

static const struct dfa *values_dfa(struct schema_compiler *c, const struct language *l) {
    struct known_dfa known = {.n = l->n, .values = l->values};
    struct known_dfa *k = find_dfa(c, NULL, l->n, l->values);
    struct grammar g;
    if (k) return &k->dfa;
    grammar_init(&g);
    uint32_t rule = grammar_rule(&g);
    for (size_t i = 0; i < l->n && g.state == HEARTH_OK; i++)
        write_spelled(&g, g.rules[rule].start, json_string_value(l->values[i]),
                      json_string_length(l->values[i]), g.rules[rule].end);
    hearth_status status = dfa_from_rule(&known.dfa, &g, rule, c->err);
    grammar_release(&g);
    return keep_dfa(c, known, status);
}

/* ---- forms ---- */

bool dfa_restrict(struct schema_compiler *c, struct dfa *dfa, const struct dfa *by,
                  enum dfa_operation operation) {
    struct dfa met;
    if (!by || !schema_ok(c)) return false;
    hearth_status status = dfa_combine(&met, dfa, by, operation, c->err);
    c->pattern_work += met.n_states;
    if (c->pattern_work > SCHEMA_MAX_PATTERN_WORK) {
        dfa_release(&met);
        status = HEARTH_ERROR_LIMIT;
    }
    if (status != HEARTH_OK) {
        schema_fail(c, status, "patterns that are too large together");
        return false;
    }
    dfa_release(dfa);
    *dfa = met;
    return true;
}

static void restrict_length(struct schema_compiler *c, struct dfa *dfa, uint32_t least,
                            uint32_t most) {
    struct character_range all = {0, CHARACTER_LAST};
    struct expression any = {.kind = EXPRESSION_SET, .set = {.ranges = &all, .n = 1}};
    struct expression some = {.kind = EXPRESSION_REPEAT, .first = &any, .min = least, .max = most};
    struct dfa lengths = {0};
    struct grammar g;
    grammar_init(&g);
    uint32_t rule = grammar_rule(&g);
    if (g.state == HEARTH_OK)
        expression_write(&some, &g, g.rules[rule].start, g.rules[rule].end, SPELLING_JSON, false);
    hearth_status status = dfa_from_rule(&lengths, &g, rule, c->err);
    if (status != HEARTH_OK)
        schema_fail(c, status, "a length that is too large to hold together with a pattern");
    else
        dfa_restrict(c, dfa, &lengths, DFA_BOTH);
    dfa_release(&lengths);
    grammar_release(&g);
}

bool string_dfa(struct schema_compiler *c, const struct string_form *f, struct dfa *out) {
    const struct dfa *any = pattern_dfa(c, NULL, 0);
    *out = (struct dfa){0};
    if (!any) return false;
    hearth_status status = dfa_combine(out, any, any, DFA_BOTH, c->err);
    if (status != HEARTH_OK) schema_no_memory(c);
    for (const struct language *l = f->languages; l && schema_ok(c); l = l->next) {
        const struct dfa *d =
            l->kind == LANGUAGE_VALUES ? values_dfa(c, l) : pattern_dfa(c, l->text, l->n);
        dfa_restrict(c, out, d, l->negated ? DFA_FIRST_ONLY : DFA_BOTH);
    }
    if (schema_ok(c) && (f->least > 0 || f->most < SCHEMA_NO_MAXIMUM))
        restrict_length(c, out, f->least, f->most);
    return schema_ok(c);
}

/* Values as they are, their beginnings shared. */
static void write_values(struct schema_compiler *c, const struct language *l, uint32_t from,
                         uint32_t to) {
    uint32_t start = grammar_node(c->grammar);
    grammar_edge(c->grammar, from, EDGE_EMPTY, start);
    for (size_t i = 0; i < l->n && schema_ok(c); i++) {
        char *text = json_dumps(l->values[i], JSON_ENCODE_ANY);
        if (!text) schema_no_memory(c);
        if (text) grammar_share_text(c->grammar, start, text, strlen(text), to);
        free(text);
    }
}

/* "from … to characters" as so many calls. */
static void write_length(struct schema_compiler *c, const struct string_form *f, uint32_t from,
                         uint32_t to) {
    struct expression one = {.kind = EXPRESSION_RULE, .rule = c->json.character};
    struct expression some = {
        .kind = EXPRESSION_REPEAT, .first = &one, .min = f->least, .max = f->most};
    expression_write(&some, c->grammar, from, to, SPELLING_JSON, true);
}

void write_string(struct schema_compiler *c, const struct string_form *f, uint32_t from,
                  uint32_t to) {
    struct grammar *g = c->grammar;
    const struct language *l = f->languages;
    bool any_length = f->least == 0 && f->most == SCHEMA_NO_MAXIMUM;
    struct dfa dfa;
    if (!l && any_length) {
        grammar_call(g, from, c->json.string, to);
        return;
    }
    if (l && !l->next && l->kind == LANGUAGE_VALUES && !l->negated && any_length) {
        write_values(c, l, from, to);
        return;
    }
    uint32_t begin = grammar_node(g), end = grammar_node(g);
    grammar_text(g, from, "\"", 1, begin);
    grammar_text(g, end, "\"", 1, to);
    if (!l) {
        write_length(c, f, begin, end);
        return;
    }
    if (string_dfa(c, f, &dfa)) dfa_write(&dfa, g, begin, end);
    dfa_release(&dfa);
}
