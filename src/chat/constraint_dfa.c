#include "chat/constraint_dfa.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static hearth_status too_large(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "patterns need more than %d states, or too long to combine", DFA_MAX_STATES);
}

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pattern");
}

int dfa_add_state(struct dfa *dfa, bool accepts) {
    if (dfa->n_states == DFA_MAX_STATES) return -1;
    if (dfa->n_states == dfa->room) {
        uint32_t room = dfa->room ? 2 * dfa->room : 32;
        void *next = mem_realloc_array(dfa->next, room, sizeof *dfa->next);
        if (next) dfa->next = next;
        void *accepting = mem_realloc_array(dfa->accepts, room, sizeof *dfa->accepts);
        if (accepting) dfa->accepts = accepting;
        if (!next || !accepting) return 0;
        dfa->room = room;
    }
    memset(dfa->next[dfa->n_states], 0, sizeof *dfa->next);
    dfa->accepts[dfa->n_states++] = accepts;
    return 1;
}

void dfa_release(struct dfa *dfa) {
    mem_free(dfa->next);
    mem_free(dfa->accepts);
    *dfa = (struct dfa){0};
}

/* ---- from nodes ---- */

/* Sets of nodes, each sorted; set i belongs to state i + 1. */
struct subsets {
    const struct grammar *grammar;
    uint32_t end;
    struct dfa *dfa;
    uint32_t *nodes, n_nodes, node_room; /* of all sets, one after the other */
    uint32_t first[DFA_MAX_STATES + 1];
    uint16_t slots[4 * DFA_MAX_STATES]; /* hashed states; 0: free */
    uint32_t *work, n_work;             /* the set being made, [nodes of the grammar] */
    uint32_t *seen, turn;               /* in which turn a node was put there */
    uint32_t n_steps;
    hearth_status status;
};

static void add_node(struct subsets *s, uint32_t node) {
    if (s->seen[node] == s->turn) return;
    s->seen[node] = s->turn;
    s->work[s->n_work++] = node;
}

/* Follows edges that read nothing from the nodes at hand on. */
static void close_set(struct subsets *s, bool at_begin, bool at_end) {
    const struct grammar *g = s->grammar;
    for (uint32_t i = 0; i < s->n_work; i++) {
        for (uint32_t e = g->nodes[s->work[i]].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            const struct grammar_edge *edge = &g->edges[e];
            s->n_steps++;
            if (edge->kind == EDGE_EMPTY || (edge->kind == EDGE_BEGIN && at_begin) ||
                (edge->kind == EDGE_END && at_end))
                add_node(s, edge->to);
        }
    }
}

static void begin_set(struct subsets *s) {
    s->turn++;
    s->n_work = 0;
}

