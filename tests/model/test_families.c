/* Logits of every family's tiny model against the reference (testdata/arch), in one
 * batch, token by token and in chunks of 7. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "infer/context.h"

enum { N_TOKENS = 96, N_VOCAB = 128 };

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

static void read_tokens(const char *path, int32_t *tokens) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int i = 0; i < N_TOKENS; i++)
        assert_int_equal(fscanf(file, "%d", &tokens[i]), 1);
    fclose(file);
}

static void read_logits(const char *path, float *logits) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(logits, sizeof *logits, N_TOKENS * N_VOCAB, file), N_TOKENS * N_VOCAB);
    fclose(file);
}

static double nmse(const float *x, const float *reference, size_t n) {
    double error = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)reference[i];
        error += d * d;
        energy += (double)reference[i] * (double)reference[i];
    }
    return error / energy;
}

static void compute(struct context *context, const int32_t *tokens, uint32_t chunk, float *logits) {
    hearth_error err = {0};
    context_sequence_truncate(context, 0, 0);
    for (uint32_t at = 0; at < N_TOKENS; at += chunk) {
        uint32_t n = N_TOKENS - at < chunk ? N_TOKENS - at : chunk;
        struct context_part part = {.tokens = tokens + at, .n_tokens = n, .all_logits = true};
        if (context_decode(context, &part, 1, logits + (size_t)at * N_VOCAB, &err) != HEARTH_OK)
            fail_msg("%s", err.message);
    }
}

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
