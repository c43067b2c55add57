/* shards.h - every rank looks after a share of every trained tensor: it adds up the ranks'
 * gradients of it and, as the stage says, alone holds its moments, gradients and values (ZeRO,
 * arXiv 1910.02054).
 *
 * Adding up is a reduce-scatter, each rank getting the sums of its share, and an all-gather
 * where all need them. What is sent are long pieces with many tensors in them. All ranks name
 * the same tensors in the same order. Buffers are those of whole tensors at every stage: what a
 * rank does not hold is dropped (device_drop) and takes no memory.
 *
 * One thread at a time, which need not be the device's: parts of buffers that are named must be
 * free of running plans. */
#ifndef HEARTH_TRAIN_SHARDS_H
#define HEARTH_TRAIN_SHARDS_H

#include "device/optimizer_step.h"
#include "train/parameter.h"
#include "train/ranks.h"

/* What each rank has only its share of; each stage includes those before. */
enum zero_stage { ZERO_NOTHING, ZERO_MOMENTS, ZERO_GRADIENTS, ZERO_VALUES };

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
/* All tensors. */
struct parameter_list shards_all(const struct shards *shards);

/* Gradients become the sums of all ranks' gradients: this rank's share, or all of them when
 * `everywhere`. */
hearth_status shards_sum_gradients(struct shards *shards, struct parameter_list list,
                                   bool everywhere, enum ranks_wire wire, hearth_error *err);
/* Every rank's share of the values becomes that of all. */
hearth_status shards_gather_values(struct shards *shards, struct parameter_list list,
                                   hearth_error *err);
/* All but this rank's share becomes zero and takes no memory. */
hearth_status shards_drop_gradients(struct shards *shards, struct parameter_list list,
                                    hearth_error *err);
hearth_status shards_drop_values(struct shards *shards, struct parameter_list list,
                                 hearth_error *err);

#endif
