#include "chat/constraint_grammar.h"

#include <string.h>

#include "base/mem.h"
#include "token/utf8.h"

void grammar_init(struct grammar *g) {
    *g = (struct grammar){.state = HEARTH_OK};
}

void grammar_release(struct grammar *g) {
    mem_free(g->nodes);
    mem_free(g->edges);
    mem_free(g->rules);
    *g = (struct grammar){.state = HEARTH_OK};
}

/* Room for one more in an array of `count`; false: the writing has failed. */
static bool make_room(struct grammar *g, void **array, uint32_t count, uint32_t *room,
                      uint32_t most, size_t size) {
    if (g->state != HEARTH_OK) return false;
    if (count < *room) return true;
    if (count >= most) {
        g->state = HEARTH_ERROR_LIMIT;
        return false;
    }
    uint32_t wanted = *room ? 2 * *room : 64;
    void *grown = mem_realloc_array(*array, wanted, size);
    if (!grown) {
        g->state = HEARTH_ERROR_NO_MEMORY;
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

uint32_t grammar_node(struct grammar *g) {
    void *nodes = g->nodes;
    bool ok = make_room(g, &nodes, g->n_nodes, &g->node_room, GRAMMAR_MAX_NODES, sizeof *g->nodes);
    g->nodes = nodes;
    if (!ok) return 0;
    g->nodes[g->n_nodes] = (struct grammar_node){.edges = GRAMMAR_NONE, .need = GRAMMAR_NO_END};
    return g->n_nodes++;
}

uint32_t grammar_rule(struct grammar *g) {
    void *rules = g->rules;
    bool ok = make_room(g, &rules, g->n_rules, &g->rule_room, GRAMMAR_MAX_RULES, sizeof *g->rules);
    g->rules = rules;
    if (!ok) return 0;
    struct grammar_rule rule = {.start = grammar_node(g), .end = grammar_node(g)};
    if (g->state != HEARTH_OK) return 0;
    g->nodes[rule.end].ends = true;
    g->rules[g->n_rules] = rule;
    return g->n_rules++;
}

static void add_edge(struct grammar *g, uint32_t from, struct grammar_edge edge) {
    void *edges = g->edges;
    bool ok = make_room(g, &edges, g->n_edges, &g->edge_room, GRAMMAR_MAX_EDGES, sizeof *g->edges);
    g->edges = edges;
    if (!ok) return;
    edge.next = g->nodes[from].edges;
    g->edges[g->n_edges] = edge;
    g->nodes[from].edges = g->n_edges++;
}

void grammar_edge(struct grammar *g, uint32_t from, enum edge_kind kind, uint32_t to) {
    add_edge(g, from, (struct grammar_edge){.kind = (uint8_t)kind, .to = to});
}

void grammar_bytes(struct grammar *g, uint32_t from, uint8_t low, uint8_t high, uint32_t to) {
    add_edge(g, from,
             (struct grammar_edge){.kind = EDGE_BYTES, .low = low, .high = high, .to = to});
}

void grammar_call(struct grammar *g, uint32_t from, uint32_t rule, uint32_t to) {
    add_edge(g, from, (struct grammar_edge){.kind = EDGE_CALL, .rule = rule, .to = to});
}

void grammar_text(struct grammar *g, uint32_t from, const char *text, size_t n, uint32_t to) {
    if (n == 0) grammar_edge(g, from, EDGE_EMPTY, to);
    for (size_t i = 0; i < n && g->state == HEARTH_OK; i++) {
        uint32_t next = i + 1 == n ? to : grammar_node(g);
        grammar_bytes(g, from, (uint8_t)text[i], (uint8_t)text[i], next);
        from = next;
    }
}

void grammar_share_text(struct grammar *g, uint32_t from, const char *text, size_t n, uint32_t to) {
    for (size_t i = 0; i < n && g->state == HEARTH_OK; i++) {
        uint8_t byte = (uint8_t)text[i];
        uint32_t e = g->nodes[from].edges;
        while (e != GRAMMAR_NONE && (g->edges[e].kind != EDGE_BYTES || g->edges[e].low != byte))
            e = g->edges[e].next;
        uint32_t next = e != GRAMMAR_NONE ? g->edges[e].to : grammar_node(g);
        if (e == GRAMMAR_NONE) grammar_bytes(g, from, byte, byte, next);
        from = next;
    }
    if (g->state == HEARTH_OK) grammar_edge(g, from, EDGE_EMPTY, to);
}

/* ---- characters ---- */

/* `n` bytes whose values go together from those of `low` to those of `high`, where all bytes
 * after the first that differs run over their whole range. */
static void byte_product(struct grammar *g, uint32_t from, const char *low, const char *high,
                         size_t n, uint32_t to) {
    for (size_t i = 0; i < n; i++) {
        uint32_t next = i + 1 == n ? to : grammar_node(g);
        grammar_bytes(g, from, (uint8_t)low[i], (uint8_t)high[i], next);
        from = next;
    }
}

/* Cuts low … high where the number of bytes changes and until each piece is a product of ranges
 * of bytes (as in RE2's compiler, Cox 2010). */
static void add_range(struct grammar *g, uint32_t from, uint32_t low, uint32_t high, uint32_t to) {
    static const uint32_t last_of_size[] = {0x7f, 0x7ff, 0xffff};
    if (low > high || g->state != HEARTH_OK) return;
    for (size_t i = 0; i < 3; i++) {
        if (low <= last_of_size[i] && high > last_of_size[i]) {
            add_range(g, from, low, last_of_size[i], to);
            add_range(g, from, last_of_size[i] + 1, high, to);
            return;
        }
    }
    for (uint32_t bits = 6; high >= 0x80 && bits <= 18; bits += 6) {
        uint32_t mask = (1u << bits) - 1;
        if ((low & ~mask) == (high & ~mask)) break;
        if (low & mask) {
            add_range(g, from, low, low | mask, to);
            add_range(g, from, (low | mask) + 1, high, to);
            return;
        }
        if ((high & mask) != mask) {
            add_range(g, from, low, (high & ~mask) - 1, to);
            add_range(g, from, high & ~mask, high, to);
            return;
        }
    }
    char first[4] = {0}, last[4] = {0};
    size_t n = utf8_encode(low, first);
    utf8_encode(high, last);
    byte_product(g, from, first, last, n, to);
}

void grammar_characters(struct grammar *g, uint32_t from, uint32_t low, uint32_t high,
                        uint32_t to) {
    if (high > 0x10ffff) high = 0x10ffff;
    add_range(g, from, low, high < 0xd7ff ? high : 0xd7ff, to);
    add_range(g, from, low > 0xe000 ? low : 0xe000, high, to);
}
