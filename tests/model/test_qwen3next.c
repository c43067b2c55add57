/* Qwen 3 Next is Qwen 3.5 with the value heads of the delta nets in another order and some
 * matrices fused. The golden Qwen 3.5 model, rewritten in both forms that such files have,
 * must give the golden logits. */
#include "tiny_model.h"

#include <string.h>

#include "base/mem.h"

enum { N_KEY = 2, N_VALUE = 4, D = 64, WIDTH = 128, R = N_VALUE / N_KEY };

static struct directory golden;

/* The head of the golden file (key heads in turn) that is head `g` of a key head's
 * neighbours. */
static size_t golden_head(size_t g) {
    return g % R * N_KEY + g / R;
}

static const float *golden_data(uint32_t layer, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "blk.%u.%s", layer, name);
    const struct tensor *tensor = directory_find(&golden, full);
    assert_non_null(tensor);
    return (const float *)(const void *)tensor->data;
}

static float *append(float *to, const float *from, size_t n) {
    memcpy(to, from, n * sizeof *to);
    return to + n;
}

/* Blocks of `n` values for each value head, reordered. */
static float *append_heads(float *to, const float *from, size_t n) {
    for (size_t g = 0; g < N_VALUE; g++)
        to = append(to, from + golden_head(g) * n, n);
    return to;
}

static void split_projections(struct tiny *t, uint32_t i) {
    const size_t n_key = (size_t)N_KEY * D * WIDTH;
    const float *qkv = golden_data(i, "attn_qkv.weight");
    float *at =
        tiny_layer(t, FILL_MATRIX, i, "attn_qkv.weight", WIDTH, (2 * N_KEY + N_VALUE) * D, 0);
    at = append(at, qkv, 2 * n_key);
    append_heads(at, qkv + 2 * n_key, (size_t)D * WIDTH);
    append_heads(tiny_layer(t, FILL_MATRIX, i, "attn_gate.weight", WIDTH, N_VALUE * D, 0),
                 golden_data(i, "attn_gate.weight"), (size_t)D * WIDTH);
}

/* For each key head: q, k, its values, its gates. */
static void one_projection(struct tiny *t, uint32_t i) {
    const size_t head = (size_t)D * WIDTH;
    const float *qkv = golden_data(i, "attn_qkv.weight"), *z = golden_data(i, "attn_gate.weight");
    float *at =
        tiny_layer(t, FILL_MATRIX, i, "ssm_in.weight", WIDTH, (2 * N_KEY + 2 * N_VALUE) * D, 0);
    for (size_t k = 0; k < N_KEY; k++) {
        at = append(at, qkv + k * head, head);
        at = append(at, qkv + (N_KEY + k) * head, head);
        for (size_t g = k * R; g < (k + 1) * R; g++)
            at = append(at, qkv + (2 * N_KEY + golden_head(g)) * head, head);
        for (size_t g = k * R; g < (k + 1) * R; g++)
            at = append(at, z + golden_head(g) * head, head);
    }
}

static void rewrite_delta_net(struct tiny *t, uint32_t i, bool fused) {
    enum { TAPS = 4 };
    const float *alpha = golden_data(i, "ssm_alpha.weight"),
                *beta = golden_data(i, "ssm_beta.weight");
    const float *conv = golden_data(i, "ssm_conv1d.weight"),
                *out = golden_data(i, "ssm_out.weight");
    if (fused)
        one_projection(t, i);
    else
        split_projections(t, i);
    float *at = tiny_layer(t, FILL_MATRIX, i, "ssm_ba.weight", WIDTH, 2 * N_VALUE, 0);
    for (size_t k = 0; k < N_KEY; k++) {
        for (size_t g = k * R; g < (k + 1) * R; g++)
            at = append(at, beta + golden_head(g) * WIDTH, WIDTH);
        for (size_t g = k * R; g < (k + 1) * R; g++)
            at = append(at, alpha + golden_head(g) * WIDTH, WIDTH);
    }
    append_heads(tiny_layer(t, FILL_BIAS, i, "ssm_dt.bias", N_VALUE, 0, 0),
                 golden_data(i, "ssm_dt.bias"), 1);
    append_heads(tiny_layer(t, FILL_BIAS, i, "ssm_a", N_VALUE, 0, 0), golden_data(i, "ssm_a"), 1);
    at = tiny_layer(t, FILL_MATRIX, i, "ssm_conv1d.weight", TAPS, (2 * N_KEY + N_VALUE) * D, 0);
    at = append(at, conv, 2 * N_KEY * D * TAPS);
    append_heads(at, conv + 2 * N_KEY * D * TAPS, D * TAPS);
    at = tiny_layer(t, FILL_MATRIX, i, "ssm_out.weight", N_VALUE * D, WIDTH, 0);
    for (size_t row = 0; row < WIDTH; row++)
        at = append_heads(at, out + row * N_VALUE * D, D);
}

