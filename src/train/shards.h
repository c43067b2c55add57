/* shards.h - every rank looks after a share of every trained tensor: adds up the ranks'
 * gradients of it and, where the optimiser's states are divided (ZeRO stage 1, arXiv
 * 1910.02054), holds its moments and takes its steps.
 *
 * Adding up is a reduce-scatter, each rank getting the sums of its share, and an all-gather
 * where all need them. What is sent are long pieces with many tensors in them. */
#ifndef HEARTH_TRAIN_SHARDS_H
#define HEARTH_TRAIN_SHARDS_H

#include "device/optimizer_step.h"
#include "train/ranks.h"

struct share {
    uint64_t first, n;
};

/* Shares are in the order of the ranks and whole blocks of 8-bit moments, except the last. */
struct share share_of(uint64_t n_values, int rank, int count);

struct shards;

/* Of whole tensors; all is borrowed until shards_close. Allocates what the rest needs. */
hearth_status shards_open(struct shards **out, struct ranks *ranks, struct device *device,
                          const struct trained_tensor *tensors, size_t n_tensors,
                          hearth_error *err);
void shards_close(struct shards *shards); /* NULL is fine */

/* Gradients become the sums of all ranks' gradients: this rank's share, or all of them when
 * `everywhere`. */
hearth_status shards_sum_gradients(struct shards *shards, bool everywhere, enum ranks_wire wire,
                                   hearth_error *err);
/* Every rank's share of the values becomes that of all. */
hearth_status shards_gather_values(struct shards *shards, hearth_error *err);

#endif
