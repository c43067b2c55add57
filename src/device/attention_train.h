/* attention_train.h - attention over the rows of a batch itself, for training: what forward
 * and backward share.
 *
 * A tile is up to TRAIN_QUERIES neighbouring rows of one sequence, under one head, against up
 * to TRAIN_KEYS positions. Tiles begin at the sequence's start, and rows of other sequences are
 * never seen. Every sequence starts at position 0 of its run. What a tile multiplies is packed
 * (packed_product.h): keys and values once for all tiles of a sequence under one kv head. */
#ifndef HEARTH_DEVICE_ATTENTION_TRAIN_H
#define HEARTH_DEVICE_ATTENTION_TRAIN_H

#include "device/cpu_device.h"
#include "device/packed_product.h"

enum { TRAIN_QUERIES = 64, TRAIN_KEYS = 64 };

struct train_tile {
    const struct cpu_run *run;
    const struct op *op;
    const struct batch_run *part;
    uint32_t head, kv_head;
    uint32_t first, n;         /* query rows of the sequence */
    uint32_t key_first, n_key; /* positions */
};

/* Packed tiles of keys one after the other. */
struct train_panels {
    char *first;
    size_t bytes; /* of a tile */
};

/* A thread's scratch memory. A: first, B: second operand of a product; `turned`: the rows are
 * the columns of what is stored. */
struct train_scratch {
    const struct gemm_kernels *g;
    float *scores;                /* [TRAIN_QUERIES][TRAIN_KEYS] */
    float *capped;                /* the same, of backward: scores after the soft cap */
    float *d_score;               /* the same, of backward */
    float *out;                   /* [TRAIN_QUERIES][d_v], of forward */
    float *max, *sum;             /* [TRAIN_QUERIES] */
    char *q, *dy;                 /* A: queries; gradients of the output */
    char *q_turned, *dy_turned;   /* B, of backward */
    char *weights;                /* A: what the scores become */
    struct train_panels keys;     /* B */
    struct train_panels values;   /* B; turned in forward */
    struct train_panels k_turned; /* B, of backward */
};

struct train_scratch train_scratch_of(const struct cpu_run *run, const struct op *op);

/* The part [*begin, *end) of the tile's keys that its query i sees. */
void train_tile_seen(const struct train_tile *tile, uint32_t i, uint32_t *begin, uint32_t *end);
/* The positions [*begin, *end) that some query of the tile sees, from whole tiles of keys on. */
void train_tile_range(const struct train_tile *tile, uint32_t *begin, uint32_t *end);
/* Moves on to the keys from key_first on, a multiple of TRAIN_KEYS. */
void train_tile_keys(struct train_tile *tile, uint32_t key_first);

/* Head `head` of row `row` of the tile's sequence in a view with heads of d values. */
static inline float *train_row(const struct train_tile *tile, struct view view, uint32_t row,
                               uint32_t head, uint32_t d) {
    return view_row(tile->run, view, tile->part->first_row + row) + (size_t)head * d;
}

/* The tile's keys among those of its sequence. */
static inline char *train_panels_at(const struct train_panels *panels,
                                    const struct train_tile *tile) {
    return panels->first + tile->key_first / TRAIN_KEYS * panels->bytes;
}

/* Packs a tile of keys or values of the tile's sequence and kv head. */
void train_pack_keys(const struct train_tile *tile, const struct train_scratch *scratch,
                     struct view view, uint32_t d, bool turned, const struct train_panels *panels);
/* The tile's queries times its keys, scaled and capped, into scratch->scores. */
void train_scores(const struct train_tile *tile, const struct train_scratch *scratch);

#endif
