#include "token/trie.h"

#include "base/mem.h"

void trie_release(struct trie *trie) {
    mem_free(trie->edges);
    mem_free(trie->values);
    *trie = (struct trie){0};
}

static void put_edge(struct trie *trie, uint64_t edge) {
    size_t mask = trie->edges_size - 1, at = trie_slot(edge >> 28, mask);
    while (trie->edges[at])
        at = (at + 1) & mask;
    trie->edges[at] = edge;
}

static bool grow_edges(struct trie *trie) {
    size_t old_size = trie->edges_size, size = old_size ? old_size * 2 : 256;
    uint64_t *old = trie->edges, *edges = mem_calloc(size, sizeof *edges);
    if (!edges) return false;
    trie->edges = edges;
    trie->edges_size = size;
    for (size_t i = 0; i < old_size; i++)
        if (old[i]) put_edge(trie, old[i]);
    mem_free(old);
    return true;
}

static bool add_node(struct trie *trie) {
    if (trie->n_nodes == trie->capacity) {
        size_t capacity = trie->capacity ? trie->capacity * 2 : 128;
        int32_t *values = mem_realloc_array(trie->values, capacity, sizeof *values);
        if (!values) return false;
        trie->values = values;
        trie->capacity = capacity;
    }
    if (trie->n_nodes == TRIE_MAX_NODES) return false;
    trie->values[trie->n_nodes++] = -1;
    return true;
}

bool trie_add(struct trie *trie, const char *key, size_t length, int32_t value) {
    if (trie->n_nodes == 0 && !add_node(trie)) return false;
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)key[i];
        uint32_t child = trie_step(trie, node, byte);
        if (!child) {
            if ((trie->n_edges + 1) * 2 > trie->edges_size && !grow_edges(trie)) return false;
            if (!add_node(trie)) return false;
            child = (uint32_t)(trie->n_nodes - 1);
            put_edge(trie, (uint64_t)node << 36 | (uint64_t)byte << 28 | child);
            trie->n_edges++;
        }
        node = child;
    }
    if (trie->values[node] < 0) trie->values[node] = value;
    return true;
}
