/* golden.h - reading the reference logits of testdata and comparing with them. */
#ifndef HEARTH_TESTS_MODEL_GOLDEN_H
#define HEARTH_TESTS_MODEL_GOLDEN_H

#include "testdata.h"

#include "infer/context.h"

enum { N_TOKENS = 96, N_VOCAB = 128 };

static inline void read_tokens(const char *path, int32_t *tokens) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int i = 0; i < N_TOKENS; i++)
        assert_int_equal(fscanf(file, "%d", &tokens[i]), 1);
    fclose(file);
}

static inline void read_logits(const char *path, float *logits) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(logits, sizeof *logits, N_TOKENS * N_VOCAB, file), N_TOKENS * N_VOCAB);
    fclose(file);
}

static inline double nmse(const float *x, const float *reference, size_t n) {
    double error = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)reference[i];
        error += d * d;
        energy += (double)reference[i] * (double)reference[i];
    }
    return error / energy;
}

static inline void compute(struct context *context, const int32_t *tokens, uint32_t chunk,
                           float *logits) {
    hearth_error err = {0};
    context_sequence_truncate(context, 0, 0);
    for (uint32_t at = 0; at < N_TOKENS; at += chunk) {
        uint32_t n = N_TOKENS - at < chunk ? N_TOKENS - at : chunk;
        struct context_part part = {.tokens = tokens + at, .n_tokens = n, .all_logits = true};
        if (context_decode(context, &part, 1, logits + (size_t)at * N_VOCAB, &err) != HEARTH_OK)
            fail_msg("%s", err.message);
    }
}

/* The logits of all tokens in a fresh context with an F32 cache. */
static inline void golden_logits(const char *model_path, const int32_t *tokens,
                                 const struct adapter_set *adapters, bool activations_f32,
                                 float *logits) {
    struct model model;
    struct context *context = NULL;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.k_type = options.v_type = ELEM_F32;
    options.n_threads = 2;
    options.activations_f32 = activations_f32;
    if (model_open(&model, model_path, &err) != HEARTH_OK ||
        context_open(&context, &model, &options, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    if (adapters && context_set_adapters(context, adapters, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    compute(context, tokens, N_TOKENS, logits);
    context_close(context);
    model_close(&model);
}

#endif
