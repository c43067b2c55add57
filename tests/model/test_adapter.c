/* LoRA adapters in GGUF against the reference (testdata/lora), and swapping them. */
#include "model/golden.h"

#include <string.h>

static const struct config llama = {.family = "llama"}, qwen3 = {.family = "qwen3"};

static void scaled_adapter_agrees(const char *logits_name, float scale) {
    static float reference[N_TOKENS * N_VOCAB], logits[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    struct adapter adapter;
    hearth_error err = {0};
    read_tokens(testdata("lora/tokens.txt"), tokens);
    read_logits(testdata(logits_name), reference);
    if (adapter_open(&adapter, testdata("lora/adapter.gguf"), &llama, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    struct adapter_set set = {.items = {{&adapter, scale}}, .count = 1};
    golden_logits(testdata("arch/llama-dense/model.gguf"), tokens, &set, false, logits);
    double error = nmse(logits, reference, N_TOKENS * N_VOCAB);
    print_message("scale %g: NMSE %.2g\n", (double)scale, error);
    assert_true(error <= 1e-8);
    adapter_close(&adapter);
}

static void full_scale(void **state) {
    (void)state;
    scaled_adapter_agrees("lora/adapter_logits_scale1.0.f32", 1.0f);
}

static void half_scale(void **state) {
    (void)state;
    scaled_adapter_agrees("lora/adapter_logits_scale0.5.f32", 0.5f);
}

static void swapping_leaves_nothing_behind(void **state) {
    (void)state;
    static float before[N_TOKENS * N_VOCAB], with[N_TOKENS * N_VOCAB], after[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    struct model model;
    struct context *context;
    struct adapter adapter;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    read_tokens(testdata("lora/tokens.txt"), tokens);
    assert_int_equal(model_open(&model, testdata("arch/llama-dense/model.gguf"), &err), HEARTH_OK);
    assert_int_equal(adapter_open(&adapter, testdata("lora/adapter.gguf"), &llama, &err),
                     HEARTH_OK);
    assert_int_equal(context_open(&context, &model, &options, &err), HEARTH_OK);
    struct adapter_set set = {.items = {{&adapter, 1.0f}}, .count = 1};
    compute(context, tokens, N_TOKENS, before);
    assert_int_equal(context_set_adapters(context, &set, &err), HEARTH_OK);
    compute(context, tokens, N_TOKENS, with);
    assert_int_equal(context_set_adapters(context, NULL, &err), HEARTH_OK);
    compute(context, tokens, N_TOKENS, after);
    assert_true(nmse(with, before, N_TOKENS * N_VOCAB) > 0.1);
    assert_memory_equal(before, after, sizeof before);
    context_close(context);
    adapter_close(&adapter);
    model_close(&model);
}

static void wrong_family_is_refused(void **state) {
    (void)state;
    struct adapter adapter;
    hearth_error err = {0};
    assert_int_equal(adapter_open(&adapter, testdata("lora/adapter.gguf"), &qwen3, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "qwen3"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_scale),
        cmocka_unit_test(half_scale),
        cmocka_unit_test(swapping_leaves_nothing_behind),
        cmocka_unit_test(wrong_family_is_refused),
    };
    return cmocka_run_group_tests_name("model/adapter", tests, NULL, NULL);
}
