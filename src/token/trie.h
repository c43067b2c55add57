/* trie.h - byte strings to numbers, walked one byte at a time.
 *
 * Nodes are numbers, the root is 0; edges live in one hash table. */
#ifndef HEARTH_TOKEN_TRIE_H
#define HEARTH_TOKEN_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRIE_MAX_NODES = (1 << 28) - 1 };

struct trie {
    uint64_t *edges; /* parent << 36 | byte << 28 | child; 0 is free */
    size_t edges_size, n_edges;
    int32_t *values; /* per node; -1: no string ends here */
    size_t n_nodes, capacity;
};

void trie_release(struct trie *trie); /* a zeroed trie is empty */
/* The first value of a string stays. False when memory or nodes are exhausted. */
bool trie_add(struct trie *trie, const char *key, size_t length, int32_t value);

static inline size_t trie_slot(uint64_t parent_and_byte, size_t mask) {
    uint64_t h = parent_and_byte * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 32) & mask;
}

/* The child, or 0. */
static inline uint32_t trie_step(const struct trie *trie, uint32_t node, unsigned char byte) {
    if (trie->edges_size == 0) return 0;
    uint64_t key = (uint64_t)node << 8 | byte;
    size_t mask = trie->edges_size - 1;
    for (size_t at = trie_slot(key, mask); trie->edges[at]; at = (at + 1) & mask)
        if (trie->edges[at] >> 28 == key) return (uint32_t)(trie->edges[at] & TRIE_MAX_NODES);
    return 0;
}

static inline int32_t trie_value(const struct trie *trie, uint32_t node) {
    return trie->values[node];
}

#endif
