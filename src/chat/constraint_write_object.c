/* constraint_write_object.c - objects: a grid of the names passed in order and of the members
 * written, and behind it further names, split into classes by the patterns they match. */
#include <stdlib.h>
#include <string.h>

#include "chat/constraint_schema.h"

enum { OBJECT_MAX_CLASSES = 64 };

/* Names that match the same patterns. */
struct name_class {
    struct dfa dfa;
    const struct goal *goal;
    uint32_t rule; /* a member: name, colon, value */
    const struct name_pattern *matched[SCHEMA_MAX_SEEN];
    uint32_t n_matched;
};

struct object_writer {
    struct schema_compiler *c;
    const struct object_form *form;
    struct name_class classes[OBJECT_MAX_CLASSES];
    uint32_t n_classes;
    uint32_t members; /* columns 0 … members; the last one repeats where there is no most */
    uint32_t *nodes;  /* [n_names + 1][members + 1] */
    uint32_t end;
};

/* ---- the goal of a name ---- */

/* Is a text among those of an automaton over the insides of JSON strings? */
static bool is_among(struct schema_compiler *c, const struct dfa *dfa, const char *text, size_t n) {
    json_t *string = json_stringn(text, n);
    char *spelled = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    if (!spelled) schema_no_memory(c);
    bool found = spelled && dfa_accepts(dfa, spelled + 1, strlen(spelled) - 2);
    free(spelled);
    json_decref(string);
    return found;
}

static bool matches(struct schema_compiler *c, const char *pattern, size_t n_pattern,
                    const char *text, size_t n) {
    const struct dfa *dfa = pattern_dfa(c, pattern, n_pattern);
    return dfa && is_among(c, dfa, text, n);
}

static bool is_seen(struct schema_compiler *c, const struct names_seen *seen, const char *text,
                    size_t n) {
    const char *key;
    json_t *value;
    for (uint32_t i = 0; i < seen->n_properties; i++)
        if (json_object_get(seen->properties[i], text)) return true;
    for (uint32_t i = 0; i < seen->n_patterns; i++) {
        json_object_foreach((json_t *)seen->patterns[i], key, value) {
            if (matches(c, key, strlen(key), text, n)) return true;
        }
    }
    return false;
}

static const struct goal *goal_of_name(struct schema_compiler *c, const struct object_form *f,
                                       const struct name *name) {
    const struct goal *goal = name->goal;
    for (const struct name_pattern *p = f->patterns; p && schema_ok(c); p = p->next)
        if (matches(c, p->text, p->n, name->text, name->n)) goal = goal_both(c, goal, p->goal);
    for (const struct other_names *o = f->others; o && schema_ok(c); o = o->next)
        if (!is_seen(c, &o->seen, name->text, name->n)) goal = goal_both(c, goal, o->goal);
    return goal;
}

/* ---- classes of further names ---- */

/* Splits every class by a pattern; parts without names go. */
static void split_classes(struct object_writer *w, const struct name_pattern *p, bool has_goal) {
    struct schema_compiler *c = w->c;
    const struct dfa *dfa = pattern_dfa(c, p->text, p->n);
    uint32_t n = w->n_classes;
    for (uint32_t i = 0; i < n && schema_ok(c) && dfa; i++) {
        struct name_class *rest = &w->classes[i];
        if (w->n_classes == OBJECT_MAX_CLASSES || rest->n_matched == SCHEMA_MAX_SEEN) {
            schema_fail(c, HEARTH_ERROR_LIMIT, "'patternProperties' that overlap too much");
            return;
        }
        struct name_class *matched = &w->classes[w->n_classes];
        *matched = *rest;
        hearth_status status = dfa_combine(&matched->dfa, &rest->dfa, dfa, DFA_BOTH, c->err);
        if (status != HEARTH_OK) {
            schema_fail(c, status, "'patternProperties' that are too large together");
            return;
        }
        w->n_classes++;
        matched->matched[matched->n_matched++] = p;
        if (has_goal) matched->goal = goal_both(c, matched->goal, p->goal);
        dfa_restrict(c, &rest->dfa, dfa, DFA_FIRST_ONLY);
    }
    for (uint32_t i = 0; i < w->n_classes; i++) {
        if (!dfa_is_empty(&w->classes[i].dfa)) continue;
        dfa_release(&w->classes[i].dfa);
        w->classes[i] = w->classes[--w->n_classes];
        w->classes[w->n_classes].dfa = (struct dfa){0};
        i--;
    }
}

