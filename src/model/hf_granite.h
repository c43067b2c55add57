/* hf_granite.h - what the Hugging Face sides of Granite 3, Granite 4 and its hybrids share. */
#ifndef HEARTH_MODEL_HF_GRANITE_H
#define HEARTH_MODEL_HF_GRANITE_H

#include "model/hf_family.h"

extern const struct hf_key granite_keys[];
extern const struct hf_rule granite_mlp_rules[];     /* shared_mlp as the only one */
extern const struct hf_rule granite_experts_rules[]; /* experts, shared_mlp beside them */
bool granite_has_mamba(struct hf_config *c);
bool granite_has_experts(struct hf_config *c);

#endif
