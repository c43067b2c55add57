/* Values out of config.json and into metadata. Every number of the file is hostile:
 * kinds and ranges are checked here, what the numbers mean together in config.c. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/hf_import.h"

enum { KEY_BYTES = 256 };

void hf_fail(struct hf_config *c, hearth_status code, const char *format, ...) {
    if (c->status != HEARTH_OK) return;
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    c->status = error_set(c->err, code, "%s", message);
}

/* The value of the first of the names that is there and not null; *name becomes it. */
static const json_t *find(const struct hf_config *c, const char *key, char name[KEY_BYTES]) {
    while (*key) {
        size_t n = strcspn(key, "|");
        snprintf(name, KEY_BYTES, "%.*s", (int)n, key);
        const json_t *value = json_object_get(c->text, name);
        if (!value || json_is_null(value)) value = json_object_get(c->root, name);
        if (value && !json_is_null(value)) return value;
        key += n + (key[n] == '|');
    }
    return NULL;
}

bool hf_get_f64(struct hf_config *c, const char *key, double *out) {
    char name[KEY_BYTES];
    const json_t *value = find(c, key, name);
    if (!value || c->status != HEARTH_OK) return false;
    if (json_is_number(value) && isfinite(json_number_value(value))) {
        *out = json_number_value(value);
        return true;
    }
    hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%s' is not a number", name);
    return false;
}

bool hf_get_u32(struct hf_config *c, const char *key, uint32_t *out) {
    char name[KEY_BYTES];
    const json_t *value = find(c, key, name);
    if (!value || c->status != HEARTH_OK) return false;
    double number = json_is_number(value) ? json_number_value(value) : -1;
    if (number >= 0 && number <= UINT32_MAX && floor(number) == number) {
        *out = (uint32_t)number;
        return true;
    }
    hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%s' is not a whole number from 0 to %u", name,
            UINT32_MAX);
    return false;
}

bool hf_get_flag(struct hf_config *c, const char *key, bool *out) {
    char name[KEY_BYTES];
    const json_t *value = find(c, key, name);
    if (!value || c->status != HEARTH_OK) return false;
    if (json_is_boolean(value)) {
        *out = json_is_true(value);
        return true;
    }
    hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%s' is not true or false", name);
    return false;
}

const char *hf_get_string(struct hf_config *c, const char *key) {
    char name[KEY_BYTES];
    return json_string_value(find(c, key, name));
}

const json_t *hf_get_list(struct hf_config *c, const char *key) {
    char name[KEY_BYTES];
    const json_t *value = find(c, key, name);
    if (!value || json_is_array(value)) return value;
    hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%s' is not a list", name);
    return NULL;
}

static void fail_missing(struct hf_config *c, const char *key) {
    hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%.*s' is missing, which '%s' models need",
            (int)strcspn(key, "|"), key, c->family);
}

uint32_t hf_need_u32(struct hf_config *c, const char *key) {
    uint32_t value = 0;
    if (!hf_get_u32(c, key, &value)) fail_missing(c, key);
    return value;
}

double hf_need_f64(struct hf_config *c, const char *key) {
    double value = 0;
    if (!hf_get_f64(c, key, &value)) fail_missing(c, key);
    return value;
}

const json_t *hf_rope(const struct hf_config *c) {
    char name[KEY_BYTES];
    const json_t *rope = find(c, "rope_parameters|rope_scaling", name);
    const json_t *full = json_object_get(rope, "full_attention");
    return json_is_object(full) ? full : json_is_object(rope) ? rope : NULL;
}

bool hf_layer_kinds(struct hf_config *c, const char *key, const char *kind, bool *out,
                    uint32_t n_layer) {
    const json_t *list = hf_get_list(c, key);
    if (!list) return false;
    if (json_array_size(list) < n_layer) {
        hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%s' has %zu entries for %u layers", key,
                json_array_size(list), n_layer);
        return false;
    }
    for (uint32_t i = 0; i < n_layer; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        out[i] = name && strcmp(name, kind) == 0;
    }
    return true;
}

/* ---- metadata ----------------------------------------------------------------- */

static const char *full_key(const struct hf_config *c, const char *key, char out[KEY_BYTES]) {
    snprintf(out, KEY_BYTES, "%s.%s", c->family, key);
    return out;
}