static bool is_rewritten(const char *name) {
    static const char *const stems[] = {"attn_qkv", "attn_gate",  "ssm_alpha", "ssm_beta",
                                        "ssm_dt",   "ssm_conv1d", "ssm_out"};
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++)
        if (strstr(name, stems[i])) return true;
    size_t n = strlen(name);
    return n > 6 && strcmp(name + n - 6, ".ssm_a") == 0;
}

static void copy_rest(struct tiny *t) {
    for (size_t i = 0; i < golden.metadata.count; i++) {
        const struct meta_value *value = &golden.metadata.values[i];
        struct meta_value copy = *value;
        static char keys[64][128];
        assert_true(i < 64);
        snprintf(keys[i], sizeof keys[i], "%.*s", (int)value->key.length, value->key.data);
        if (strcmp(keys[i], "general.architecture") == 0) continue;
        const char *rest = strncmp(keys[i], "qwen35moe", 9) == 0 ? keys[i] + 9 : NULL;
        if (rest) {
            char renamed[128];
            snprintf(renamed, sizeof renamed, "qwen3next%s", rest);
            memcpy(keys[i], renamed, sizeof renamed);
        }
        copy.key = (struct text){keys[i], strlen(keys[i])};
        assert_int_equal(metadata_add(&t->metadata, &copy, NULL), HEARTH_OK);
    }
    metadata_set_string(&t->metadata, "general.architecture", "qwen3next", 9, NULL);
    for (size_t i = 0; i < golden.n_tensors; i++) {
        const struct tensor *tensor = &golden.tensors[i];
        unsigned n = tensor->n_dims;
        if (is_rewritten(tensor->name)) continue;
        memcpy(tiny_tensor(t, FILL_MATRIX, tensor->name, tensor->dims[0],
                           n > 1 ? tensor->dims[1] : 0, n > 2 ? tensor->dims[2] : 0),
               tensor->data, tensor->size_bytes);
    }
}

static void check(bool fused) {
    static struct tiny t;
    static int32_t tokens[TINY_TOKENS];
    static double reference[TINY_TOKENS * TINY_VOCAB];
    hearth_error err = {0};
    if (gguf_open(&golden, testdata("arch/qwen35moe-moe/model.gguf"), &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    t = (struct tiny){.family = "qwen3next"};
    metadata_init(&t.metadata, 1 << 20);
    rng_seed(&t.rng, 1);
    copy_rest(&t);
    rewrite_delta_net(&t, 0, fused);
    rewrite_delta_net(&t, 2, fused);
    tiny_write(&t);
    tiny_read_golden("arch/qwen35moe-moe", tokens, reference);
    tiny_compare_logits(&t, tokens, reference, 1e-8);
    tiny_end(&t);
    directory_close(&golden);
}

static void split_projections_give_the_golden_logits(void **state) {
    (void)state;
    check(false);
}

static void one_projection_gives_the_golden_logits(void **state) {
    (void)state;
    check(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(split_projections_give_the_golden_logits),
                                       cmocka_unit_test(one_projection_gives_the_golden_logits)};
    return cmocka_run_group_tests_name("model/qwen3next", tests, NULL, NULL);
}
