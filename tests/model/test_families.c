/* Logits of every family's tiny model against the reference (testdata/arch), in one
 * batch, token by token and in chunks of 7. */
#include "model/golden.h"

struct golden {
    const char *folder, *logits;
    double tolerance;
};

static const struct golden goldens[] = {
    {"deepseek2-moe", "logits.f32", 1e-8},
    {"gemma2-dense", "logits_exact_gelu.f32", 1e-8},
    {"gemma3-dense", "logits_exact_gelu.f32", 1e-8},
    {"gpt-oss-moe", "logits.f32", 1e-8},
    {"gpt2-dense", "logits_exact_gelu.f32", 1e-8},
    {"granite-dense", "logits.f32", 1e-8},
    {"granitehybrid-dense", "logits.f32", 1e-8},
    {"lfm2-dense", "logits.f32", 1e-8},
    {"lfm2moe-moe", "logits.f32", 1e-8},
    {"llama-dense", "logits.f32", 1e-8},
    {"llama-moe", "logits.f32", 1e-8},
    {"llama3-ropefreqs-dense", "logits.f32", 1e-8},
    {"minicpm-dense", "logits.f32", 1e-8},
    {"mistral3-dense", "logits.f32", 1e-8},
    {"nemotron_h-dense", "logits.f32", 1e-8},
    {"olmo2-dense", "logits.f32", 1e-8},
    {"olmoe-moe", "logits.f32", 1e-8},
    {"phi3-dense", "logits.f32", 1e-8},
    {"qwen2-dense", "logits.f32", 1e-8},
    {"qwen3-dense", "logits.f32", 1e-8},
    {"qwen35-dense", "logits.f32", 1e-8},
    {"qwen35moe-moe", "logits.f32", 1e-8},
    {"qwen3moe-moe", "logits.f32", 1e-8},
    {"smollm3-dense", "logits.f32", 1e-8},
};

static void family_agrees(void **state) {
    const struct golden *golden = *state;
    static float reference[N_TOKENS * N_VOCAB], logits[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    char name[256];
    struct model model;
    struct context *context;
    hearth_error err = {0};
    snprintf(name, sizeof name, "arch/%s/tokens.txt", golden->folder);
    read_tokens(testdata(name), tokens);
    snprintf(name, sizeof name, "arch/%s/%s", golden->folder, golden->logits);
    read_logits(testdata(name), reference);
    snprintf(name, sizeof name, "arch/%s/model.gguf", golden->folder);
    if (model_open(&model, testdata(name), &err) != HEARTH_OK) fail_msg("%s", err.message);
    struct context_options options = context_defaults();
    options.k_type = options.v_type = ELEM_F32;
    options.n_threads = 2;
    if (context_open(&context, &model, &options, &err) != HEARTH_OK) fail_msg("%s", err.message);
    static const uint32_t chunks[] = {N_TOKENS, 7, 1};
    for (int i = 0; i < 3; i++) {
        compute(context, tokens, chunks[i], logits);
        double error = nmse(logits, reference, N_TOKENS * N_VOCAB);
        if (!(error <= golden->tolerance))
            fail_msg("%s, chunks of %u: NMSE %.3g, at most %.3g", golden->folder, chunks[i], error,
                     golden->tolerance);
        print_message("%s, chunks of %u: NMSE %.2g\n", golden->folder, chunks[i], error);
    }
    context_close(context);
    model_close(&model);
}

int main(void) {
    struct CMUnitTest tests[sizeof goldens / sizeof goldens[0]];
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++)
        tests[i] = (struct CMUnitTest){goldens[i].folder, family_agrees, NULL, NULL,
                                       (void *)(uintptr_t)&goldens[i]};
    return _cmocka_run_group_tests("model/families", tests, sizeof tests / sizeof tests[0], NULL,
                                   NULL);
}
