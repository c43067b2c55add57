/* SmolLM3: Llama without rotation on every fourth layer (NoPE). */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(smollm3) {
    (void)source;
    (void)err;
    enum { PERIOD = 4 };
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].rope = (i + 1) % PERIOD != 0;
    return HEARTH_OK;
}

/* The recipe knows one pattern: every fourth layer without rotation. */
static void metadata(struct hf_config *c) {
    const json_t *list = hf_get_list(c, "no_rope_layers");
    for (size_t i = 0; i < json_array_size(list); i++)
        if ((json_integer_value(json_array_get(list, i)) != 0) != ((i + 1) % 4 != 0))
            hf_fail(c, HEARTH_ERROR_UNSUPPORTED,
                    "config.json: 'no_rope_layers' leaves out other layers than every fourth");
}

const struct hf_family smollm3_hf = {
    .name = "smollm3",
    .architectures = "SmolLM3ForCausalLM",
    .model_types = "smollm3",
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules, hf_mlp_rules},
    .metadata = metadata,
};
