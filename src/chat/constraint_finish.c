/* constraint_finish.c - what a written grammar needs to be followed: which nodes lead to an end,
 * which rules begin with themselves, which bytes are alike. */
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_grammar.h"

/* ---- the way to an end ---- */

/* Edges backwards, and the calls of each rule; lists by index, GRAMMAR_NONE ends one. */
struct backward {
    uint32_t *into, *into_next;       /* [nodes], [edges] */
    uint32_t *callers, *callers_next; /* [rules], [edges] */
    uint32_t *from;                   /* [edges] */
    uint32_t *rule_of_start;          /* [nodes]; GRAMMAR_NONE: not a start */
    uint32_t *work;                   /* [nodes]: to look at now */
    uint32_t *later;                  /* [2 edges]: one level on */
    uint32_t n_work, n_later;
    uint16_t *level; /* [nodes] */
    bool bytes;      /* edges that read bytes count */
};

static void backward_release(struct backward *b) {
    mem_free(b->into);
    mem_free(b->into_next);
    mem_free(b->callers);
    mem_free(b->callers_next);
    mem_free(b->from);
    mem_free(b->rule_of_start);
    mem_free(b->work);
    mem_free(b->later);
    mem_free(b->level);
}

static uint32_t *filled(size_t n) {
    uint32_t *array = mem_alloc_array(n + 1, sizeof *array);
    if (array) memset(array, 0xff, (n + 1) * sizeof *array);
    return array;
}

static bool backward_init(struct backward *b, const struct grammar *g) {
    *b = (struct backward){.into = filled(g->n_nodes),
                           .into_next = filled(g->n_edges),
                           .callers = filled(g->n_rules),
                           .callers_next = filled(g->n_edges),
                           .from = filled(g->n_edges),
                           .rule_of_start = filled(g->n_nodes),
                           .work = filled(g->n_nodes),
                           .later = filled(2 * (size_t)g->n_edges),
                           .level = mem_alloc_array((size_t)g->n_nodes + 1, sizeof *b->level)};
    if (!b->into || !b->into_next || !b->callers || !b->callers_next || !b->from ||
        !b->rule_of_start || !b->work || !b->later || !b->level)
        return false;
    for (uint32_t node = 0; node < g->n_nodes; node++) {
        for (uint32_t e = g->nodes[node].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            const struct grammar_edge *edge = &g->edges[e];
            b->from[e] = node;
            b->into_next[e] = b->into[edge->to];
            b->into[edge->to] = e;
            if (edge->kind != EDGE_CALL) continue;
            b->callers_next[e] = b->callers[edge->rule];
            b->callers[edge->rule] = e;
        }
    }
    for (uint32_t r = 0; r < g->n_rules; r++)
        b->rule_of_start[g->rules[r].start] = r;
    return true;
}

static void reach(struct backward *b, uint32_t node, uint16_t level) {
    if (b->level[node] != GRAMMAR_NO_END) return;
    b->level[node] = level;
    b->work[b->n_work++] = node;
}

/* Node `node` is reached at `level`: so are those before it, and those whose call it opens. */
static void spread(struct backward *b, const struct grammar *g, uint32_t node, uint16_t level) {
    for (uint32_t e = b->into[node]; e != GRAMMAR_NONE; e = b->into_next[e]) {
        const struct grammar_edge *edge = &g->edges[e];
        if (edge->kind == EDGE_BYTES && !b->bytes) continue;
        if (edge->kind != EDGE_CALL)
            reach(b, b->from[e], level);
        else if (b->level[g->rules[edge->rule].start] < level)
            reach(b, b->from[e], level);
        else if (b->level[g->rules[edge->rule].start] == level)
            b->later[b->n_later++] = b->from[e];
    }
    uint32_t rule = b->rule_of_start[node];
    if (rule == GRAMMAR_NONE) return;
    for (uint32_t e = b->callers[rule]; e != GRAMMAR_NONE; e = b->callers_next[e])
        if (b->level[g->edges[e].to] <= level) b->later[b->n_later++] = b->from[e];
}

/* level[node]: the calls that must nest to reach the rule's end (Knuth 1977, with the maximum as
 * superior function, level by level); GRAMMAR_NO_END: there is no way. */
static void find_ends(struct backward *b, const struct grammar *g, bool bytes) {
    b->bytes = bytes;
    b->n_work = 0;
    for (uint32_t node = 0; node < g->n_nodes; node++)
        b->level[node] = GRAMMAR_NO_END;
    for (uint32_t r = 0; r < g->n_rules; r++)
        reach(b, g->rules[r].end, 0);
    for (uint16_t level = 0; level < GRAMMAR_NO_END - 1 && b->n_work > 0; level++) {
        b->n_later = 0;
        for (uint32_t i = 0; i < b->n_work; i++)
            spread(b, g, b->work[i], level);
        b->n_work = 0;
        for (uint32_t i = 0; i < b->n_later; i++)
            reach(b, b->later[i], (uint16_t)(level + 1));
    }
}

/* ---- rules that begin with themselves ---- */

struct left_calls {
    uint32_t *caller, *callee; /* pairs */
    uint32_t *depth_first;     /* a stack of nodes */
    bool *seen;                /* [nodes] */
    uint32_t *n_callers;       /* [rules] */
    uint32_t n;
};

