/* Phi-3 and Phi-4: fused Q/K/V and gate/up (found by name), LongRoPE. */
#include <math.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(phi3) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    return HEARTH_OK;
}

static const struct hf_rule phi3_rules[] = {
    {.from = "layers.#.self_attn.qkv_proj.weight", .to = "blk.#.attn_qkv.weight", .needed = true},
    {.from = "layers.#.self_attn.o_proj.weight", .to = "blk.#.attn_output.weight", .needed = true},
    {.from = "layers.#.mlp.gate_up_proj.weight", .to = "blk.#.ffn_up.weight", .needed = true},
    {.from = "layers.#.mlp.down_proj.weight", .to = "blk.#.ffn_down.weight", .needed = true},
    {.from = NULL},
};

/* LongRoPE (arXiv 2402.13753) raises the temperature with the extension. */
static void metadata(struct hf_config *c) {
    uint32_t original = 0, most = 0;
    uint32_t window = 0;
    hf_get_u32(c, "sliding_window", &window);
    hf_set_u32(c, "attention.sliding_window", window);
    hf_get_u32(c, "max_position_embeddings", &most);
    if (!hf_get_u32(c, "original_max_position_embeddings", &original) || original < 2) return;
    hf_set_u32(c, "rope.scaling.original_context_length", original);
    if (!json_object_get(hf_rope(c), "long_factor")) return;
    double scale = (double)most / original;
    hf_set_f64(c, "rope.scaling.attn_factor",
               scale > 1 ? sqrt(1 + log(scale) / log(original)) : 1.0);
}

const struct hf_family phi3_hf = {
    .name = "phi3",
    .architectures = "Phi3ForCausalLM",
    .model_types = "phi3",
    .rules = {hf_embedding_rules, hf_norm_rules, phi3_rules},
    .metadata = metadata,
};
