/* What no model may say, whatever its family: numbers that are none, widths that are
 * zero or whose products leave 32 bits. Lowering relies on it. */
#include <math.h>

#include "model/config.h"

static hearth_status check_numbers(const struct config *config, hearth_error *err) {
    const struct {
        const char *key;
        float value;
        bool positive; /* or zero */
    } numbers[] = {
        {"attention.layer_norm_epsilon", config->norm_eps, true},
        {"attn_logit_softcapping", config->attention_softcap, true},
        {"final_logit_softcapping", config->logit_softcap, true},
        {"attention.scale", config->attention_scale, false},
        {"attention.temperature_scale", config->temperature_scale, false},
        {"embedding_scale", config->embedding_scale, false},
        {"residual_scale", config->residual_scale, false},
        {"logit_scale", config->logit_scale, false},
        {"expert_weights_scale", config->experts.scale, false},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!isfinite(numbers[i].value) || (numbers[i].positive && numbers[i].value < 0))
            return error_set(err, HEARTH_ERROR_FORMAT, "metadata '%s.%s' gives %g, not a %s number",
                             config->family, numbers[i].key, (double)numbers[i].value,
                             numbers[i].positive ? "positive" : "finite");
    return HEARTH_OK;
}

static hearth_status check_rope(const struct config *config, const struct rope_config *rope,
                                hearth_error *err) {
    const float numbers[] = {rope->base,      rope->factor,    rope->beta_fast,
                             rope->beta_slow, rope->magnitude, rope->log_multiplier};
    bool possible = rope->base > 0 && rope->factor > 0 && rope->original_context > 0 &&
                    rope->n_rot % 2 == 0 && rope->n_rot <= CONFIG_MAX_WIDTH;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        possible = possible && isfinite(numbers[i]);
    if (possible) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "impossible rotary settings: '%s.rope.freq_base' %g, 'rope.scaling.factor' "
                     "%g, 'rope.dimension_count' %u, original context %u",
                     config->family, (double)rope->base, (double)rope->factor, rope->n_rot,
                     rope->original_context);
}

static bool fits(uint64_t a, uint64_t b) {
    return a > 0 && b > 0 && b <= CONFIG_MAX_WIDTH && a <= CONFIG_MAX_WIDTH / b;
}

static hearth_status check_layer(const struct config *config, uint32_t i, hearth_error *err) {
    const struct layer_config *layer = &config->layers[i];
    bool latent = layer->mixer == MIXER_LATENT_ATTENTION;
    if (layer->mixer != MIXER_ATTENTION && !latent) return HEARTH_OK;
    if (layer->n_head == 0 || layer->n_head_kv == 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "layer %u is an attention layer without heads",
                         i);
    if (!fits(layer->n_head, layer->d_k) || !fits(layer->n_head, layer->d_v) ||
        (latent && !fits(layer->n_head, (uint64_t)config->kv_rank + config->rope.n_rot)))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "layer %u has %u heads of %u and %u values; 1 to %d values for all heads "
                         "were expected",
                         i, layer->n_head, layer->d_k, layer->d_v, CONFIG_MAX_WIDTH);
    return HEARTH_OK;
}

static hearth_status check_states(const struct config *config, hearth_error *err) {
    bool delta = false, mamba = false;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        delta = delta || config->layers[i].mixer == MIXER_DELTA_NET;
        mamba = mamba || config->layers[i].mixer == MIXER_MAMBA2;
    }
    if (delta && (!fits(config->delta.n_head_k, config->delta.d_k) ||
                  !fits(config->delta.n_head_v, config->delta.d_v)))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "impossible delta net: %u key heads of %u values, %u value heads of %u",
                         config->delta.n_head_k, config->delta.d_k, config->delta.n_head_v,
                         config->delta.d_v);
    if (mamba && (!fits(config->mamba.n_head, config->mamba.d_head) ||
                  !fits(config->mamba.n_group, config->mamba.d_state)))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "impossible state space: %u heads of %u values, %u groups with states "
                         "of %u",
                         config->mamba.n_head, config->mamba.d_head, config->mamba.n_group,
                         config->mamba.d_state);
    return HEARTH_OK;
}

hearth_status config_check(const struct config *config, hearth_error *err) {
    RETURN_IF_ERROR(check_numbers(config, err));
    RETURN_IF_ERROR(check_rope(config, &config->rope, err));
    RETURN_IF_ERROR(check_rope(config, &config->rope_local, err));
    RETURN_IF_ERROR(check_states(config, err));
    if (config->q_rank > CONFIG_MAX_WIDTH)
        return error_set(err, HEARTH_ERROR_FORMAT, "queries of rank %u are too wide",
                         config->q_rank);
    for (uint32_t i = 0; i < config->n_layer; i++)
        RETURN_IF_ERROR(check_layer(config, i, err));
    return HEARTH_OK;
}
