#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/family.h"

enum { KEY_BYTES = 256 };

static const char *full_key(const struct config_source *source, const char *key, char *out) {
    snprintf(out, KEY_BYTES, "%s.%s", source->family, key);
    return out;
}

bool config_u32(const struct config_source *source, const char *key, uint32_t *out) {
    char name[KEY_BYTES];
    return metadata_u32(source->metadata, full_key(source, key, name), out);
}

bool config_f32(const struct config_source *source, const char *key, float *out) {
    char name[KEY_BYTES];
    return metadata_f32(source->metadata, full_key(source, key, name), out);
}

bool config_flag(const struct config_source *source, const char *key, bool *out) {
    char name[KEY_BYTES];
    return metadata_bool(source->metadata, full_key(source, key, name), out);
}

const struct meta_array *config_array(const struct config_source *source, const char *key) {
    char name[KEY_BYTES];
    return metadata_array(source->metadata, full_key(source, key, name));
}

bool config_layer_u32(const struct config_source *source, const char *key, uint32_t layer,
                      uint32_t *out) {
    const struct meta_array *array = config_array(source, key);
    if (!array) return config_u32(source, key, out);
    if (layer >= array->count) return false;
    int64_t value = meta_array_int(array, layer);
    if (value < 0 || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

void config_set_windows(struct config *config, const struct config_source *source,
                        uint32_t period) {
    uint32_t window = 0;
    config_u32(source, "attention.sliding_window", &window);
    const struct meta_array *pattern = config_array(source, "attention.sliding_window_pattern");
    config_u32(source, "attention.sliding_window_pattern", &period);
    for (uint32_t i = 0; i < config->n_layer; i++) {
        bool local = period == 0 || i % period + 1 < period;
        if (pattern) local = i < pattern->count && meta_array_int(pattern, i) != 0;
        config->layers[i].window = local ? window : 0;
        config->layers[i].local_rope = local && window > 0;
    }
}

static hearth_status require_u32(const struct config_source *source, const char *key, uint32_t max,
                                 uint32_t *out, hearth_error *err) {
    if (!config_u32(source, key, out))
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata key '%s.%s' is missing",
                         source->family, key);
    if (*out == 0 || *out > max)
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata '%s.%s' is %u; 1 to %u was expected",
                         source->family, key, *out, max);
    return HEARTH_OK;
}

static hearth_status read_rope(struct config *config, const struct config_source *source,
                               hearth_error *err) {
    struct text scaling = {"", 0};
    char name[KEY_BYTES];
    struct rope_config *rope = &config->rope;
    *rope = (struct rope_config){.base = 10000.0f,
                                 .factor = 1.0f,
                                 .n_rot = config->layers[0].d_k,
                                 .original_context = config->n_ctx_train,
                                 .beta_fast = 32.0f,
                                 .beta_slow = 1.0f,
                                 .magnitude = 1.0f,
                                 .use_factors = true};
    for (uint32_t i = 0; i < config->n_layer && rope->n_rot == 0; i++)
        rope->n_rot = config->layers[i].d_k;
    config_f32(source, "rope.freq_base", &rope->base);
    config_u32(source, "rope.dimension_count", &rope->n_rot);
    if (!config_f32(source, "rope.scaling.factor", &rope->factor) &&
        config_f32(source, "rope.scale_linear", &rope->factor))
        rope->scaling = ROPE_SCALING_LINEAR;
    config_u32(source, "rope.scaling.original_context_length", &rope->original_context);
    config_f32(source, "rope.scaling.attn_factor", &rope->magnitude);
    config_f32(source, "rope.scaling.yarn_beta_fast", &rope->beta_fast);
    config_f32(source, "rope.scaling.yarn_beta_slow", &rope->beta_slow);
    config_f32(source, "rope.scaling.yarn_log_multiplier", &rope->log_multiplier);
    if (metadata_string(source->metadata, full_key(source, "rope.scaling.type", name), &scaling)) {
        if (text_equal(scaling, "linear"))
            rope->scaling = ROPE_SCALING_LINEAR;
        else if (text_equal(scaling, "yarn"))
            rope->scaling = ROPE_SCALING_YARN;
        else if (text_equal(scaling, "longrope"))
            rope->scaling = ROPE_SCALING_LONGROPE;
        else if (!text_equal(scaling, "none") && !text_equal(scaling, "llama3"))
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "rope scaling '%.*s' is not known; none, linear, yarn, longrope and "
                             "llama3 are",
                             (int)(scaling.length < 40 ? scaling.length : 40), scaling.data);
    }
    config->rope_local = *rope;
    config->rope_local.scaling = ROPE_SCALING_NONE;
    config_f32(source, "rope.freq_base_swa", &config->rope_local.base);
    return HEARTH_OK;
}

