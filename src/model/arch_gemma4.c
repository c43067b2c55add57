/* Gemma 4 (Google DeepMind, 2026), the text part: local and global layers with heads of
 * different width, values normed and, in the larger models, taken from the keys; in the
 * small ones an embedding for every layer and last layers that reuse keys and values of
 * earlier ones; in 26B-A4B experts beside the dense feed-forward part. */
#include <math.h>

#include "model/family.h"

/* The last `n_shared` layers attend to the keys and values of the last layer of their
 * own kind, local or global, before them. */
static hearth_status share_kv(struct config *config, uint32_t n_shared, hearth_error *err) {
    uint32_t first = config->n_layer - n_shared;
    for (uint32_t i = first; i < config->n_layer; i++) {
        struct layer_config *layer = &config->layers[i];
        uint32_t from = first;
        while (from > 0 && (config->layers[from - 1].window != 0) != (layer->window != 0))
            from--;
        const struct layer_config *source = from ? &config->layers[from - 1] : NULL;
        if (!source || source->n_head_kv != layer->n_head_kv || source->d_k != layer->d_k ||
            source->d_v != layer->d_v)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "layer %u shares keys and values, but no layer before %u has the "
                             "same kind and shape",
                             i, first);
        layer->kv_layer = from - 1;
        layer->reads_kv = true;
    }
    return HEARTH_OK;
}

static hearth_status set_local_heads(struct config *config, const struct config_source *source,
                                     hearth_error *err) {
    uint32_t d_k = 0, d_v = 0;
    config_u32(source, "attention.key_length_swa", &d_k);
    config_u32(source, "attention.value_length_swa", &d_v);
    if (d_k == 0 || d_v == 0 || d_k > CONFIG_MAX_WIDTH || d_v > CONFIG_MAX_WIDTH)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "heads of local layers have %u and %u values "
                         "('gemma4.attention.key_length_swa', 'value_length_swa')",
                         d_k, d_v);
    config->rope_local.n_rot = d_k;
    config_u32(source, "rope.dimension_count_swa", &config->rope_local.n_rot);
    if (config->rope_local.n_rot % 2 != 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata 'gemma4.rope.dimension_count_swa' is %u; an even number was "
                         "expected",
                         config->rope_local.n_rot);
    for (uint32_t i = 0; i < config->n_layer; i++) {
        if (config->layers[i].window == 0) continue;
        config->layers[i].d_k = d_k;
        config->layers[i].d_v = d_v;
    }
    return HEARTH_OK;
}

FAMILY_CONFIGURE(gemma4) {
    enum { PERIOD = 6, MAX_LAYER_INPUT = 1 << 14 };
    uint32_t n_shared = 0;
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    config->qk_norm = true;
    config->v_norm = true;
    config->v_may_be_k = true;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    config->embedding_scale = sqrtf((float)config->n_embd);
    config->attention_scale = 1.0f;
    /* rope_freqs marks which pairs of a global head turn; local heads turn whole. */
    if (!config_f32(source, "rope.freq_base_swa", &config->rope_local.base))
        config->rope_local.base = 10000.0f;
    config->rope_local.factor = 1.0f;
    config->rope_local.use_factors = false;
    config_set_windows(config, source, PERIOD);
    RETURN_IF_ERROR(set_local_heads(config, source, err));
    config_u32(source, "attention.shared_kv_layers", &n_shared);
    config_u32(source, "embedding_length_per_layer_input", &config->n_layer_input);
    if (n_shared >= config->n_layer || config->n_layer_input > MAX_LAYER_INPUT)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "%u of %u layers share keys and values; embeddings of layers have %u "
                         "values",
                         n_shared, config->n_layer, config->n_layer_input);
    for (uint32_t i = 0; i < config->n_layer; i++)
        if (config->layers[i].ffn == FFN_EXPERTS) config->layers[i].ffn = FFN_GATED_AND_EXPERTS;
    return share_kv(config, n_shared, err);
}