static bool has_matched(const struct name_class *class, const char *text) {
    for (uint32_t i = 0; i < class->n_matched; i++)
        if (strcmp(class->matched[i]->text, text) == 0) return true;
    return false;
}

static bool class_is_seen(const struct name_class *class, const struct names_seen *seen) {
    const char *key;
    json_t *value;
    for (uint32_t i = 0; i < seen->n_patterns; i++) {
        json_object_foreach((json_t *)seen->patterns[i], key, value) {
            if (has_matched(class, key)) return true;
        }
    }
    return false;
}

/* Patterns that only leave names out, not those the form has itself. */
static void split_by_seen(struct object_writer *w) {
    const char *key;
    json_t *value;
    for (const struct other_names *o = w->form->others; o; o = o->next) {
        for (uint32_t i = 0; i < o->seen.n_patterns; i++) {
            json_object_foreach((json_t *)o->seen.patterns[i], key, value) {
                bool known = false;
                for (const struct name_pattern *p = w->form->patterns; p; p = p->next)
                    known |= strcmp(p->text, key) == 0;
                struct name_pattern *p = known ? NULL : schema_alloc(w->c, 1, sizeof *p);
                if (!p) continue;
                *p = (struct name_pattern){.text = key, .n = strlen(key)};
                split_classes(w, p, false);
            }
        }
    }
}

/* The names that none of the form's own are, as far as propertyNames allows them. */
static bool free_names(struct schema_compiler *c, const struct object_form *f, struct dfa *out) {
    struct string_form any = {.most = SCHEMA_NO_MAXIMUM};
    struct grammar g;
    struct dfa listed = {0};
    if (!string_dfa(c, &any, out) || f->n_names == 0) return schema_ok(c);
    grammar_init(&g);
    uint32_t rule = grammar_rule(&g);
    for (uint32_t i = 0; i < f->n_names && g.state == HEARTH_OK; i++)
        write_spelled(&g, g.rules[rule].start, f->names[i].text, f->names[i].n, g.rules[rule].end);
    hearth_status status = dfa_from_rule(&listed, &g, rule, c->err);
    if (status != HEARTH_OK)
        schema_fail(c, status, "so many names beside others that may be there");
    else
        dfa_restrict(c, out, &listed, DFA_FIRST_ONLY);
    dfa_release(&listed);
    grammar_release(&g);
    return schema_ok(c);
}

static bool is_none(struct schema_compiler *c, const struct goal *goal) {
    return goal == goal_none(c);
}

static void make_classes(struct object_writer *w) {
    struct schema_compiler *c = w->c;
    const struct object_form *f = w->form;
    bool only_none = f->others && !f->patterns;
    for (const struct other_names *o = f->others; o; o = o->next)
        only_none &= is_none(c, o->goal) && o->seen.n_patterns == 0;
    if (f->closed || only_none) return;
    w->n_classes = 1;
    w->classes[0].goal = goal_any(c);
    if (!free_names(c, f, &w->classes[0].dfa)) return;
    for (const struct name_pattern *p = f->patterns; p && schema_ok(c); p = p->next)
        split_classes(w, p, true);
    split_by_seen(w);
    for (uint32_t i = 0; i < w->n_classes && schema_ok(c); i++)
        for (const struct other_names *o = f->others; o; o = o->next)
            if (!class_is_seen(&w->classes[i], &o->seen))
                w->classes[i].goal = goal_both(c, w->classes[i].goal, o->goal);
}

/* ---- propertyNames ---- */

