/* Prompts on the matrix unit: rows as bfloat16 against the scalar values, products against
 * sums in double precision, by a model of the unit everywhere (prompt_model.h) and by the
 * unit itself where there is one. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/amx_widen.h"
#include "kernels/levels.h"
#include "kernels/prompt_model.h"
#include "kernels/random_rows.h"

enum { MOST_ROWS = 70, MOST_TOKENS = 70, PADDING = 3 };

static struct rng rng;

static void *need(size_t size) {
    size_t whole = (size + 63) / 64 * 64;
    void *p = mem_alloc_aligned(64, whole ? whole : 64);
    assert_non_null(p);
    memset(p, 0, whole);
    return p;
}

static void need_vectors(void) {
    if (prompt_model_runs()) return;
    print_message("[  SKIPPED ] no AVX-512 with VBMI and BF16 here\n");
    skip();
}

/* The arithmetic a test is given: of the model, or of the unit. */
static const struct prompt_kernels *need_prompt(void *const *state) {
    const struct prompt_kernels *prompt = *state;
    if (prompt != &amx_prompt)
        need_vectors();
    else if (!cpu_has(CPU_AMX)) {
        print_message("[  SKIPPED ] no AMX here\n");
        skip();
    }
    return prompt;
}

/* To nearest even, denormal numbers to zero. */
static uint16_t rounded(float x) {
    uint16_t half = f32_to_bf16(x);
    return fabsf(x) < 0x1p-126f ? (uint16_t)(half & 0x8000) : half;
}

/* ---- rows of weights ---- */

static void check_widen(enum elem type, const uint8_t *row, size_t n, bool finite) {
    float values[WIDEN_VALUES];
    uint16_t *out = need(WIDEN_VALUES / WIDEN_RUN * WIDEN_STRIDE * sizeof *out);
    kernels_for(CPU_SCALAR)->dequantize[type](row, values, n);
    memset(out, 0x55, WIDEN_VALUES / WIDEN_RUN * WIDEN_STRIDE * sizeof *out);
    amx_widen[type](row, n, out);
    for (size_t i = 0; finite && i < (n + WIDEN_RUN - 1) / WIDEN_RUN * WIDEN_RUN; i++) {
        uint16_t got = out[i / WIDEN_RUN * WIDEN_STRIDE + i % WIDEN_RUN];
        uint16_t expected = i < n ? rounded(values[i]) : 0;
        if (got != expected && (uint16_t)((got | expected) << 1) != 0)
            fail_msg("%s, [%zu] of %zu: %04x, expected %04x (%g)", elem_name(type), i, n, got,
                     expected, (double)values[i]);
    }
    mem_free(out);
}

static void rows_are_the_rounded_values(void **state) {
    (void)state;
    need_vectors();
    rng_seed(&rng, 11);
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!kernels_for(CPU_SCALAR)->dequantize[type]) continue;
        size_t step = elem_table[type].block_values;
        for (size_t n = step; n <= WIDEN_VALUES; n += step)
            for (int i = 0; i < (step == 1 ? 1 : 40); i++) {
                uint8_t *row = random_rows(&rng, type, n, 1, elem_row_bytes(type, n));
                check_widen(type, row, n, true);
                mem_free(row);
            }
    }
}

/* Random bits of a file as scales: any value may come out, but no fault. */
static void hostile_rows_do_no_harm(void **state) {
    (void)state;
    need_vectors();
    rng_seed(&rng, 12);
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        for (int i = 0; i < 20 && kernels_for(CPU_SCALAR)->dequantize[type]; i++) {
            size_t bytes = elem_row_bytes(type, WIDEN_VALUES);
            uint8_t *row = need(bytes);
            for (size_t j = 0; j < bytes; j++)
                row[j] = (uint8_t)rng_u64(&rng);
            check_widen(type, row, WIDEN_VALUES, false);
            mem_free(row);
        }
}

