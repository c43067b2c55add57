/* dataset_order.h - which records are for evaluation, and in which order an epoch takes the
 * others (dataset_shuffled, in dataset.h). */
#ifndef HEARTH_TRAIN_DATASET_ORDER_H
#define HEARTH_TRAIN_DATASET_ORDER_H

#include "train/dataset.h"

/* Of a record's bytes: FNV-1a (Fowler, Noll, Vo), finished by the mixer of splitmix64, which
 * the seed goes through. */
uint64_t order_hash(const char *data, size_t n, uint64_t seed);

/* Moves the offsets of the `wanted` records with the smallest hashes to the end, those with
 * equal hashes together, so that there may be more: *n_eval. Both parts keep their order.
 * HEARTH_ERROR_ARGUMENT when none would be left to train on. */
hearth_status order_split(uint64_t *offsets, const uint64_t *hashes, uint64_t n, uint64_t wanted,
                          uint64_t *n_eval, hearth_error *err);

#endif