/* The strings a goal allows, into `out`; false: failed. */
static bool names_of_goal(struct schema_compiler *c, const struct goal *goal, struct dfa *out) {
    struct form *forms = forms_of_goal(c, goal);
    const struct dfa *any = pattern_dfa(c, NULL, 0);
    *out = (struct dfa){0};
    struct dfa refused = {0};
    bool ok = any && dfa_combine(&refused, any, any, DFA_BOTH, c->err) == HEARTH_OK;
    for (struct form *f = forms; f && ok && schema_ok(c); f = f->next) {
        struct dfa one = {0};
        if (!(f->types & VALUE_STRING)) continue;
        ok = string_dfa(c, &f->string, &one) && dfa_restrict(c, &refused, &one, DFA_FIRST_ONLY);
        dfa_release(&one);
    }
    if (ok) ok = dfa_combine(out, any, &refused, DFA_FIRST_ONLY, c->err) == HEARTH_OK;
    dfa_release(&refused);
    if (!ok) schema_fail(c, HEARTH_ERROR_LIMIT, "'propertyNames' that are too large");
    return schema_ok(c);
}

/* ---- the grid ---- */

static uint32_t node_at(const struct object_writer *w, uint32_t passed, uint32_t members) {
    return w->nodes[(size_t)passed * (w->members + 1) + members];
}

/* The place of a member: behind a comma unless it is the first one. */
static uint32_t begin_member(const struct object_writer *w, uint32_t from, uint32_t members) {
    struct grammar *g = w->c->grammar;
    if (members == 0) return from;
    uint32_t comma = grammar_node(g), space = grammar_node(g);
    grammar_text(g, from, ",", 1, comma);
    grammar_call(g, comma, w->c->json.space, space);
    return space;
}

static uint32_t open_name(const struct object_writer *w, uint32_t from) {
    uint32_t name = grammar_node(w->c->grammar);
    grammar_text(w->c->grammar, from, "\"", 1, name);
    return name;
}

static void close_name(const struct object_writer *w, uint32_t from, const struct goal *goal,
                       uint32_t to) {
    struct grammar *g = w->c->grammar;
    uint32_t colon = grammar_node(g), value = grammar_node(g);
    grammar_text(g, from, "\":", 2, colon);
    grammar_call(g, colon, w->c->json.space, value);
    grammar_call(g, value, goal_rule(w->c, goal), to);
}

static uint32_t after_member(const struct object_writer *w, uint32_t members) {
    return members < w->members ? members + 1 : members;
}

static void write_listed(const struct object_writer *w, uint32_t passed, const struct goal *goal) {
    const struct name *name = &w->form->names[passed];
    struct grammar *g = w->c->grammar;
    for (uint32_t members = 0; members <= w->members && schema_ok(w->c); members++) {
        uint32_t from = node_at(w, passed, members);
        if (!name->required) grammar_edge(g, from, EDGE_EMPTY, node_at(w, passed + 1, members));
        if (is_none(w->c, goal) || members == w->form->most) continue;
        uint32_t begin = open_name(w, begin_member(w, from, members)), end = grammar_node(g);
        write_spelled(g, begin, name->text, name->n, end);
        close_name(w, end, goal, node_at(w, passed + 1, after_member(w, members)));
    }
}

static void write_further(const struct object_writer *w, uint32_t members) {
    struct schema_compiler *c = w->c;
    struct grammar *g = c->grammar;
    uint32_t from = node_at(w, w->form->n_names, members);
    if (members >= w->form->least) {
        uint32_t close = members > 0 ? grammar_node(g) : from;
        if (members > 0) grammar_call(g, from, c->json.space, close);
        grammar_text(g, close, "}", 1, w->end);
    }
    if (members == w->form->most) return;
    for (uint32_t i = 0; i < w->n_classes && schema_ok(c); i++) {
        if (is_none(c, w->classes[i].goal)) continue;
        grammar_call(g, begin_member(w, from, members), w->classes[i].rule,
                     node_at(w, w->form->n_names, after_member(w, members)));
    }
}

