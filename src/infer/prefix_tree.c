#include "infer/prefix_tree.h"

#include <string.h>

#include "base/mem.h"

#define NONE PREFIX_ROOT

struct node {
    uint32_t keys[CACHE_PAGE_TOKENS];
    uint32_t parent;
    uint32_t next;         /* of the same bucket */
    uint32_t older, newer; /* neighbours by last use */
    uint32_t state;
};

struct prefix_tree {
    struct page_table *table;
    struct node *nodes; /* [n_pages]; those of kept pages are in force */
    uint32_t n_nodes;
    uint32_t *buckets; /* [mask + 1] */
    uint32_t mask;
    uint32_t oldest, newest;
    uint32_t *free_states; /* [n_states], the first n_free_states in force */
    uint32_t n_free_states;
};

static void release(struct prefix_tree *t) {
    mem_free(t->nodes);
    mem_free(t->buckets);
    mem_free(t->free_states);
    mem_free(t);
}

hearth_status prefix_tree_open(struct prefix_tree **out, struct page_table *table,
                               uint32_t n_states, hearth_error *err) {
    *out = NULL;
    struct prefix_tree *t = mem_calloc(1, sizeof *t);
    if (!t) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a tree of pages");
    *t = (struct prefix_tree){
        .table = table, .mask = 1, .oldest = NONE, .newest = NONE, .n_free_states = n_states};
    while (t->mask < table->n_pages && t->mask < UINT32_MAX / 2)
        t->mask = 2 * t->mask + 1;
    t->nodes = mem_alloc_array(table->n_pages, sizeof *t->nodes);
    t->buckets = mem_alloc_array((size_t)t->mask + 1, sizeof *t->buckets);
    t->free_states = mem_alloc_array(n_states, sizeof *t->free_states);
    if (!t->nodes || !t->buckets || !t->free_states) {
        release(t);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a tree of %u pages",
                         table->n_pages);
    }
    memset(t->buckets, 0xff, ((size_t)t->mask + 1) * sizeof *t->buckets);
    for (uint32_t i = 0; i < n_states; i++)
        t->free_states[i] = i;
    *out = t;
    return HEARTH_OK;
}

/* FNV-1a over words, its high bits folded into the low ones that choose the bucket. */
static uint32_t *bucket_of(const struct prefix_tree *t, uint32_t parent, const uint32_t *keys) {
    const uint64_t prime = UINT64_C(0x100000001b3);
    uint64_t hash = (UINT64_C(0xcbf29ce484222325) ^ parent) * prime;
    for (int i = 0; i < CACHE_PAGE_TOKENS; i++)
        hash = (hash ^ keys[i]) * prime;
    return &t->buckets[(hash ^ hash >> 32) & t->mask];
}

static void unlink_from_uses(struct prefix_tree *t, uint32_t page) {
    const struct node *node = &t->nodes[page];
    *(node->older == NONE ? &t->oldest : &t->nodes[node->older].newer) = node->newer;
    *(node->newer == NONE ? &t->newest : &t->nodes[node->newer].older) = node->older;
}

static void append_to_uses(struct prefix_tree *t, uint32_t page) {
    struct node *node = &t->nodes[page];
    node->older = t->newest;
    node->newer = NONE;
    *(t->newest == NONE ? &t->oldest : &t->nodes[t->newest].newer) = page;
    t->newest = page;
}

uint32_t prefix_tree_find(const struct prefix_tree *t, uint32_t parent, const uint32_t *keys) {
    uint32_t page = *bucket_of(t, parent, keys);
    while (page != NONE && (t->nodes[page].parent != parent ||
                            memcmp(t->nodes[page].keys, keys, sizeof t->nodes[page].keys) != 0))
        page = t->nodes[page].next;
    return page;
}

uint32_t prefix_tree_add(struct prefix_tree *t, uint32_t parent, const uint32_t *keys,
                         uint32_t page) {
    uint32_t there = prefix_tree_find(t, parent, keys), *bucket = bucket_of(t, parent, keys);
    if (there != NONE) return there;
    struct node *node = &t->nodes[page];
    memcpy(node->keys, keys, sizeof node->keys);
    node->parent = parent;
    node->state = NONE;
    node->next = *bucket;
    *bucket = page;
    append_to_uses(t, page);
    page_table_keep(t->table, page);
    t->n_nodes++;
    return page;
}

void prefix_tree_touch(struct prefix_tree *t, uint32_t page) {
    unlink_from_uses(t, page);
    append_to_uses(t, page);
}

static void take_out(struct prefix_tree *t, uint32_t page) {
    uint32_t *link = bucket_of(t, t->nodes[page].parent, t->nodes[page].keys);
    while (*link != page)
        link = &t->nodes[*link].next;
    *link = t->nodes[page].next;
    unlink_from_uses(t, page);
    prefix_tree_drop_state(t, page);
    page_table_forget(t->table, page);
    t->n_nodes--;
}

bool prefix_tree_evict(struct prefix_tree *t) {
    /* What is in use is not old: it goes to the other end, so that it is met once in a round. */
    for (uint32_t n = t->n_nodes; n > 0; n--) {
        uint32_t page = t->oldest;
        if (t->table->uses[page] == 0) {
            take_out(t, page);
            return true;
        }
        prefix_tree_touch(t, page);
    }
    return false;
}

void prefix_tree_close(struct prefix_tree *t) {
    if (!t) return;
    while (t->oldest != NONE)
        take_out(t, t->oldest);
    release(t);
}

uint32_t prefix_tree_state(const struct prefix_tree *t, uint32_t page) {
    return t->nodes[page].state;
}

uint32_t prefix_tree_take_state(struct prefix_tree *t, uint32_t page) {
    uint32_t other = t->oldest;
    if (t->n_free_states == 0) {
        while (t->nodes[other].state == NONE)
            other = t->nodes[other].newer;
        prefix_tree_drop_state(t, other);
    }
    return t->nodes[page].state = t->free_states[--t->n_free_states];
}

void prefix_tree_drop_state(struct prefix_tree *t, uint32_t page) {
    if (t->nodes[page].state == NONE) return;
    t->free_states[t->n_free_states++] = t->nodes[page].state;
    t->nodes[page].state = NONE;
}
