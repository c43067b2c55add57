/* Older deepseek2 files hold K and V of latent attention in one matrix. The golden model,
 * rewritten so, must give the golden logits. */
#include "tiny_model.h"

#include <string.h>

#include "base/mem.h"
#include "kernels/kernels.h"

static struct directory golden;

static void open_golden(void) {
    hearth_error err = {0};
    if (gguf_open(&golden, testdata("arch/deepseek2-moe/model.gguf"), &err) != HEARTH_OK)
        fail_msg("%s", err.message);
}

static uint32_t golden_u32(const char *key) {
    char name[64];
    uint32_t value = 0;
    snprintf(name, sizeof name, "deepseek2.%s", key);
    assert_true(metadata_u32(&golden.metadata, name, &value));
    return value;
}

/* Heads as older files give them: whole keys and values, as many as queries. */
static void copy_settings(struct tiny *t) {
    for (size_t i = 0; i < golden.metadata.count; i++) {
        const struct meta_value *value = &golden.metadata.values[i];
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)value->key.length, value->key.data);
        if (strstr(key, "_length") && strstr(key, "attention.")) continue;
        if (!strstr(key, "head_count_kv"))
            assert_int_equal(metadata_add(&t->metadata, value, NULL), HEARTH_OK);
    }
    tiny_u32(t, "attention.key_length", golden_u32("attention.key_length_mla"));
    tiny_u32(t, "attention.value_length", golden_u32("attention.value_length_mla"));
    tiny_u32(t, "attention.head_count_kv", golden_u32("attention.head_count"));
}

static const float *golden_layer(uint32_t layer, const char *stem) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, stem);
    const struct tensor *tensor = directory_find(&golden, name);
    assert_non_null(tensor);
    return (const float *)(const void *)tensor->data;
}

/* Rows of head h: n_nope of K (which is stored transposed), then d_v of V. */
static void fuse(struct tiny *t, uint32_t layer, bool halves) {
    uint32_t n_head = golden_u32("attention.head_count"),
             d_v = golden_u32("attention.value_length_mla");
    uint32_t rank = golden_u32("attention.kv_lora_rank");
    uint32_t n_nope = golden_u32("attention.key_length_mla") - golden_u32("rope.dimension_count");
    const float *k = golden_layer(layer, "attn_k_b"), *v = golden_layer(layer, "attn_v_b");
    float *out = tiny_layer(t, FILL_MATRIX, layer, "attn_kv_b.weight", rank,
                            (uint64_t)n_head * (n_nope + d_v), 0);
    float *at = out;
    for (uint32_t h = 0; h < n_head; h++)
        for (uint32_t r = 0; r < n_nope + d_v; r++)
            for (uint32_t i = 0; i < rank; i++)
                *at++ = r < n_nope ? k[((size_t)h * rank + i) * n_nope + r]
                                   : v[((size_t)h * d_v + r - n_nope) * rank + i];
    if (!halves) return;
    struct tensor *tensor = &t->tensors[t->n_tensors - 1];
    uint16_t *rounded = mem_alloc_array((size_t)(at - out), sizeof *rounded);
    assert_non_null(rounded);
    kernels_for(CPU_SCALAR)->to_f16(out, rounded, (size_t)(at - out));
    size_t n = (size_t)(at - out);
    mem_free(out);
    tensor->data = (const uint8_t *)rounded;
    tensor->type = ELEM_F16;
    tensor->size_bytes = n * sizeof *rounded;
}

static void copy_tensors(struct tiny *t) {
    for (size_t i = 0; i < golden.n_tensors; i++) {
        const struct tensor *tensor = &golden.tensors[i];
        if (strstr(tensor->name, "attn_k_b") || strstr(tensor->name, "attn_v_b")) continue;
        unsigned n = tensor->n_dims;
        float *values = tiny_tensor(t, FILL_MATRIX, tensor->name, tensor->dims[0],
                                    n > 1 ? tensor->dims[1] : 0, n > 2 ? tensor->dims[2] : 0);
        memcpy(values, tensor->data, tensor->size_bytes);
    }
}

static void check(bool halves, double tolerance) {
    static struct tiny t;
    static int32_t tokens[TINY_TOKENS];
    static double reference[TINY_TOKENS * TINY_VOCAB];
    open_golden();
    t = (struct tiny){.family = "deepseek2"};
    metadata_init(&t.metadata, 1 << 20);
    rng_seed(&t.rng, 1);
    copy_settings(&t);
    copy_tensors(&t);
    for (uint32_t i = 0; i < golden_u32("block_count"); i++)
        fuse(&t, i, halves);
    tiny_write(&t);
    tiny_read_golden("arch/deepseek2-moe", tokens, reference);
    tiny_compare_logits(&t, tokens, reference, tolerance);
    tiny_end(&t);
    directory_close(&golden);
}

static void fused_weights_give_the_same_logits(void **state) {
    (void)state;
    check(false, 1e-8);
}

/* Then the parts are kept in F16 too: only the rounding of these weights differs. */
static void fused_half_weights_nearly_do(void **state) {
    (void)state;
    check(true, 1e-5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fused_weights_give_the_same_logits),
                                       cmocka_unit_test(fused_half_weights_nearly_do)};
    return cmocka_run_group_tests_name("model/latent_fused", tests, NULL, NULL);
}
