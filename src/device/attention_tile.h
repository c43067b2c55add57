/* attention_tile.h - queries of neighbouring rows, and of all heads that share a kv
 * head, against one block of the key positions.
 *
 * Blocks start at multiples of ATTENTION_BLOCK. A block's softmax and weighted sum are
 * computed by themselves, with a maximum of their own, and merged in the order of the
 * blocks (Milakov & Gimelshein, "Online normalizer calculation for softmax", arXiv
 * 1805.02867; Dao et al., FlashAttention, arXiv 2205.14135).
 *
 * Invariant: what a block gives a query depends on the query and on the positions that
 * it sees only, not on the tile: neither on its other queries nor on who computes it. */
#ifndef HEARTH_DEVICE_ATTENTION_TILE_H
#define HEARTH_DEVICE_ATTENTION_TILE_H

#include "device/cpu_device.h"

enum {
    ATTENTION_BLOCK = 256,      /* positions */
    ATTENTION_TILE_QUERIES = 128 /* wanted of a tile; more if more heads share a kv head */
};

struct position_range {
    uint32_t begin, end;
};

/* Query m = (row m / n_rep of the tile, head m % n_rep of the group). */
struct attention_tile {
    const struct cpu_run *run;
    const struct op *op;
    const struct batch_run *part;
    size_t first_row;
    uint32_t n_rows, n_rep;
    uint32_t group;               /* the kv head */
    struct position_range seen;   /* by some row */
    struct position_range common; /* to all rows */
};

/* The weighted sum of one block: sum = sum of e^(score - max), out not divided by it. No
 * position seen: {-INFINITY, 0}. */
struct softmax_state {
    float max, sum;
};

/* A thread's scratch memory. */
struct tile_scratch {
    float *q;                     /* [queries][d_k], scaled */
    float *rows;                  /* a page of keys or values as floats */
    float *scores;                /* [queries][ATTENTION_BLOCK] */
    float *out;                   /* [queries][d_v] of a block */
    struct softmax_state *parts;  /* [queries] of a block */
    struct softmax_state *states; /* [queries] of all blocks so far */
};

/* The most queries of a tile. */
uint32_t attention_tile_queries(const struct op *op);
struct tile_scratch tile_scratch_of(const struct op *op, float *memory);

/* Fills all but `group`. */
struct attention_tile attention_tile_of(const struct cpu_run *run, const struct op *op,
                                        const struct batch_run *part, size_t first_row,
                                        uint32_t n_rows);

static inline uint32_t tile_queries(const struct attention_tile *tile) {
    return tile->n_rows * tile->n_rep;
}

/* Copies the tile's queries to scratch->q. */
void tile_take_queries(const struct attention_tile *tile, const struct tile_scratch *scratch);

/* Where a thread reads on after a block. */
struct tile_block {
    const struct attention_tile *tile; /* NULL: nowhere */
    uint32_t block;
};

/* Attention of the queries taken over the block of positions [block * ATTENTION_BLOCK, ..):
 * out [queries][d_v] and parts [queries]. */
void tile_attend_block(const struct attention_tile *tile, const struct tile_scratch *scratch,
                       uint32_t block, float *out, struct softmax_state *parts,
                       struct tile_block then);

#endif