/* ---- products ---- */

struct product_case {
    struct prompt_product job;
    float *x, *got, *again, *magnitude;
    double *expected;
    void *packed;
};

/* Rows of activations from `first` on, packed in order. */
static void pack_rows(const struct prompt_kernels *prompt, const float *x, size_t n, size_t first,
                      size_t n_tokens, void *packed) {
    for (size_t tile = 0; tile * PROMPT_TILE_ROWS < n_tokens; tile++) {
        const float *rows[PROMPT_TILE_ROWS];
        size_t left = n_tokens - tile * PROMPT_TILE_ROWS;
        size_t n_rows = left < PROMPT_TILE_ROWS ? left : PROMPT_TILE_ROWS;
        for (size_t r = 0; r < n_rows; r++)
            rows[r] = x + (first + tile * PROMPT_TILE_ROWS + r) * n;
        prompt->pack(n, rows, n_rows, tile, n_tokens, packed);
    }
}

static void fill_expected(struct product_case *c) {
    const struct prompt_product *job = &c->job;
    float *w = need(job->n * sizeof *w);
    for (size_t r = 0; r < job->n_rows; r++) {
        const char *row = (const char *)job->w + r * job->w_stride;
        kernels_for(CPU_SCALAR)->dequantize[job->type](row, w, job->n);
        for (size_t t = 0; t < job->n_tokens; t++) {
            double sum = 0, magnitude = 0;
            for (size_t i = 0; i < job->n; i++) {
                double part = (double)bf16_to_f32(rounded(w[i])) *
                              (double)bf16_to_f32(rounded(c->x[t * job->n + i]));
                sum += part;
                magnitude += fabs(part);
            }
            c->expected[t * job->n_rows + r] = sum;
            c->magnitude[t * job->n_rows + r] = (float)magnitude;
        }
    }
    mem_free(w);
}

static struct product_case open_case(const struct prompt_kernels *prompt, enum elem type, size_t n,
                                     size_t n_rows, size_t n_tokens) {
    size_t stride = elem_row_bytes(type, n) + (type == ELEM_F32 ? 12 : 6), y_stride = n_rows + 3;
    struct product_case c = {.x = need(n_tokens * n * sizeof(float)),
                             .got = need(n_tokens * y_stride * sizeof(float)),
                             .again = need(n_tokens * y_stride * sizeof(float)),
                             .magnitude = need(n_tokens * n_rows * sizeof(float)),
                             .expected = need(n_tokens * n_rows * sizeof(double)),
                             .packed = need(prompt->packed_bytes(n, n_tokens))};
    c.job = (struct prompt_product){.type = type,
                                    .n = n,
                                    .w = random_rows(&rng, type, n, n_rows, stride),
                                    .w_stride = stride,
                                    .n_rows = n_rows,
                                    .x = c.packed,
                                    .n_tokens = n_tokens,
                                    .y = c.got,
                                    .y_stride = y_stride,
                                    .scale = 1,
                                    .scratch = need(prompt->scratch_bytes)};
    for (size_t i = 0; i < n_tokens * n; i++)
        c.x[i] = rng_normal(&rng);
    for (size_t i = 0; i < n_tokens * y_stride; i++)
        c.got[i] = c.again[i] = 42;
    pack_rows(prompt, c.x, n, 0, n_tokens, c.packed);
    fill_expected(&c);
    return c;
}

static void close_case(struct product_case *c) {
    mem_free((void *)(uintptr_t)c->job.w), mem_free(c->job.scratch);
    mem_free(c->x), mem_free(c->got), mem_free(c->again), mem_free(c->magnitude);
    mem_free(c->expected), mem_free(c->packed);
}

/* Sums of up to 16 products and their sum have at most 2^-24 of the magnitudes as the
 * error of a step. */
