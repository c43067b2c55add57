/* Every tensor and every setting of small models, spoilt one at a time: a sample of the
 * changes, or all of them with HEARTH_SLOW_TESTS=1. */
#include "hostile.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"

enum { MAX_RESIDENT_KB = 1 << 20 };

static const char *const models[] = {
    "bert",      "deepseek2",  "deepseek2-fused", "gemma",   "gemma3", "gemma4",
    "gpt-oss",   "gpt2",       "granitehybrid",   "lfm2moe", "llama",  "llama-moe",
    "mistral3",  "nemotron_h", "nomic-bert-moe",  "olmo2",   "phi3",   "qwen35moe",
    "qwen3next", "stablelm",
};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* Whether the next change is in the sample. */
static bool due(void) {
    enum { SAMPLE = 13 };
    static unsigned count;
    return getenv("HEARTH_SLOW_TESTS") || count++ % SAMPLE == 0;
}

static void open_model(struct victim *v, const char *name) {
    char path[1024];
    const char *source = getenv("HEARTH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/fuzz/corpus/model/%s", source ? source : ".", name);
    victim_open(v, path, name);
}

static void for_each_model(void (*test)(struct victim *)) {
    for (size_t i = 0; i < N_MODELS; i++) {
        struct victim v;
        open_model(&v, models[i]);
        test(&v);
        print_message("%s: %u changes, %u refused\n", v.name, v.tried, v.refused);
        victim_close(&v);
    }
}

static bool ends_with(const char *name, const char *end) {
    size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* Tensors that a file may lack: biases, frequency factors, attention sinks, gates that
 * are fused without them, heads that are tied, norms of a whole. */
static bool may_be_absent(const char *name) {
    static const char *const ends[] = {".bias",
                                       "rope_freqs.weight",
                                       "attn_sinks.weight",
                                       "output.weight",
                                       "token_types.weight",
                                       "ssm_norm.weight",
                                       "output_scale.weight",
                                       "ffn_gate.weight",
                                       "ffn_gate_exps.weight",
                                       "attn_v.weight",
                                       "shexp.weight"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

static bool is_fused(const char *name) {
    return strstr(name, "attn_qkv") || strstr(name, "attn_kv_b") || strstr(name, "ssm_ba") ||
           strstr(name, "ssm_in");
}

static void drop_tensors(struct victim *v) {
    for (size_t i = 0; i < v->original.n_tensors; i++) {
        const char *name = v->original.tensors[i].name;
        if (!due() && i % 3 != 0) continue;
        victim_reset(v, NULL);
        v->n_tensors--;
        memmove(v->tensors + i, v->tensors + i + 1, (v->n_tensors - i) * sizeof *v->tensors);
        bool worked = victim_try(v, "without '%s'", name);
        v->n_tensors = 0; /* nothing is owned */
        if (worked && !may_be_absent(name)) fail_msg("%s runs without '%s'", v->name, name);
        /* Without a fused weight its parts are looked for. */
        if (!worked && !may_be_absent(name) && !is_fused(name) && !strstr(v->err.message, name))
            fail_msg("'%s' does not name '%s'", v->err.message, name);
    }
}

static void a_missing_tensor_is_named(void **state) {
    (void)state;
    for_each_model(drop_tensors);
}

static void reshape_tensors(struct victim *v) {
    for (size_t i = 0; i < v->original.n_tensors; i++) {
        const struct tensor *t = &v->original.tensors[i];
        const uint64_t *d = t->dims;
        const uint64_t shapes[][4] = {
            {d[0] + 1, d[1], d[2], 1},
            {d[0] * 2, d[1], d[2], 1},
            {d[0], d[1] + 1, d[2], 1},
            {d[0], d[1] * 2, d[2], 1},
            {d[1], d[0], d[2], 1},
            {d[0] * d[1] * d[2], 1, 1, 1},
            {1, d[0] * d[1], d[2], 1},
            {d[0], d[1], d[2] + 1, 1},
            {d[0], d[1], d[2], 2},
            {1, 1, 1, 1},
            {d[0] / 2 + 1, d[1], d[2], 1},
            {d[0], d[1] / 2 + 1, d[2], 1},
            {1, 1, d[0], d[1]},
            {1 << 14, 1, 1, 1},
            {1, 1 << 14, 1, 1},
        };
        for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
            if (!due()) continue;
            victim_reset(v, NULL);
            victim_reshape(v, i, t->type, shapes[k]);
            victim_try(v, "'%s' as [%llu, %llu, %llu, %llu]", t->name,
                       (unsigned long long)shapes[k][0], (unsigned long long)shapes[k][1],
                       (unsigned long long)shapes[k][2], (unsigned long long)shapes[k][3]);
        }
    }
}

static void wrong_shapes_do_no_harm(void **state) {
    (void)state;
    for_each_model(reshape_tensors);
}

static void retype_tensors(struct victim *v) {
    static const enum elem types[] = {ELEM_I8,  ELEM_I16, ELEM_I32, ELEM_I64,
                                      ELEM_F64, ELEM_F16, ELEM_BF16};
    for (size_t i = 0; i < v->original.n_tensors; i++)
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
            const char *name = v->original.tensors[i].name;
            if (!due()) continue;
            victim_reset(v, NULL);
            victim_reshape(v, i, types[k], v->original.tensors[i].dims);
            bool worked = victim_try(v, "'%s' as %s", name, elem_name(types[k]));
            if (worked && types[k] != ELEM_F16 && types[k] != ELEM_BF16)
                fail_msg("%s runs with '%s' as %s", v->name, name, elem_name(types[k]));
        }
}

static void wrong_types_are_refused(void **state) {
    (void)state;
    for_each_model(retype_tensors);
}

/* Whole blocks need widths that the tiny models lack. */
static void quantise_tensors(struct victim *v) {
    static const enum elem types[] = {ELEM_Q8_0, ELEM_Q4_0, ELEM_MXFP4, ELEM_IQ4_NL};
    for (size_t i = 0; i < v->original.n_tensors; i++)
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
            const struct tensor *t = &v->original.tensors[i];
            if (t->dims[0] % 32 != 0 || !due()) continue;
            victim_reset(v, NULL);
            victim_reshape(v, i, types[k], t->dims);
            memset((uint8_t *)(uintptr_t)v->tensors[i].data, 0, v->tensors[i].size_bytes);
            bool worked = victim_try(v, "'%s' as %s", t->name, elem_name(types[k]));
            bool vector = t->dims[1] == 1 || strstr(t->name, "norm") || strstr(t->name, "bias");
            if (worked && vector && strcmp(t->name, "rope_freqs.weight") != 0)
                fail_msg("%s runs with '%s' as %s", v->name, t->name, elem_name(types[k]));
        }
}