static hearth_status read_layer(struct config *config, const struct config_source *source,
                                uint32_t i, hearth_error *err) {
    struct layer_config *layer = &config->layers[i];
    *layer = (struct layer_config){
        .mixer = MIXER_ATTENTION, .ffn = FFN_GATED, .kv_layer = i, .rope = true};
    if (!config_layer_u32(source, "attention.head_count", i, &layer->n_head))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata key '%s.attention.head_count' is missing", source->family);
    layer->n_head_kv = layer->n_head;
    const struct meta_array *per_layer = config_array(source, "attention.head_count_kv");
    if (!config_layer_u32(source, "attention.head_count_kv", i, &layer->n_head_kv) && per_layer)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata '%s.attention.head_count_kv' has %zu values, none that is "
                         "usable for layer %u of %u",
                         source->family, per_layer->count, i, config->n_layer);
    if (layer->n_head > CONFIG_MAX_HEADS || layer->n_head_kv > layer->n_head ||
        (layer->n_head_kv && layer->n_head % layer->n_head_kv != 0))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "layer %u has %u heads and %u key/value heads, which do not divide", i,
                         layer->n_head, layer->n_head_kv);
    layer->d_k = layer->n_head ? config->n_embd / layer->n_head : 0;
    config_u32(source, "attention.key_length", &layer->d_k);
    layer->d_v = layer->d_k;
    config_u32(source, "attention.value_length", &layer->d_v);
    if (layer->d_k > CONFIG_MAX_WIDTH || layer->d_v > CONFIG_MAX_WIDTH)
        return error_set(err, HEARTH_ERROR_FORMAT, "heads of %u and %u values are too wide",
                         layer->d_k, layer->d_v);
    return HEARTH_OK;
}

static hearth_status read_experts(struct config *config, const struct config_source *source,
                                  hearth_error *err) {
    struct expert_config *e = &config->experts;
    uint32_t dense = 0, gating = 0;
    *e = (struct expert_config){.normalise = true, .scale = 1.0f, .n_group = 1, .n_group_used = 1};
    config_u32(source, "expert_count", &e->n_expert);
    config_u32(source, "expert_used_count", &e->n_used);
    if (e->n_expert == 0) return HEARTH_OK;
    if (e->n_expert > CONFIG_MAX_EXPERTS || e->n_used == 0 || e->n_used > e->n_expert)
        return error_set(err, HEARTH_ERROR_FORMAT, "%u experts with %u used at a time", e->n_expert,
                         e->n_used);
    config_flag(source, "expert_weights_norm", &e->normalise);
    config_f32(source, "expert_weights_scale", &e->scale);
    if (e->scale == 0.0f) e->scale = 1.0f;
    config_u32(source, "expert_group_count", &e->n_group);
    config_u32(source, "expert_group_used_count", &e->n_group_used);
    if (e->n_group == 0) e->n_group = 1;
    if (e->n_group > 1 &&
        (e->n_expert % e->n_group != 0 || e->n_group_used == 0 || e->n_group_used > e->n_group ||
         e->n_expert / e->n_group * e->n_group_used < e->n_used))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "%u experts in %u groups of which %u are used: impossible", e->n_expert,
                         e->n_group, e->n_group_used);
    if (config_u32(source, "expert_gating_func", &gating)) {
        if (gating > 3)
            return error_set(err, HEARTH_ERROR_UNSUPPORTED, "expert gating function %u", gating);
        static const enum gating functions[] = {GATING_SOFTMAX, GATING_SOFTMAX, GATING_SIGMOID,
                                                GATING_SOFTMAX_OF_CHOSEN};
        e->gating = functions[gating];
    }
    config_u32(source, "leading_dense_block_count", &dense);
    for (uint32_t i = dense; i < config->n_layer; i++)
        config->layers[i].ffn = FFN_EXPERTS;
    return HEARTH_OK;
}

static void read_scales(struct config *config, const struct config_source *source) {
    float divisor = 1.0f;
    config->norm_eps = 1e-5f;
    config_f32(source, "attention.layer_norm_epsilon", &config->norm_eps);
    if (isfinite(config->norm_eps)) /* what is not finite is left to be refused */
        config_f32(source, "attention.layer_norm_rms_epsilon", &config->norm_eps);
    config_f32(source, "attn_logit_softcapping", &config->attention_softcap);
    config_f32(source, "final_logit_softcapping", &config->logit_softcap);
    config_f32(source, "attention.scale", &config->attention_scale);
    config_f32(source, "embedding_scale", &config->embedding_scale);
    config_f32(source, "residual_scale", &config->residual_scale);
    config_f32(source, "logit_scale", &divisor);
    if (divisor != 0.0f) config->logit_scale = isfinite(divisor) ? 1.0f / divisor : divisor;
}

/* Numbers of the GGUF key: 0 none, 1 mean, 2 first (CLS), 3 last, 4 a ranking. Without
 * it, the last token of a causal model is the only one that has seen the whole text. */