static void near_expected(const struct product_case *c) {
    const struct prompt_product *job = &c->job;
    for (size_t t = 0; t < job->n_tokens; t++)
        for (size_t r = 0; r < job->y_stride; r++) {
            float got = c->got[t * job->y_stride + r];
            if (r >= job->n_rows) {
                assert_true(got == 42); /* not to be touched */
                continue;
            }
            double expected = c->expected[t * job->n_rows + r];
            double tolerance = 2e-6 * (double)c->magnitude[t * job->n_rows + r];
            if (!(fabs((double)got - expected) <= tolerance))
                fail_msg("%s, n = %zu, %zu x %zu: row %zu, token %zu is %.9g, expected %.9g +- %g",
                         elem_name(job->type), job->n, job->n_rows, job->n_tokens, r, t,
                         (double)got, expected, tolerance);
        }
}

static void same_as_got(const struct product_case *c) {
    size_t n = c->job.n_tokens * c->job.y_stride;
    for (size_t i = 0; i < n; i++)
        if (memcmp(&c->got[i], &c->again[i], sizeof *c->got) != 0)
            fail_msg("%s in parts: row %zu of token %zu is %.9g, was %.9g", elem_name(c->job.type),
                     i % c->job.y_stride, i / c->job.y_stride, (double)c->again[i],
                     (double)c->got[i]);
}

/* The same rows and tokens in smaller calls, with other neighbours. */
static void check_invariance(const struct prompt_kernels *prompt, struct product_case *c) {
    const struct prompt_product all = c->job;
    for (size_t t = 0; t < all.n_tokens;) {
        size_t n_tokens = 1 + rng_u64(&rng) % (all.n_tokens - t);
        pack_rows(prompt, c->x, all.n, t, n_tokens, c->packed);
        for (size_t r = 0; r < all.n_rows;) {
            struct prompt_product part = all;
            part.n_rows = 1 + rng_u64(&rng) % (all.n_rows - r);
            part.n_tokens = n_tokens;
            part.w = (const char *)all.w + r * all.w_stride;
            part.y = c->again + t * all.y_stride + r;
            prompt->multiply(&part);
            r += part.n_rows;
        }
        t += n_tokens;
    }
    same_as_got(c);
}

static void check_size(const struct prompt_kernels *prompt, enum elem type, size_t n, size_t n_rows,
                       size_t n_tokens) {
    struct product_case c = open_case(prompt, type, n, n_rows, n_tokens);
    prompt->multiply(&c.job);
    near_expected(&c);
    check_invariance(prompt, &c);
    close_case(&c);
}

static void each_type_is_multiplied(void **state) {
    const struct prompt_kernels *prompt = need_prompt(state);
    static const size_t blocks[] = {1, 2, 5, 9};
    rng_seed(&rng, 13);
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        for (size_t i = 0; i < 4 && kernels_for(CPU_SCALAR)->dequantize[type]; i++) {
            size_t values = elem_table[type].block_values, n = blocks[i] * values;
            if (values == 1) n = blocks[i] * 61 - 30; /* 31, 92, 275, 519 */
            check_size(prompt, type, n, 1 + rng_u64(&rng) % MOST_ROWS,
                       1 + rng_u64(&rng) % MOST_TOKENS);
        }
}

static void each_number_of_rows_and_tokens_is_multiplied(void **state) {
    const struct prompt_kernels *prompt = need_prompt(state);
    rng_seed(&rng, 14);
    for (size_t i = 1; i <= MOST_ROWS; i++)
        check_size(prompt, ELEM_Q8_0, 64, i, 1 + i * 37 % MOST_TOKENS);
    check_size(prompt, ELEM_Q4_0, 320, 600, 530); /* more than a group of rows and a pass */
    check_size(prompt, ELEM_Q4_K, 768, 257, 17);
}