static int compare_nodes(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t *find_slot(struct subsets *s, uint16_t **slot) {
    enum { N_SLOTS = sizeof s->slots / sizeof *s->slots };
    uint64_t hash = s->n_work;
    for (uint32_t i = 0; i < s->n_work; i++)
        hash = (hash ^ s->work[i]) * 0x9e3779b97f4a7c15u ^ hash >> 31;
    for (uint32_t at = (uint32_t)(hash >> 32) % N_SLOTS;; at = (at + 1) % N_SLOTS) {
        *slot = &s->slots[at];
        if (!**slot) return NULL;
        uint32_t *known = s->nodes + s->first[**slot - 1];
        if (s->first[**slot] - s->first[**slot - 1] == s->n_work &&
            memcmp(known, s->work, s->n_work * sizeof *known) == 0)
            return known;
    }
}

/* The closed set's place among `nodes`; false: no room. */
static bool store_set(struct subsets *s) {
    enum { MOST = 1 << 24 };
    if (s->n_nodes + s->n_work > MOST) {
        s->status = HEARTH_ERROR_LIMIT;
        return false;
    }
    if (s->n_nodes + s->n_work > s->node_room) {
        uint32_t room = 2 * (s->n_nodes + s->n_work);
        uint32_t *grown = mem_realloc_array(s->nodes, room, sizeof *grown);
        if (!grown) {
            s->status = HEARTH_ERROR_NO_MEMORY;
            return false;
        }
        s->nodes = grown;
        s->node_room = room;
    }
    memcpy(s->nodes + s->n_nodes, s->work, s->n_work * sizeof *s->work);
    s->n_nodes += s->n_work;
    return true;
}

/* The state of the nodes at hand, which are closed here. */
static uint16_t state_of_set(struct subsets *s, bool at_begin) {
    uint16_t *slot;
    close_set(s, at_begin, false);
    if (s->n_work == 0 || s->status != HEARTH_OK) return DFA_NOWHERE;
    qsort(s->work, s->n_work, sizeof *s->work, compare_nodes);
    if (find_slot(s, &slot)) return *slot;
    if (!store_set(s)) return DFA_NOWHERE;
    close_set(s, at_begin, true);
    bool accepts = s->seen[s->end] == s->turn;
    int added = dfa_add_state(s->dfa, accepts);
    if (added != 1) {
        s->status = added ? HEARTH_ERROR_LIMIT : HEARTH_ERROR_NO_MEMORY;
        return DFA_NOWHERE;
    }
    *slot = (uint16_t)(s->dfa->n_states - 1);
    s->first[*slot] = s->n_nodes;
    return *slot;
}

static uint16_t state_after(struct subsets *s, uint32_t set, uint8_t byte) {
    const struct grammar *g = s->grammar;
    begin_set(s);
    for (uint32_t i = s->first[set]; i < s->first[set + 1]; i++) {
        for (uint32_t e = g->nodes[s->nodes[i]].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            const struct grammar_edge *edge = &g->edges[e];
            s->n_steps++;
            if (edge->kind == EDGE_BYTES && edge->low <= byte && byte <= edge->high)
                add_node(s, edge->to);
        }
    }
    return state_of_set(s, false);
}

static void expand_set(struct subsets *s, uint32_t set) {
    const struct grammar *g = s->grammar;
    bool cuts[257] = {[0] = true};
    uint16_t to = DFA_NOWHERE;
    for (uint32_t i = s->first[set]; i < s->first[set + 1]; i++) {
        for (uint32_t e = g->nodes[s->nodes[i]].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            if (g->edges[e].kind != EDGE_BYTES) continue;
            cuts[g->edges[e].low] = true;
            cuts[g->edges[e].high + 1] = true;
        }
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (cuts[byte]) to = state_after(s, set, (uint8_t)byte);
        s->dfa->next[set + 1][byte] = to;
    }
    if (s->n_steps > DFA_MAX_STEPS && s->status == HEARTH_OK) s->status = HEARTH_ERROR_LIMIT;
}

static void run_subsets(struct subsets *s, uint32_t start) {
    if (dfa_add_state(s->dfa, false) != 1) s->status = HEARTH_ERROR_NO_MEMORY;
    begin_set(s);
    add_node(s, start);
    state_of_set(s, true);
    for (uint32_t set = 0; s->status == HEARTH_OK && set + 1 < s->dfa->n_states; set++)
        expand_set(s, set);
}

hearth_status dfa_from_rule(struct dfa *out, const struct grammar *g, uint32_t rule,
                            hearth_error *err) {
    *out = (struct dfa){0};
    if (g->state == HEARTH_ERROR_LIMIT) return too_large(err);
    struct subsets *s = mem_calloc(1, sizeof *s);
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    if (s && g->state == HEARTH_OK) {
        s->grammar = g;
        s->end = g->rules[rule].end;
        s->dfa = out;
        s->status = HEARTH_OK;
        s->work = mem_alloc_array((size_t)g->n_nodes + 1, sizeof *s->work);
        s->seen = mem_calloc((size_t)g->n_nodes + 1, sizeof *s->seen);
        if (s->work && s->seen) run_subsets(s, g->rules[rule].start);
        status = s->work && s->seen ? s->status : HEARTH_ERROR_NO_MEMORY;
    }
    if (s) {
        mem_free(s->nodes);
        mem_free(s->work);
        mem_free(s->seen);
        mem_free(s);
    }
    if (status != HEARTH_OK) dfa_release(out);
    if (status == HEARTH_ERROR_LIMIT) return too_large(err);
    return status == HEARTH_OK ? HEARTH_OK : no_memory(err);
}

/* ---- two at once ---- */

struct pairs {
    const struct dfa *a, *b;
    struct dfa *dfa;
    uint32_t pair[DFA_MAX_STATES];      /* of states of a and b */
    uint16_t slots[4 * DFA_MAX_STATES]; /* hashed states; 0: free */
    enum dfa_operation operation;
    hearth_status status;
};

static uint16_t state_of_pair(struct pairs *p, uint16_t x, uint16_t y) {
    enum { N_SLOTS = sizeof p->slots / sizeof *p->slots };
    uint32_t pair = (uint32_t)x << 16 | y;
    if (x == DFA_NOWHERE || (y == DFA_NOWHERE && p->operation == DFA_BOTH)) return DFA_NOWHERE;
    uint32_t at = (pair * 0x9e3779b1u >> 7) % N_SLOTS;
    for (; p->slots[at]; at = (at + 1) % N_SLOTS)
        if (p->pair[p->slots[at]] == pair) return p->slots[at];
    bool accepts = p->a->accepts[x] && p->b->accepts[y] == (p->operation == DFA_BOTH);
    int added = dfa_add_state(p->dfa, accepts);
    if (added != 1) {
        p->status = added ? HEARTH_ERROR_LIMIT : HEARTH_ERROR_NO_MEMORY;
        return DFA_NOWHERE;
    }
    p->slots[at] = (uint16_t)(p->dfa->n_states - 1);
    p->pair[p->slots[at]] = pair;
    return p->slots[at];
}

hearth_status dfa_combine(struct dfa *out, const struct dfa *a, const struct dfa *b,
                          enum dfa_operation operation, hearth_error *err) {
    struct pairs *p = mem_calloc(1, sizeof *p);
    *out = (struct dfa){0};
    if (!p) return no_memory(err);
    *p = (struct pairs){.a = a, .b = b, .dfa = out, .operation = operation, .status = HEARTH_OK};
    if (dfa_add_state(out, false) != 1) p->status = HEARTH_ERROR_NO_MEMORY;
    if (p->status == HEARTH_OK) state_of_pair(p, DFA_START, DFA_START);
    for (uint32_t s = DFA_START; p->status == HEARTH_OK && s < out->n_states; s++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint16_t x = a->next[p->pair[s] >> 16][byte], y = b->next[p->pair[s] & 0xffff][byte];
            uint16_t to = state_of_pair(p, x, y);
            out->next[s][byte] = to;
        }
    }
    hearth_status status = p->status;
    mem_free(p);
    if (status == HEARTH_OK) return HEARTH_OK;
    dfa_release(out);
    return status == HEARTH_ERROR_LIMIT ? too_large(err) : no_memory(err);
}