void hf_set_u32(struct hf_config *c, const char *key, uint32_t value) {
    char name[KEY_BYTES];
    if (c->status == HEARTH_OK)
        c->status = metadata_set_uint(c->metadata, full_key(c, key, name), META_U32, value, c->err);
}

void hf_set_f64(struct hf_config *c, const char *key, double value) {
    char name[KEY_BYTES];
    if (c->status == HEARTH_OK)
        c->status = metadata_set_float(c->metadata, full_key(c, key, name), value, c->err);
}

void hf_set_flag(struct hf_config *c, const char *key, bool value) {
    char name[KEY_BYTES];
    if (c->status == HEARTH_OK)
        c->status = metadata_set_bool(c->metadata, full_key(c, key, name), value, c->err);
}

void hf_set_string(struct hf_config *c, const char *key, const char *value) {
    char name[KEY_BYTES];
    if (c->status == HEARTH_OK)
        c->status =
            metadata_set_string(c->metadata, full_key(c, key, name), value, strlen(value), c->err);
}

void hf_set_layers(struct hf_config *c, const char *key, const uint32_t *values, uint32_t n_layer) {
    char name[KEY_BYTES];
    if (c->status == HEARTH_OK)
        c->status = metadata_set_array(c->metadata, full_key(c, key, name), META_U32, values,
                                       n_layer, c->err);
}

void hf_set_layer_flags(struct hf_config *c, const char *key, const bool *values,
                        uint32_t n_layer) {
    char name[KEY_BYTES];
    if (c->status == HEARTH_OK)
        c->status = metadata_set_array(c->metadata, full_key(c, key, name), META_BOOL, values,
                                       n_layer, c->err);
}

bool hf_has_key(const struct hf_config *c, const char *key) {
    char name[KEY_BYTES];
    return metadata_find(c->metadata, full_key(c, key, name)) != NULL;
}

/* ---- the keys of all families ---------------------------------------------------- */

static const struct hf_key common_keys[] = {
    {"max_position_embeddings|n_positions|n_ctx|max_sequence_length", "context_length", HF_UINT},
    {"hidden_size|n_embd", "embedding_length", HF_UINT},
    {"num_hidden_layers|n_layer|n_layers|num_layers", "block_count", HF_UINT},
    {"intermediate_size|n_inner", "feed_forward_length", HF_UINT},
    {"num_attention_heads|n_head", "attention.head_count", HF_UINT},
    {"num_key_value_heads", "attention.head_count_kv", HF_UINT},
    {"head_dim", "attention.key_length", HF_UINT},
    {"head_dim", "attention.value_length", HF_UINT},
    {"rms_norm_eps|norm_eps", "attention.layer_norm_rms_epsilon", HF_FLOAT},
    {"layer_norm_eps|layer_norm_epsilon", "attention.layer_norm_epsilon", HF_FLOAT},
    {"num_local_experts|num_experts|n_routed_experts", "expert_count", HF_UINT},
    {"num_experts_per_tok|num_experts_per_token", "expert_used_count", HF_UINT},
    {"moe_intermediate_size", "expert_feed_forward_length", HF_UINT},
    {"n_group", "expert_group_count", HF_UINT},
    {"topk_group", "expert_group_used_count", HF_UINT},
    {"vocab_size", "vocab_size", HF_UINT},
    {"global_rope_theta|rope_theta", "rope.freq_base", HF_FLOAT},
    {"rope_local_base_freq|local_rope_theta", "rope.freq_base_swa", HF_FLOAT},
    {NULL, NULL, HF_UINT},
};

static void take_keys(struct hf_config *c, const struct hf_key *keys) {
    for (; keys && keys->from; keys++) {
        uint32_t whole;
        double number;
        bool flag;
        if (keys->type == HF_UINT && hf_get_u32(c, keys->from, &whole))
            hf_set_u32(c, keys->to, whole);
        else if (keys->type == HF_FLOAT && hf_get_f64(c, keys->from, &number))
            hf_set_f64(c, keys->to, number);
        else if (keys->type == HF_FLAG && hf_get_flag(c, keys->from, &flag))
            hf_set_flag(c, keys->to, flag);
    }
}

