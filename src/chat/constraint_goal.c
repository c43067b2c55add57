/* constraint_goal.c - sets of schemas, each set once. */
#include <stdlib.h>
#include <string.h>

#include "chat/constraint_schema.h"

enum { GOAL_SLOTS = 1 << 15 };

static int compare_atoms(const void *a, const void *b) {
    const struct atom *x = a, *y = b;
    if (x->schema != y->schema) return (uintptr_t)x->schema < (uintptr_t)y->schema ? -1 : 1;
    if (x->negated != y->negated) return x->negated - y->negated;
    return x->value - y->value;
}

static size_t hash_atoms(const struct atom *atoms, uint32_t n) {
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)(uintptr_t)atoms[i].schema ^ (unsigned)atoms[i].negated << 1 ^
             (unsigned)atoms[i].value) *
                0x9e3779b97f4a7c15u ^
            h >> 29;
    return (size_t)(h >> 40) % GOAL_SLOTS;
}

static bool same_atoms(const struct atom *a, const struct atom *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (compare_atoms(&a[i], &b[i]) != 0) return false;
    return true;
}

/* The goal of `n` sorted atoms that differ. */
static struct goal *goal_find(struct schema_compiler *c, const struct atom *atoms, uint32_t n) {
    if (!c->goal_slots) c->goal_slots = schema_alloc(c, GOAL_SLOTS, sizeof *c->goal_slots);
    if (!schema_ok(c)) return NULL;
    struct goal **slot = &c->goal_slots[hash_atoms(atoms, n)];
    for (struct goal *g = *slot; g; g = g->next_hashed)
        if (g->n == n && same_atoms(g->atoms, atoms, n)) return g;
    if (c->n_goals == SCHEMA_MAX_GOALS)
        return schema_fail(c, HEARTH_ERROR_LIMIT, "more than %d different parts", SCHEMA_MAX_GOALS);
    struct goal *g = schema_alloc(c, 1, sizeof *g + n * sizeof *atoms);
    if (!g) return NULL;
    g->rule = GRAMMAR_NONE;
    g->n = n;
    if (n) memcpy(g->atoms, atoms, n * sizeof *atoms);
    g->next_hashed = *slot;
    *slot = g;
    c->n_goals++;
    return g;
}

const struct goal *goal_of(struct schema_compiler *c, const json_t *schema, bool negated,
                           bool value) {
    struct atom atom = {.schema = schema, .negated = negated, .value = value};
    bool empty = !value && json_is_object(schema) && json_object_size(schema) == 0;
    if (!value && (empty || json_is_boolean(schema)))
        return (empty || json_is_true(schema)) != negated ? goal_any(c) : goal_none(c);
    return goal_find(c, &atom, 1);
}

const struct goal *goal_any(struct schema_compiler *c) {
    return goal_find(c, NULL, 0);
}

const struct goal *goal_none(struct schema_compiler *c) {
    return goal_find(c, &(struct atom){.schema = json_false()}, 1);
}

const struct goal *goal_both(struct schema_compiler *c, const struct goal *a,
                             const struct goal *b) {
    struct atom atoms[2 * SCHEMA_MAX_ATOMS];
    uint32_t n = 0;
    if (!a || !b || a == b || b->n == 0) return a;
    if (a->n == 0) return b;
    memcpy(atoms, a->atoms, a->n * sizeof *atoms);
    memcpy(atoms + a->n, b->atoms, b->n * sizeof *atoms);
    qsort(atoms, a->n + b->n, sizeof *atoms, compare_atoms);
    for (uint32_t i = 0; i < a->n + b->n; i++) {
        if (!atoms[i].value && json_is_false(atoms[i].schema)) return goal_none(c);
        if (n == 0 || compare_atoms(&atoms[n - 1], &atoms[i]) != 0) atoms[n++] = atoms[i];
    }
    if (n > SCHEMA_MAX_ATOMS)
        return schema_fail(c, HEARTH_ERROR_LIMIT, "more than %d schemas meet in one place",
                           SCHEMA_MAX_ATOMS);
    return goal_find(c, atoms, n);
}

uint32_t goal_rule(struct schema_compiler *c, const struct goal *goal) {
    struct goal *g = goal ? goal_find(c, goal->atoms, goal->n) : NULL;
    if (!g) return 0;
    if (g->n == 0) return c->json.value;
    if (g->rule == GRAMMAR_NONE) {
        g->rule = grammar_rule(c->grammar);
        *c->to_write_end = g;
        c->to_write_end = &g->next_to_write;
    }
    return g->rule;
}