/* ---- reading one ---- */

bool dfa_is_empty(const struct dfa *dfa) {
    for (uint32_t s = 0; s < dfa->n_states; s++)
        if (dfa->accepts[s]) return false; /* every state is reached from the start */
    return true;
}

bool dfa_accepts(const struct dfa *dfa, const char *text, size_t n) {
    uint16_t s = DFA_START;
    for (size_t i = 0; i < n; i++)
        s = dfa->next[s][(uint8_t)text[i]];
    return dfa->accepts[s];
}

static void write_edges(const struct dfa *dfa, struct grammar *g, uint32_t state,
                        const uint32_t *nodes) {
    const uint16_t *next = dfa->next[state];
    for (uint32_t low = 0, high; low < 256; low = high + 1) {
        for (high = low; high < 255 && next[high + 1] == next[low];)
            high++;
        uint32_t to = nodes[next[low]];
        if (to != GRAMMAR_NONE) grammar_bytes(g, nodes[state], (uint8_t)low, (uint8_t)high, to);
    }
}

/* States that lead to no end cost a node that is never entered. */
void dfa_write(const struct dfa *dfa, struct grammar *g, uint32_t from, uint32_t to) {
    uint32_t *nodes = mem_alloc_array(dfa->n_states + 1u, sizeof *nodes);
    if (!nodes) g->state = HEARTH_ERROR_NO_MEMORY;
    for (uint32_t s = 0; g->state == HEARTH_OK && s < dfa->n_states; s++) {
        nodes[s] = s == DFA_NOWHERE ? GRAMMAR_NONE : grammar_node(g);
        if (dfa->accepts[s]) grammar_edge(g, nodes[s], EDGE_EMPTY, to);
    }
    for (uint32_t s = DFA_START; g->state == HEARTH_OK && s < dfa->n_states; s++)
        write_edges(dfa, g, s, nodes);
    if (g->state == HEARTH_OK) grammar_edge(g, from, EDGE_EMPTY, nodes[DFA_START]);
    mem_free(nodes);
}
