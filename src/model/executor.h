/* executor.h - runs a model's recipe on a device: ragged batches in, logits or
 * embeddings out.
 *
 * Owns the plans, the scratch buffers and the cache. Which pages and slots a batch
 * uses is the caller's business (infer/). One thread at a time. */
#ifndef HEARTH_MODEL_EXECUTOR_H
#define HEARTH_MODEL_EXECUTOR_H

#include "device/plan_cost.h"
#include "model/adapter.h"
#include "model/cache.h"
#include "model/model.h"

struct executor;

struct executor_options {
    struct cache_options cache;
    uint32_t max_tokens; /* rows of a batch; the device's max_tokens must not be less */
    uint32_t n_ctx;      /* the longest sequence: LongRoPE chooses its factors by it */
};

hearth_status executor_open(struct executor **out, const struct model *model, struct device *device,
                            const struct executor_options *options, hearth_error *err);
void executor_close(struct executor *executor);

/* Replaces the adapters that runs of a batch may use, from the next one on: adapter i + 1 of a
 * run (adapter_use) is adapters[i], of up to ADAPTER_LOADED_MAX. A decomposed one is used with the
 * scale that it has here and no other. */
hearth_status executor_set_adapters(struct executor *executor, const struct adapter_item *adapters,
                                    size_t n, hearth_error *err);

/* For whoever changes the tensors of those adapters: what was derived from them is derived again.
 * executor_set_adapters does it for the next batch. */
void executor_update_adapters(struct executor *executor);

/* Computes a batch: fills the cache and keeps the hidden rows for executor_logits. */
hearth_status executor_run(struct executor *executor, const struct batch *batch, hearth_error *err);
/* Logits of the batch's output_rows [first, first + count) as float [count][n_vocab]. */
hearth_status executor_logits(struct executor *executor, const struct batch *batch, uint32_t first,
                              uint32_t count, float *out, hearth_error *err);
/* Pooled, normalised embeddings of the batch's runs, [n_runs][n_embd]. */
hearth_status executor_embeddings(struct executor *executor, const struct batch *batch, float *out,
                                  hearth_error *err);

/* Where the cache has its layers (cache.h, `next`): lets the head that predicts a further
 * token see a batch, after what else is wanted of it; */
hearth_status executor_follow(struct executor *executor, const struct batch *batch,
                              hearth_error *err);
/* and what it predicts after the batch's only row, [n_vocab]. */
hearth_status executor_next(struct executor *executor, const struct batch *batch, float *out,
                            hearth_error *err);

/* Adds the cost of every pass to `cost` from now on, the output matrix once for each batch
 * whatever the pieces its rows are computed in; NULL: no more. */
void executor_count(struct executor *executor, struct plan_cost *cost);

/* The operations from tokens to the residual stream under the last layer, and from there to
 * logits; valid until the adapters change. Scratch buffers have names of their own in them. */
const struct plan *executor_body(const struct executor *executor);
const struct plan *executor_head(const struct executor *executor);

struct cache *executor_cache(struct executor *executor);
/* The model's tensor behind the weight of an operation; NULL for others (adapters). */
const struct tensor *executor_weight(const struct executor *executor, device_buffer buffer);

#endif
