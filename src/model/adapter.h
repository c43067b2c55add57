/* adapter.h - low-rank adapters (Hu et al., "LoRA", arXiv 2106.09685): the weight
 * W acts as W + scale * (alpha / rank) * B A, without touching W.
 *
 * An adapter is immutable after opening; an adapter set says which are active and
 * how strongly, and is what an executor is given. */
#ifndef HEARTH_MODEL_ADAPTER_H
#define HEARTH_MODEL_ADAPTER_H

#include "format/directory.h"

struct adapter {
    struct directory directory; /* tensors "<weight name>.lora_a" [in, r], ".lora_b" [r, out] */
    float alpha;
};

/* A GGUF adapter file; `family`: the base model's architecture, which must agree. */
hearth_status adapter_open(struct adapter *adapter, const char *path, const char *family,
                           hearth_error *err);
void adapter_close(struct adapter *adapter);

enum { ADAPTER_SET_MAX = 16 };

struct adapter_set {
    struct {
        const struct adapter *adapter; /* borrowed */
        float scale;
    } items[ADAPTER_SET_MAX];
    size_t count;
};

#endif