static void results_go_where_they_are_wanted(void **state) {
    const struct prompt_kernels *prompt = need_prompt(state);
    enum { N = 96, ROWS = 37, TOKENS = 21 };
    rng_seed(&rng, 15);
    struct product_case c = open_case(prompt, ELEM_Q5_0, N, ROWS, TOKENS);
    uint32_t order[TOKENS];
    float bias[ROWS];
    for (uint32_t t = 0; t < TOKENS; t++)
        order[t] = (t * 8 + 5) % TOKENS;
    for (size_t r = 0; r < ROWS; r++)
        bias[r] = rng_normal(&rng);
    prompt->multiply(&c.job);
    c.job.y = c.again;
    c.job.y_rows = order;
    c.job.bias = bias;
    c.job.scale = 0.37f;
    c.job.accumulate = true;
    prompt->multiply(&c.job);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++) {
            float product = c.got[t * c.job.y_stride + r];
            float expected = fmaf(0.37f, product, 42) + bias[r];
            assert_true(c.again[order[t] * c.job.y_stride + r] == expected);
        }
    c.job.accumulate = false;
    prompt->multiply(&c.job);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++) {
            float expected = 0.37f * c.got[t * c.job.y_stride + r] + bias[r];
            assert_true(c.again[order[t] * c.job.y_stride + r] == expected);
        }
    close_case(&c);
}

/* A value that is not a number stays in its row and its token. */
static void faults_do_not_spread(void **state) {
    const struct prompt_kernels *prompt = need_prompt(state);
    enum { N = 70, ROWS = 20, TOKENS = 19, BAD_ROW = 17, BAD_TOKEN = 16 };
    rng_seed(&rng, 16);
    struct product_case c = open_case(prompt, ELEM_F32, N, ROWS, TOKENS);
    float nan = NAN;
    memcpy((char *)(uintptr_t)c.job.w + BAD_ROW * c.job.w_stride + (N - 1) * sizeof nan, &nan,
           sizeof nan);
    c.x[BAD_TOKEN * N] = INFINITY;
    pack_rows(prompt, c.x, N, 0, TOKENS, c.packed);
    prompt->multiply(&c.job);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++) {
            float got = c.got[t * c.job.y_stride + r];
            assert_int_equal(isfinite(got) != 0, r != BAD_ROW && t != BAD_TOKEN);
        }
    close_case(&c);
}

static void unit_and_model_agree(void **state) {
    (void)state;
    const struct prompt_kernels *unit = need_prompt(&(void *){(void *)(uintptr_t)&amx_prompt});
    enum { N = 1024, ROWS = 64, TOKENS = 64 };
    rng_seed(&rng, 17);
    struct product_case c = open_case(unit, ELEM_Q6_K, N, ROWS, TOKENS);
    unit->multiply(&c.job);
    c.job.y = c.again;
    amx_model_prompt.multiply(&c.job);
    size_t differ = 0;
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++) {
            float a = c.got[t * c.job.y_stride + r], b = c.again[t * c.job.y_stride + r];
            assert_true(fabsf(a - b) <= 1e-6f * c.magnitude[t * ROWS + r]);
            differ += a != b;
        }
    print_message("%zu of %d products differ in their last bits\n", differ, ROWS * TOKENS);
    close_case(&c);
}

int main(void) {
    void *model = (void *)(uintptr_t)&amx_model_prompt, *unit = (void *)(uintptr_t)&amx_prompt;
#define BOTH(test)                                                                                 \
    {#test ", model", test, NULL, NULL, model}, {                                                  \
#test ", unit", test, NULL, NULL, unit                                                     \
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_rounded_values),
        cmocka_unit_test(hostile_rows_do_no_harm),
        BOTH(each_type_is_multiplied),
        BOTH(each_number_of_rows_and_tokens_is_multiplied),
        BOTH(results_go_where_they_are_wanted),
        BOTH(faults_do_not_spread),
        cmocka_unit_test(unit_and_model_agree),
    };
    return cmocka_run_group_tests_name("kernels/amx", tests, NULL, NULL);
}