static bool rope_number(struct hf_config *c, const json_t *rope, const char *key, double *out) {
    const json_t *value = json_object_get(rope, key);
    if (!value || json_is_null(value)) return false;
    if (!json_is_number(value) || !isfinite(json_number_value(value))) {
        hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: '%s' of the rope parameters is no number",
                key);
        return false;
    }
    *out = json_number_value(value);
    return true;
}

static void take_rope_number(struct hf_config *c, const json_t *rope, const char *from,
                             const char *to) {
    double value;
    if (rope_number(c, rope, from, &value)) hf_set_f64(c, to, value);
}

static void take_original_context(struct hf_config *c, const json_t *rope) {
    double value;
    uint32_t whole;
    if (rope_number(c, rope, "original_max_position_embeddings", &value) && value >= 1 &&
        value <= UINT32_MAX)
        hf_set_u32(c, "rope.scaling.original_context_length", (uint32_t)value);
    else if (hf_get_u32(c, "original_max_position_embeddings", &whole))
        hf_set_u32(c, "rope.scaling.original_context_length", whole);
}

/* Kinds that need numbers of their own beyond these (llama3, longrope) get them as
 * tensors: hf_rope_factors. */
static void take_rope_scaling(struct hf_config *c, const json_t *rope) {
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    if (!type) type = json_string_value(json_object_get(rope, "type"));
    if (!type || strcmp(type, "default") == 0 || strcmp(type, "mrope") == 0 ||
        strcmp(type, "llama3") == 0)
        return;
    if (strcmp(type, "linear") == 0) {
        hf_set_string(c, "rope.scaling.type", "linear");
        take_rope_number(c, rope, "factor", "rope.scaling.factor");
    } else if (strcmp(type, "yarn") == 0) {
        hf_set_string(c, "rope.scaling.type", "yarn");
        take_rope_number(c, rope, "factor", "rope.scaling.factor");
        take_original_context(c, rope);
        take_rope_number(c, rope, "beta_fast", "rope.scaling.yarn_beta_fast");
        take_rope_number(c, rope, "beta_slow", "rope.scaling.yarn_beta_slow");
    } else if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) {
        hf_set_string(c, "rope.scaling.type", "longrope");
        take_original_context(c, rope);
    } else
        hf_fail(c, HEARTH_ERROR_UNSUPPORTED,
                "config.json: rope scaling '%.40s' is not known; linear, yarn, llama3 and longrope "
                "are",
                type);
}

static void take_rope(struct hf_config *c) {
    const json_t *rope = hf_rope(c);
    double share;
    uint32_t n_embd, n_head, d = 0;
    take_rope_number(c, rope, "rope_theta", "rope.freq_base");
    const json_t *local =
        json_object_get(json_object_get(c->text, "rope_parameters"), "sliding_attention");
    take_rope_number(c, local, "rope_theta", "rope.freq_base_swa");
    if (rope) take_rope_scaling(c, rope);
    if (!hf_get_u32(c, "head_dim", &d) && hf_get_u32(c, "hidden_size|n_embd", &n_embd) &&
        hf_get_u32(c, "num_attention_heads|n_head", &n_head) && n_head > 0)
        d = n_embd / n_head;
    if (!rope_number(c, rope, "partial_rotary_factor", &share) &&
        !hf_get_f64(c, "partial_rotary_factor", &share))
        share = 1.0;
    if (d > 0 && share > 0 && share <= 1)
        hf_set_u32(c, "rope.dimension_count", (uint32_t)(share * d));
}

static void take_gating(struct hf_config *c) {
    const char *name = hf_get_string(c, "scoring_func|score_function");
    if (!name) return;
    if (strcmp(name, "softmax") == 0)
        hf_set_u32(c, "expert_gating_func", 1);
    else if (strcmp(name, "sigmoid") == 0)
        hf_set_u32(c, "expert_gating_func", 2);
    else
        hf_fail(c, HEARTH_ERROR_UNSUPPORTED,
                "config.json: experts are chosen by '%.40s'; softmax and sigmoid are known", name);
}

void hf_take_config(struct hf_config *c, const struct hf_family *family) {
    take_keys(c, common_keys);
    take_rope(c);
    take_gating(c);
    take_keys(c, family->keys);
    if (family->metadata) family->metadata(c);
}
