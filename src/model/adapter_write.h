/* adapter_write.h - writes low-rank adapters: as one GGUF file, and as a folder that PEFT
 * and everything built on it read.
 *
 * Both are written so that they appear whole or not at all. */
#ifndef HEARTH_MODEL_ADAPTER_WRITE_H
#define HEARTH_MODEL_ADAPTER_WRITE_H

#include "model/adapter.h"

struct adapter_facts {
    const char *base_name; /* of the model it is for: a path or a hub name; may be NULL */
    const char *name;      /* its own; may be NULL */
    double dropout;        /* it was trained with */
};

/* The GGUF layout that adapter_open reads: tensors as they are, general.type "adapter". Refuses
 * decomposed ones, for which it has no names. */
hearth_status adapter_write_gguf(const char *path, const struct adapter *adapter,
                                 const struct config *base, const struct adapter_facts *facts,
                                 hearth_error *err);
/* adapter_config.json and adapter_model.safetensors in `folder`, which is created. Names and
 * the order of rows and columns are those of the family's Hugging Face models. Refuses by
 * name a weight that such models store fused with another. */
hearth_status adapter_write_peft(const char *folder, const struct adapter *adapter,
                                 const struct config *base, const struct adapter_facts *facts,
                                 hearth_error *err);

#endif