static void write_classes(struct object_writer *w) {
    struct grammar *g = w->c->grammar;
    for (uint32_t i = 0; i < w->n_classes && schema_ok(w->c); i++) {
        w->classes[i].rule = grammar_rule(g);
        if (!schema_ok(w->c) || is_none(w->c, w->classes[i].goal)) continue;
        struct grammar_rule rule = g->rules[w->classes[i].rule];
        uint32_t begin = open_name(w, rule.start), end = grammar_node(g);
        dfa_write(&w->classes[i].dfa, g, begin, end);
        close_name(w, end, w->classes[i].goal, rule.end);
    }
}

/* Further names may repeat each other, and a name said twice is one member. */
static void check_count(const struct object_writer *w) {
    uint32_t required = 0, open = 0;
    for (uint32_t i = 0; i < w->form->n_names; i++)
        required += w->form->names[i].required;
    for (uint32_t i = 0; i < w->n_classes; i++)
        open += !is_none(w->c, w->classes[i].goal);
    if (open && w->form->least > 1 && w->form->least > required)
        schema_fail(w->c, HEARTH_ERROR_UNSUPPORTED,
                    "'minProperties' above 1 where names are free: they might repeat");
}

static void write_grid(struct object_writer *w, const struct dfa *allowed, uint32_t from) {
    struct schema_compiler *c = w->c;
    const struct object_form *f = w->form;
    w->members = f->most < SCHEMA_NO_MAXIMUM ? f->most : f->least > 1 ? f->least : 1;
    uint32_t most = f->n_names > f->least ? f->n_names : f->least;
    if (w->n_classes == 0 && w->members > most + 1) w->members = most + 1;
    uint64_t n = ((uint64_t)f->n_names + 1) * ((uint64_t)w->members + 1);
    if (n > GRAMMAR_MAX_NODES) {
        schema_fail(c, HEARTH_ERROR_LIMIT, "objects of so many members");
        return;
    }
    w->nodes = schema_alloc(c, n, sizeof *w->nodes);
    for (uint64_t i = 0; i < n && schema_ok(c); i++)
        w->nodes[i] = grammar_node(c->grammar);
    if (!schema_ok(c)) return;
    write_classes(w);
    uint32_t begin = grammar_node(c->grammar);
    grammar_text(c->grammar, from, "{", 1, begin);
    grammar_call(c->grammar, begin, c->json.space, node_at(w, 0, 0));
    for (uint32_t i = 0; i < f->n_names && schema_ok(c); i++) {
        const struct goal *goal = goal_of_name(c, f, &f->names[i]);
        if (allowed && !is_among(c, allowed, f->names[i].text, f->names[i].n)) goal = goal_none(c);
        if (goal) write_listed(w, i, goal);
    }
    for (uint32_t members = 0; members <= w->members && schema_ok(c); members++)
        write_further(w, members);
}

void write_object(struct schema_compiler *c, const struct object_form *f, uint32_t from,
                  uint32_t to) {
    bool any = f->n_names == 0 && !f->patterns && !f->others && !f->name_goal && f->least == 0 &&
               f->most == SCHEMA_NO_MAXIMUM;
    struct dfa allowed = {0};
    if (any) {
        grammar_call(c->grammar, from, c->json.object, to);
        return;
    }
    struct object_writer *w = schema_alloc(c, 1, sizeof *w);
    if (!w) return;
    *w = (struct object_writer){.c = c, .form = f, .end = to};
    make_classes(w);
    if (f->name_goal && schema_ok(c) && names_of_goal(c, f->name_goal, &allowed))
        for (uint32_t i = 0; i < w->n_classes; i++)
            dfa_restrict(c, &w->classes[i].dfa, &allowed, DFA_BOTH);
    check_count(w);
    if (schema_ok(c)) write_grid(w, f->name_goal ? &allowed : NULL, from);
    for (uint32_t i = 0; i < OBJECT_MAX_CLASSES; i++)
        dfa_release(&w->classes[i].dfa);
    dfa_release(&allowed);
}