/* Pairs for every rule that `rule` may call before it has read a byte. */
static void collect_left_calls(struct left_calls *l, const struct grammar *g, uint32_t rule,
                               const uint16_t *empty) {
    uint32_t n = 0;
    l->depth_first[n++] = g->rules[rule].start;
    l->seen[g->rules[rule].start] = true;
    while (n > 0) {
        uint32_t node = l->depth_first[--n];
        for (uint32_t e = g->nodes[node].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            const struct grammar_edge *edge = &g->edges[e];
            if (edge->kind == EDGE_BYTES || g->nodes[edge->to].need == GRAMMAR_NO_END) continue;
            if (edge->kind == EDGE_CALL) {
                uint32_t start = g->rules[edge->rule].start;
                if (g->nodes[start].need == GRAMMAR_NO_END) continue;
                l->caller[l->n] = rule;
                l->callee[l->n++] = edge->rule;
                l->n_callers[edge->rule]++;
                if (empty[start] == GRAMMAR_NO_END) continue;
            }
            if (l->seen[edge->to]) continue;
            l->seen[edge->to] = true;
            l->depth_first[n++] = edge->to;
        }
    }
}

/* Takes away rules that no rule left calls, again and again (Kahn 1962); what then remains is a
 * cycle or follows one. */
static void peel(struct left_calls *l, const struct grammar *g, const uint32_t *first,
                 uint32_t *work) {
    uint32_t n = 0;
    for (uint32_t r = 0; r < g->n_rules; r++)
        if (l->n_callers[r] == 0) work[n++] = r;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t p = first[work[i]]; p < first[work[i] + 1]; p++)
            if (--l->n_callers[l->callee[p]] == 0) work[n++] = l->callee[p];
}

/* Going back from a rule that remains, n_rules times, ends in a cycle. */
static uint32_t rule_in_cycle(const struct left_calls *l, const struct grammar *g, uint32_t *back) {
    uint32_t rule = GRAMMAR_NONE;
    for (uint32_t p = 0; p < l->n; p++)
        if (l->n_callers[l->caller[p]] > 0 && l->n_callers[l->callee[p]] > 0)
            back[l->callee[p]] = l->caller[p];
    for (uint32_t r = 0; r < g->n_rules; r++)
        if (l->n_callers[r] > 0) rule = r;
    for (uint32_t i = 0; i < g->n_rules && rule != GRAMMAR_NONE; i++)
        rule = back[rule];
    return rule;
}

static hearth_status find_left_recursion(const struct grammar *g, const uint16_t *empty,
                                         uint32_t *rule) {
    struct left_calls l = {.caller = filled(g->n_edges),
                           .callee = filled(g->n_edges),
                           .depth_first = filled(g->n_nodes),
                           .seen = mem_calloc((size_t)g->n_nodes + 1, sizeof *l.seen),
                           .n_callers = mem_calloc((size_t)g->n_rules + 1, sizeof *l.n_callers)};
    uint32_t *first = filled((size_t)g->n_rules + 1), *work = filled(g->n_rules);
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    if (l.caller && l.callee && l.depth_first && l.seen && l.n_callers && first && work) {
        for (uint32_t r = 0; r < g->n_rules; r++) {
            first[r] = l.n;
            collect_left_calls(&l, g, r, empty);
        }
        first[g->n_rules] = l.n;
        peel(&l, g, first, work);
        *rule = rule_in_cycle(&l, g, work);
        status = HEARTH_OK;
    }
    mem_free(l.caller);
    mem_free(l.callee);
    mem_free(l.depth_first);
    mem_free(l.seen);
    mem_free(l.n_callers);
    mem_free(first);
    mem_free(work);
    return status;
}

/* ---- ends without a return, and classes of bytes ---- */

/* Chains of empty edges to the end of a rule are short; longer ones only keep a return. */
static bool is_tail(const struct grammar *g, uint32_t node) {
    for (int steps = 0; steps < 8; steps++) {
        uint32_t e = g->nodes[node].edges;
        if (g->nodes[node].ends) return e == GRAMMAR_NONE;
        if (e == GRAMMAR_NONE || g->edges[e].kind != EDGE_EMPTY) return false;
        if (g->edges[e].next != GRAMMAR_NONE) return false;
        node = g->edges[e].to;
    }
    return false;
}

static void find_classes(struct grammar *g) {
    bool begins[257] = {[0] = true};
    for (uint32_t e = 0; e < g->n_edges; e++) {
        if (g->edges[e].kind != EDGE_BYTES) continue;
        begins[g->edges[e].low] = true;
        begins[g->edges[e].high + 1] = true;
    }
    g->n_classes = 0;
    for (int byte = 0; byte < 256; byte++) {
        if (begins[byte]) g->class_first[g->n_classes++] = (uint8_t)byte;
        g->class_of[byte] = (uint8_t)(g->n_classes - 1);
    }
}

hearth_status grammar_finish(struct grammar *g, uint32_t root, uint32_t *left_recursive,
                             hearth_error *err) {
    struct backward b = {0};
    *left_recursive = GRAMMAR_NONE;
    hearth_status status = g->state;
    if (status == HEARTH_ERROR_LIMIT)
        return error_set(err, status, "the grammar is too large: more than %d places",
                         GRAMMAR_MAX_NODES);
    if (status == HEARTH_OK && !backward_init(&b, g)) status = HEARTH_ERROR_NO_MEMORY;
    if (status == HEARTH_OK) {
        g->root = root;
        find_ends(&b, g, true);
        for (uint32_t node = 0; node < g->n_nodes; node++) {
            g->nodes[node].need = b.level[node];
            g->nodes[node].tail = is_tail(g, node);
        }
        find_ends(&b, g, false);
        status = find_left_recursion(g, b.level, left_recursive);
        find_classes(g);
    }
    backward_release(&b);
    if (status == HEARTH_ERROR_NO_MEMORY) return error_set(err, status, "no memory for a grammar");
    if (status == HEARTH_OK && *left_recursive != GRAMMAR_NONE)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a rule of the grammar begins with itself");
    if (status == HEARTH_OK && g->nodes[g->rules[root].start].need == GRAMMAR_NO_END)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "no text has the form asked for");
    return status;
}