static void only_matrices_may_be_quantised(void **state) {
    static const char *const golden[] = {"llama3-ropefreqs-dense", "gpt2-dense", "lfm2moe-moe",
                                         "nemotron_h-dense"};
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct victim v;
        char name[128];
        snprintf(name, sizeof name, "arch/%s/model.gguf", golden[i]);
        victim_open(&v, testdata(name), golden[i]);
        quantise_tensors(&v);
        print_message("%s: %u changes, %u refused\n", v.name, v.tried, v.refused);
        victim_close(&v);
    }
}

static void spoil_integer(struct victim *v, const struct meta_value *value, const char *key) {
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      3,
                                      5,
                                      7,
                                      16,
                                      33,
                                      255,
                                      1023,
                                      4096,
                                      65536,
                                      1 << 20,
                                      (1 << 20) + 1,
                                      1u << 31,
                                      UINT32_MAX,
                                      (uint64_t)1 << 40,
                                      UINT64_MAX};
    uint64_t own = value->u;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (!due()) continue;
        victim_reset(v, NULL);
        metadata_set_uint(&v->metadata, key, META_U64, values[i], NULL);
        victim_try(v, "%s = %llu", key, (unsigned long long)values[i]);
    }
    const uint64_t near[] = {own - 1, own + 1, own * 2, own / 2};
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++) {
        if (!due()) continue;
        victim_reset(v, NULL);
        metadata_set_uint(&v->metadata, key, META_U64, near[i], NULL);
        victim_try(v, "%s = %llu", key, (unsigned long long)near[i]);
    }
}

/* A LayerNorm's epsilon may stand beside the RMS norm's, which is the one in use. */
static void spoil_float(struct victim *v, const char *key, bool is_float) {
    static const double values[] = {0.0, -1.0, 1.0, 1e-45, 3e38, -3e38, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (!due()) continue;
        victim_reset(v, NULL);
        metadata_set_float(&v->metadata, key, values[i], NULL);
        bool worked = victim_try(v, "%s = %g", key, values[i]);
        if (worked && is_float && !isfinite(values[i]) && !ends_with(key, "layer_norm_epsilon"))
            fail_msg("%s runs with %s = %g", v->name, key, values[i]);
    }
}

static void spoil_array(struct victim *v, const struct meta_array *array, const char *key) {
    static const uint32_t zeros[64], many[] = {UINT32_MAX, 1 << 20, 0, 3};
    const uint32_t ones[] = {1, 1, 1, 1};
    const struct {
        const void *data;
        size_t count;
        enum meta_type type;
    } arrays[] = {{zeros, 0, META_U32}, {ones, 1, META_U32},  {zeros, 64, META_U32},
                  {many, 4, META_U32},  {many, 4, META_I32},  {many, 4, META_F32},
                  {ones, 4, META_U32},  {zeros, 4, META_BOOL}};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        if (!due()) continue;
        victim_reset(v, NULL);
        metadata_set_array(&v->metadata, key, arrays[i].type, arrays[i].data, arrays[i].count,
                           NULL);
        victim_try(v, "%s = array %zu", key, i);
    }
    victim_reset(v, NULL);
    if (array->type != META_STRING && array->count > 1) {
        metadata_set_array(&v->metadata, key, array->type, array->data, array->count - 1, NULL);
        bool worked = victim_try(v, "%s one too short", key);
        if (worked && ends_with(key, "head_count_kv"))
            fail_msg("%s runs with a short %s", v->name, key);
    }
}

