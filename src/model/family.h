/* family.h - model families: a name and what sets it apart.
 *
 * A family's `configure` receives a config with the common keys read and the
 * defaults of a plain pre-norm, gated, rotary transformer, and changes what differs. */
#ifndef HEARTH_MODEL_FAMILY_H
#define HEARTH_MODEL_FAMILY_H

#include "model/config.h"

struct family {
    const char *name; /* general.architecture */
    hearth_status (*configure)(struct config *config, const struct config_source *source,
                               hearth_error *err);
};

const struct family *family_find(struct text name);
size_t family_count(void);
const struct family *family_at(size_t i);

/* Reads the ssm.* keys; layers without key/value heads become Mamba-2. */
hearth_status config_set_mamba2(struct config *config, const struct config_source *source,
                                hearth_error *err);
/* A BERT-style encoder: sees both ways, norms follow the residual sums. */
void config_set_encoder(struct config *config);
/* Sees both ways and gives embeddings; whatever the norms. Layers must have their shape. */
void config_set_bidirectional(struct config *config);

#define FAMILY_CONFIGURE(family)                                                                   \
    hearth_status family##_configure(struct config *config, const struct config_source *source,    \
                                     hearth_error *err)

FAMILY_CONFIGURE(baichuan);
FAMILY_CONFIGURE(bert);
FAMILY_CONFIGURE(chatglm);
FAMILY_CONFIGURE(cohere2);
FAMILY_CONFIGURE(command_r);
FAMILY_CONFIGURE(deepseek2);
FAMILY_CONFIGURE(ernie4_5);
FAMILY_CONFIGURE(ernie4_5_moe);
FAMILY_CONFIGURE(exaone);
FAMILY_CONFIGURE(exaone4);
FAMILY_CONFIGURE(falcon);
FAMILY_CONFIGURE(gemma);
FAMILY_CONFIGURE(gemma2);
FAMILY_CONFIGURE(gemma3);
FAMILY_CONFIGURE(gemma4);
FAMILY_CONFIGURE(gemma_embedding);
FAMILY_CONFIGURE(glm4);
FAMILY_CONFIGURE(glm4moe);
FAMILY_CONFIGURE(gpt2);
FAMILY_CONFIGURE(gpt_oss);
FAMILY_CONFIGURE(granite);
FAMILY_CONFIGURE(granite_hybrid);
FAMILY_CONFIGURE(hunyuan_dense);
FAMILY_CONFIGURE(jina_bert_v3);
FAMILY_CONFIGURE(lfm2);
FAMILY_CONFIGURE(llama);
FAMILY_CONFIGURE(minicpm);
FAMILY_CONFIGURE(mistral3);
FAMILY_CONFIGURE(nemotron_h);
FAMILY_CONFIGURE(nomic_bert);
FAMILY_CONFIGURE(nomic_bert_moe);
FAMILY_CONFIGURE(olmo);
FAMILY_CONFIGURE(olmo2);
FAMILY_CONFIGURE(olmoe);
FAMILY_CONFIGURE(phi2);
FAMILY_CONFIGURE(phi3);
FAMILY_CONFIGURE(qwen2);
FAMILY_CONFIGURE(qwen2moe);
FAMILY_CONFIGURE(qwen3);
FAMILY_CONFIGURE(qwen35);
FAMILY_CONFIGURE(qwen3next);
FAMILY_CONFIGURE(seed_oss);
FAMILY_CONFIGURE(smollm3);
FAMILY_CONFIGURE(stablelm);
FAMILY_CONFIGURE(starcoder2);

#endif