static void read_pooling(struct config *config, const struct config_source *source) {
    enum { UNSAID, MEAN, FIRST, LAST, RANK };
    uint32_t kind = UNSAID;
    config_u32(source, "pooling_type", &kind);
    config->ranks = kind == RANK;
    config->pool = config->causal ? POOL_LAST : POOL_MEAN;
    if (kind == MEAN) config->pool = POOL_MEAN;
    if (kind == FIRST) config->pool = POOL_FIRST;
    if (kind == LAST) config->pool = POOL_LAST;
}

/* Where the vocabulary's size is written depends on the age of the file. */
static hearth_status read_vocabulary(struct config *config, const struct config_source *source,
                                     hearth_error *err) {
    const struct meta_array *tokens = metadata_array(source->metadata, "tokenizer.ggml.tokens");
    if (tokens)
        config->n_vocab = tokens->count > UINT32_MAX ? 0 : (uint32_t)tokens->count;
    else
        config_u32(source, "vocab_size", &config->n_vocab);
    if (config->n_vocab == 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the size of the vocabulary is not given: neither '%s.vocab_size' nor "
                         "'tokenizer.ggml.tokens' is there",
                         source->family);
    return HEARTH_OK;
}

static hearth_status read_common(struct config *config, const struct config_source *source,
                                 hearth_error *err) {
    RETURN_IF_ERROR(require_u32(source, "block_count", CONFIG_MAX_LAYERS, &config->n_layer, err));
    /* Layers at the end that only predict further tokens are no part of the others. */
    config_u32(source, "nextn_predict_layers", &config->n_next);
    if (config->n_next >= config->n_layer) config->n_next = 0;
    config->n_layer -= config->n_next;
    RETURN_IF_ERROR(
        require_u32(source, "embedding_length", CONFIG_MAX_WIDTH, &config->n_embd, err));
    RETURN_IF_ERROR(
        require_u32(source, "context_length", UINT32_MAX / 2, &config->n_ctx_train, err));
    RETURN_IF_ERROR(read_vocabulary(config, source, err));
    config->layers = mem_calloc((size_t)config->n_layer + 1, sizeof *config->layers);
    if (!config->layers)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u layers", config->n_layer);
    for (uint32_t i = 0; i < config->n_layer; i++)
        RETURN_IF_ERROR(read_layer(config, source, i, err));
    read_scales(config, source);
    RETURN_IF_ERROR(read_rope(config, source, err));
    return read_experts(config, source, err);
}

/* The layer that predicts a further token is one like the last with attention. */
static void choose_next_layer(struct config *config) {
    uint32_t i = config->n_layer;
    while (i > 0 && config->layers[i - 1].mixer != MIXER_ATTENTION &&
           config->layers[i - 1].mixer != MIXER_LATENT_ATTENTION)
        i--;
    if (i == 0 || config->layers[i - 1].reads_kv || config->n_layer_input || !config->causal)
        config->n_next = 0;
    if (config->n_next == 0) return;
    config->layers[config->n_layer] = config->layers[i - 1];
    config->layers[config->n_layer].kv_layer = config->n_layer;
}

hearth_status config_read(struct config *config, const struct metadata *metadata,
                          hearth_error *err) {
    struct text name;
    *config = (struct config){.norm = NORM_RMS,
                              .mixer_norm = "attn_norm",
                              .ffn_norm = "ffn_norm",
                              .output_norm = "output_norm",
                              .causal = true,
                              .activation = ACTIVATION_SILU,
                              .embedding_scale = 1.0f,
                              .residual_scale = 1.0f,
                              .logit_scale = 1.0f};
    if (!metadata_string(metadata, "general.architecture", &name))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata key 'general.architecture' is missing: not a language model");
    const struct family *family = family_find(name);
    if (!family)
        return error_set(
            err, HEARTH_ERROR_UNSUPPORTED,
            "architecture '%.*s' is not supported; 'hearth show --families' lists what "
            "is",
            (int)(name.length < 60 ? name.length : 60), name.data);
    config->family = family->name;
    struct config_source source = {metadata, family->name};
    hearth_status status = read_common(config, &source, err);
    if (status == HEARTH_OK) status = family->configure(config, &source, err);
    if (status == HEARTH_OK) choose_next_layer(config);
    if (status == HEARTH_OK) read_pooling(config, &source);
    if (status == HEARTH_OK) status = config_check(config, err);
    if (status != HEARTH_OK) config_release(config);
    return status;
}

void config_release(struct config *config) {
    mem_free(config->layers);
    config->layers = NULL;
}

bool config_is_recurrent(const struct config *config) {
    for (uint32_t i = 0; i < config->n_layer; i++) {
        enum mixer_kind mixer = config->layers[i].mixer;
        if (mixer == MIXER_DELTA_NET || mixer == MIXER_MAMBA2 || mixer == MIXER_SHORT_CONV)
            return true;
    }
    return false;
}
