/* attention_train.h - attention over the rows of a batch itself, for training: what forward
 * and backward share.
 *
 * A tile is up to TRAIN_QUERIES neighbouring rows of one sequence, under one head, against up
 * to TRAIN_KEYS positions. Rows of other sequences are never seen. Every sequence starts at
 * position 0 of its run. */
#ifndef HEARTH_DEVICE_ATTENTION_TRAIN_H
#define HEARTH_DEVICE_ATTENTION_TRAIN_H

#include "device/cpu_device.h"

enum { TRAIN_QUERIES = 32, TRAIN_KEYS = 64 };

struct train_tile {
    const struct cpu_run *run;
    const struct op *op;
    const struct batch_run *part;
    uint32_t head, kv_head;
    uint32_t first, n;         /* query rows of the sequence */
    uint32_t key_first, n_key; /* positions */
};

/* A thread's scratch memory; rows of d_k or d_v values follow each other. */
struct train_scratch {
    float *q;         /* [TRAIN_QUERIES][d_k], times the scale of the scores */
    float *scores;    /* [TRAIN_QUERIES][TRAIN_KEYS] */
    float *capped;    /* the same, of backward: scores after the soft cap */
    float *d_score;   /* the same, of backward */
    float *turned;    /* [TRAIN_KEYS][TRAIN_QUERIES] */
    float *out;       /* [TRAIN_QUERIES][d_v]: the output, of backward its gradient */
    float *d_q;       /* [TRAIN_QUERIES][d_k] */
    float *max, *sum; /* [TRAIN_QUERIES] */
    float *d_k, *d_v; /* [rows of a sequence][d], of backward */
};

struct train_scratch train_scratch_of(const struct op *op, float *memory);

/* The rows [*begin, *end) of its sequence that row `row` sees. */
void train_seen(const struct op *op, const struct batch_run *part, uint32_t row, uint32_t *begin,
                uint32_t *end);
/* The part [*begin, *end) of the tile's keys that its query i sees. */
void train_tile_seen(const struct train_tile *tile, uint32_t i, uint32_t *begin, uint32_t *end);
/* The positions [*begin, *end) that some query of the tile sees. */
void train_tile_range(const struct train_tile *tile, uint32_t *begin, uint32_t *end);

/* Head `head` of row `row` of the tile's sequence in a view with heads of d values. */
static inline float *train_row(const struct train_tile *tile, struct view view, uint32_t row,
                               uint32_t head, uint32_t d) {
    return view_row(tile->run, view, tile->part->first_row + row) + (size_t)head * d;
}

struct kv_rows train_keys(const struct train_tile *tile);
struct kv_rows train_values(const struct train_tile *tile);
/* Fills scratch->q. */
void train_take_queries(const struct train_tile *tile, const struct train_scratch *scratch);
/* Scores of the tile's queries against its keys, soft cap applied, into scratch->scores. */
void train_scores(const struct train_tile *tile, const struct train_scratch *scratch);

#endif
