/* Whole quantised files against the reference (testdata/quantmodels): exact arithmetic
 * against dequantised weights, and the fast path within the distance that quantised
 * activations make. */
#include "model/golden.h"

#include <math.h>

static const char *const folders[] = {"iq4_xs", "mxfp4",  "nvfp4",  "q2_k", "q3_k_m",
                                      "q4_0",   "q4_k_m", "q5_k_m", "q6_k", "q8_0"};

struct golden_files {
    int32_t tokens[N_TOKENS];
    float reference[N_TOKENS * N_VOCAB], logits[N_TOKENS * N_VOCAB];
};

static void load(struct golden_files *g, const char *folder, const char *logits, bool f32) {
    char name[256];
    snprintf(name, sizeof name, "quantmodels/%s/tokens.txt", folder);
    read_tokens(testdata(name), g->tokens);
    snprintf(name, sizeof name, "quantmodels/%s/%s", folder, logits);
    read_logits(testdata(name), g->reference);
    snprintf(name, sizeof name, "quantmodels/%s/model.gguf", folder);
    golden_logits(testdata(name), g->tokens, NULL, f32, g->logits);
}

/* Mean over the rows of KL(reference || x). */
static double mean_kl(const float *x, const float *reference) {
    double total = 0;
    for (int row = 0; row < N_TOKENS; row++) {
        const float *p = reference + row * N_VOCAB, *q = x + row * N_VOCAB;
        double sum_p = 0, sum_q = 0, kl = 0;
        for (int i = 0; i < N_VOCAB; i++) {
            sum_p += exp((double)p[i]);
            sum_q += exp((double)q[i]);
        }
        for (int i = 0; i < N_VOCAB; i++)
            kl +=
                exp((double)p[i]) / sum_p * ((double)p[i] - log(sum_p) - (double)q[i] + log(sum_q));
        total += kl;
    }
    return total / N_TOKENS;
}

static void exact_arithmetic_agrees(void **state) {
    static struct golden_files g;
    load(&g, *state, "logits_dequant_f32.f32", true);
    double error = nmse(g.logits, g.reference, N_TOKENS * N_VOCAB);
    print_message("%s, f32 activations: NMSE %.2g\n", (const char *)*state, error);
    assert_true(error <= 1e-7);
}

static void fast_path_is_near(void **state) {
    static struct golden_files g;
    load(&g, *state, "logits.f32", false);
    double error = nmse(g.logits, g.reference, N_TOKENS * N_VOCAB);
    double kl = mean_kl(g.logits, g.reference);
    print_message("%s, fast path: NMSE %.2g, KL %.2g\n", (const char *)*state, error, kl);
    assert_true(error <= 5e-3 && kl <= 5e-3);
}

int main(void) {
    enum { N = sizeof folders / sizeof folders[0] };
    struct CMUnitTest tests[2 * N];
    for (int i = 0; i < N; i++) {
        void *folder = (void *)(uintptr_t)folders[i];
        tests[2 * i] = (struct CMUnitTest){folders[i], exact_arithmetic_agrees, NULL, NULL, folder};
        tests[2 * i + 1] = (struct CMUnitTest){folders[i], fast_path_is_near, NULL, NULL, folder};
    }
    return _cmocka_run_group_tests("model/quantmodels", tests, 2 * N, NULL, NULL);
}
