/* adapter.h - low-rank adapters (Hu et al., "LoRA", arXiv 2106.09685): the weight
 * W acts as W + scale * (alpha / rank) * B A, without touching W.
 *
 * An adapter is immutable after opening; an adapter set says which are active and
 * how strongly, and is what an executor is given. */
#ifndef HEARTH_MODEL_ADAPTER_H
#define HEARTH_MODEL_ADAPTER_H

#include "format/directory.h"
#include "model/config.h"

struct adapter {
    struct directory directory; /* tensors "<weight name>.lora_a" [in, r], ".lora_b" [r, out] */
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
 * LoRA on linear layers (DoRA, saved modules, embeddings, experts, biases). */
hearth_status peft_open(struct adapter *adapter, const char *path, const struct config *base,
                        hearth_error *err);
/* Every A has a B of the same rank. */
hearth_status adapter_check_pairs(const struct adapter *adapter, hearth_error *err);

enum { ADAPTER_SET_MAX = 16 };

struct adapter_set {
    struct {
        const struct adapter *adapter; /* borrowed */
        float scale;
    } items[ADAPTER_SET_MAX];
    size_t count;
};

#endif