static void spoil_settings(struct victim *v) {
    const struct metadata *m = &v->original.metadata;
    for (size_t i = 0; i < m->count; i++) {
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)m->values[i].key.length, m->values[i].key.data);
        victim_reset(v, key);
        victim_try(v, "without %s", key);
        victim_reset(v, NULL);
        metadata_set_string(&v->metadata, key, "nonsense", 8, NULL);
        victim_try(v, "%s = nonsense", key);
        spoil_integer(v, &m->values[i], key);
        spoil_float(v, key, m->values[i].type == META_F32);
        spoil_array(v,
                    m->values[i].type == META_ARRAY ? &m->values[i].array : &(struct meta_array){0},
                    key);
    }
}

static void spoilt_settings_do_no_harm(void **state) {
    (void)state;
    for_each_model(spoil_settings);
}

/* Settings that the tiny models do not have themselves. */
static void add_settings(struct victim *v) {
    static const char *const keys[] = {"expert_count",
                                       "expert_used_count",
                                       "expert_group_count",
                                       "expert_group_used_count",
                                       "expert_gating_func",
                                       "leading_dense_block_count",
                                       "attention.sliding_window",
                                       "attention.sliding_window_pattern",
                                       "attention.head_count_kv",
                                       "attention.key_length",
                                       "attention.value_length",
                                       "rope.dimension_count",
                                       "rope.scaling.original_context_length",
                                       "rope.scaling.factor",
                                       "rope.scale_linear",
                                       "rope.scaling.attn_factor",
                                       "rope.freq_base",
                                       "rope.freq_base_swa",
                                       "rope.scaling.yarn_beta_fast",
                                       "rope.scaling.yarn_beta_slow",
                                       "rope.scaling.yarn_log_multiplier",
                                       "attention.scale",
                                       "attn_logit_softcapping",
                                       "final_logit_softcapping",
                                       "embedding_scale",
                                       "residual_scale",
                                       "logit_scale",
                                       "expert_weights_scale",
                                       "attention.temperature_scale",
                                       "attention.layer_norm_rms_epsilon",
                                       "attention.layer_norm_epsilon",
                                       "pooling_type",
                                       "vocab_size",
                                       "context_length"};
    static const char *const scalings[] = {"yarn", "linear", "longrope", "llama3", "nonsense"};
    struct text family = {0};
    metadata_string(&v->original.metadata, "general.architecture", &family);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char key[256];
        snprintf(key, sizeof key, "%.*s.%s", (int)family.length, family.data, keys[i]);
        spoil_integer(v, &(struct meta_value){0}, key);
        for (size_t s = 0; s < sizeof scalings / sizeof scalings[0]; s++) {
            if (!due()) continue;
            char scaling[256];
            snprintf(scaling, sizeof scaling, "%.*s.rope.scaling.type", (int)family.length,
                     family.data);
            victim_reset(v, NULL);
            metadata_set_string(&v->metadata, scaling, scalings[s], strlen(scalings[s]), NULL);
            metadata_set_float(&v->metadata, key, s % 2 ? -1.5 : 1e30, NULL);
            victim_try(v, "%s with %s", scalings[s], key);
        }
    }
}

static void added_settings_do_no_harm(void **state) {
    (void)state;
    for_each_model(add_settings);
}

static void rotary_factors_are_checked(void **state) {
    static const double factors[] = {0.0, -2.0, NAN, INFINITY};
    struct victim v;
    (void)state;
    open_model(&v, "mistral3");
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        victim_reset(&v, NULL);
        metadata_set_float(&v.metadata, "mistral3.rope.scaling.factor", factors[i], NULL);
        assert_false(victim_try(&v, "factor %g", factors[i]));
        assert_non_null(strstr(v.err.message, "rope.scaling.factor"));
    }
    victim_close(&v);
}

static void memory_stayed_small(void **state) {
    struct rusage usage;
    (void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    getrusage(RUSAGE_SELF, &usage);
    assert_true(usage.ru_maxrss < MAX_RESIDENT_KB);
#else
    (void)usage;
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(wrong_shapes_do_no_harm),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(only_matrices_may_be_quantised),
        cmocka_unit_test(spoilt_settings_do_no_harm),
        cmocka_unit_test(added_settings_do_no_harm),
        cmocka_unit_test(rotary_factors_are_checked),
        cmocka_unit_test(memory_stayed_small),
    };
    return cmocka_run_group_tests_name("model/hostile", tests, NULL, NULL);
}
