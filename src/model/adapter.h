/* adapter.h - low-rank adapters (Hu et al., "LoRA", arXiv 2106.09685): the weight
 * W acts as W + scale * (alpha / rank) * B A, without touching W.
 *
 * A weight-decomposed adapter (DoRA: Liu et al., arXiv 2402.09353) has a magnitude m_r for each
 * row besides: the row acts as m_r (W + s B A)_r / |(W + s B A)_r|, s = scale * alpha / rank.
 * Others on the same weight add to that.
 *
 * An adapter is immutable after opening. A context holds several (context.h); an adapter set says
 * which of them a sequence uses, and how strongly. */
#ifndef HEARTH_MODEL_ADAPTER_H
#define HEARTH_MODEL_ADAPTER_H

#include "base/sha256.h"
#include "device/plan.h"
#include "format/directory.h"
#include "model/config.h"

struct adapter {
    struct directory directory; /* tensors "<weight name>.lora_a" [in, r], ".lora_b" [r, out];
                                   of decomposed ones also ".lora_magnitude" [out], all f32 */
    float alpha;
};

/* A GGUF adapter file, or a folder that PEFT saved; `base`: the model it is for. Its
 * architecture must agree, and says how the tensors of a folder are named and laid out. */
hearth_status adapter_open(struct adapter *adapter, const char *path, const struct config *base,
                           hearth_error *err);
/* "FILE[:SCALE]" as people write it; a colon that no number follows belongs to the path. */
hearth_status adapter_open_scaled(struct adapter *adapter, float *scale, const char *item,
                                  const struct config *base, hearth_error *err);
void adapter_close(struct adapter *adapter);

/* For adapter_open: fills `adapter` from a PEFT folder. Refuses by name what is not plain
 * LoRA or DoRA on linear layers (saved modules, embeddings, experts, biases). */
hearth_status peft_open(struct adapter *adapter, const char *path, const struct config *base,
                        hearth_error *err);
/* Every A has a B of the same rank, every magnitude both and as many values as rows. */
hearth_status adapter_check_pairs(const struct adapter *adapter, hearth_error *err);

/* The tensors of an adapter for a weight. */
struct adapter_part {
    const struct tensor *a, *b;
    const struct tensor *magnitude; /* NULL: not decomposed */
};
/* False when the adapter leaves the weight alone. */
bool adapter_find(const struct adapter *adapter, const char *weight_name,
                  struct adapter_part *part);
/* Whether any of its parts is decomposed. */
bool adapter_is_decomposed(const struct adapter *adapter);

enum {
    ADAPTER_LOADED_MAX = PLAN_MAX_ADAPTERS, /* over one model */
    ADAPTER_SET_MAX = RUN_MAX_ADAPTERS
};

struct adapter_item {
    const struct adapter *adapter; /* borrowed */
    float scale;                   /* 0: as if it were not there */
};

struct adapter_set {
    struct adapter_item items[ADAPTER_SET_MAX];
    size_t count;
};

/* Whether they can be used together: scales are numbers, and no two decomposed ones change the
 * same weight (HEARTH_ERROR_UNSUPPORTED, by name). */
hearth_status adapter_set_check(const struct adapter_set *set, hearth_error *err);
/* The name of what a set does to a model: a digest of the adapters' content (their directories'
 * fingerprints and alphas), in order, and of their scales. Sets that do nothing have the same. */
void adapter_set_identity(const struct adapter_set *set, uint8_t identity[SHA256_BYTES]);

#endif
