/* Every entry of every level this processor has, against scalar.c. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/levels.h"
#include "kernels/random_rows.h"

enum { MOST = 1100, ROWS = 39, TOKENS = 37, MOST_TOGETHER = 18 };

static struct rng rng;

/* Calls check(fast, scalar) for every level above scalar that runs here. */
static void each_level(void (*check)(const struct kernels *fast, const struct kernels *scalar)) {
    for (int level = CPU_SCALAR + 1; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        rng_seed(&rng, 7);
        check(kernels_for((enum cpu_level)level), kernels_for(CPU_SCALAR));
    }
}

/* each_level(), then what processors of the level avx512 without VBMI use instead. */
static void each_linear_level(void (*check)(const struct kernels *fast,
                                            const struct kernels *scalar)) {
    each_level(check);
#if defined(__x86_64__)
    if (!cpu_has_avx512_vbmi()) return;
    struct kernels k = *kernels_for(CPU_AVX512);
    memset(k.linear, 0, sizeof k.linear);
    avx512_fill_iq(&k);
    assert_ptr_not_equal(k.linear[ELEM_IQ2_XXS], kernels_for(CPU_AVX512)->linear[ELEM_IQ2_XXS]);
    rng_seed(&rng, 7);
    check(&k, kernels_for(CPU_SCALAR));
#endif
}

static void *need(size_t size) {
    void *p = mem_calloc(size ? size : 1, 1);
    assert_non_null(p);
    return p;
}

static void fill_normal(float *x, size_t n, float size) {
    for (size_t i = 0; i < n; i++)
        x[i] = size * rng_normal(&rng);
}

/* Lengths 0 .. 70, then a few long odd ones. */
static const size_t long_lengths[] = {127, 128, 129, 255, 513, 1000, 1023};
enum { SHORT_LENGTHS = 71, LENGTHS = SHORT_LENGTHS + 7 };
static size_t length_of(size_t i) {
    return i < SHORT_LENGTHS ? i : long_lengths[i - SHORT_LENGTHS];
}

static void near(const char *what, const struct kernels *k, size_t n, size_t i, float got,
                 float expected, float tolerance) {
    if (fabsf(got - expected) <= tolerance || (isnan(got) && isnan(expected)) || got == expected)
        return;
    fail_msg("%s at level %s, n = %zu, [%zu]: %.9g, expected %.9g +- %g", what,
             cpu_level_name(k->level), n, i, (double)got, (double)expected, (double)tolerance);
}

static void same_bits(const char *what, const struct kernels *k, const float *got,
                      const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, expected + i, sizeof *got) != 0)
            fail_msg("%s at level %s: [%zu] of %zu is %.9g, expected exactly %.9g", what,
                     cpu_level_name(k->level), i, n, (double)got[i], (double)expected[i]);
}

/* The rounding a float sum may collect, against the sum of magnitudes. */
static float sum_tolerance(const float *a, const float *b, size_t n) {
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += fabs((double)a[i] * (double)b[i]);
    return (float)(1e-6 * total);
}

static void check_reductions(const struct kernels *fast, const struct kernels *scalar) {
    static float a[MOST], b[MOST], wide[MOST];
    static uint16_t half[MOST];
    for (size_t l = 0; l < LENGTHS; l++) {
        size_t n = length_of(l);
        float *x = a + l % 5; /* odd alignments */
        fill_normal(x, n, 1), fill_normal(b, n, 1);
        scalar->to_f16(b, half, n);
        scalar->dequantize[ELEM_F16](half, wide, n);
        near("dot", fast, n, 0, fast->dot(x, b, n), scalar->dot(x, b, n), sum_tolerance(x, b, n));
        near("dot_f16", fast, n, 0, fast->dot_f16(x, half, n), scalar->dot_f16(x, half, n),
             sum_tolerance(x, wide, n));
        for (size_t i = 0; i < n; i++)
            wide[i] = fabsf(x[i]);
        near("sum", fast, n, 0, fast->sum(x, n), scalar->sum(x, n), 1e-6f * scalar->sum(wide, n));
        near("sum_squares", fast, n, 0, fast->sum_squares(x, n), scalar->sum_squares(x, n),
             sum_tolerance(x, x, n));
        if (n) near("max", fast, n, 0, fast->max(x, n), scalar->max(x, n), 0);
    }
}

static void reductions_match(void **state) {
    (void)state;
    each_level(check_reductions);
}

static void check_max_place(const struct kernels *fast, const struct kernels *scalar) {
    static float x[MOST];
    (void)scalar;
    for (size_t n = 1; n < 70; n++)
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++)
                x[j] = -5;
            x[i] = -4;
            near("max", fast, n, i, fast->max(x, n), -4, 0);
        }
}

static void max_is_found_wherever_it_is(void **state) {
    (void)state;
    each_level(check_max_place);
}

/* Elementwise kernels: relative tolerance of the result's parts, 0 = exact. */
static void check_elementwise(const struct kernels *fast, const struct kernels *scalar) {
    static float a[MOST], b[MOST], got[MOST], expected[MOST];
    static uint16_t half[MOST], half_got[MOST];
    for (size_t l = 0; l < LENGTHS; l++) {
        size_t n = length_of(l);
        fill_normal(a, n, 3), fill_normal(b, n, 2);
        scalar->to_f16(a, half, n);

        memcpy(got, b, sizeof got), memcpy(expected, b, sizeof got);
        fast->axpy(got, 0.37f, a, n), scalar->axpy(expected, 0.37f, a, n);
        for (size_t i = 0; i < n; i++)
            near("axpy", fast, n, i, got[i], expected[i], 2e-7f * (fabsf(a[i]) + fabsf(b[i])));
        memcpy(got, b, sizeof got), memcpy(expected, b, sizeof got);
        fast->axpy_f16(got, 0.37f, half, n), scalar->axpy_f16(expected, 0.37f, half, n);
        for (size_t i = 0; i < n; i++)
            near("axpy_f16", fast, n, i, got[i], expected[i], 2e-7f * (fabsf(a[i]) + fabsf(b[i])));

        fast->scale(got, a, 1.7f, n), scalar->scale(expected, a, 1.7f, n);
        same_bits("scale", fast, got, expected, n);
        fast->mul(got, a, b, n), scalar->mul(expected, a, b, n);
        same_bits("mul", fast, got, expected, n);
        fast->add(got, a, b, n), scalar->add(expected, a, b, n);
        same_bits("add", fast, got, expected, n);

        fast->silu(got, a, n), scalar->silu(expected, a, n);
        for (size_t i = 0; i < n; i++)
            near("silu", fast, n, i, got[i], expected[i], 5e-7f * fabsf(expected[i]));
        fast->silu_mul(got, a, b, n), scalar->silu_mul(expected, a, b, n);
        for (size_t i = 0; i < n; i++)
            near("silu_mul", fast, n, i, got[i], expected[i], 5e-7f * fabsf(expected[i]));
        /* The scalar form loses digits in 1 + tanh for negative x. */
        fast->gelu(got, a, n), scalar->gelu(expected, a, n);
        for (size_t i = 0; i < n; i++)
            near("gelu", fast, n, i, got[i], expected[i], 3e-7f * fabsf(a[i]));
        fast->gelu_mul(got, a, b, n), scalar->gelu_mul(expected, a, b, n);
        for (size_t i = 0; i < n; i++)
            near("gelu_mul", fast, n, i, got[i], expected[i], 3e-7f * fabsf(a[i] * b[i]));

        fast->to_f16(a, half_got, n);
        assert_memory_equal(half_got, half, n * sizeof *half);
        got[n] = 42; /* not to be touched */
        fast->dequantize[ELEM_F16](half, got, n), scalar->dequantize[ELEM_F16](half, expected, n);
        same_bits("f16", fast, got, expected, n);
        fast->dequantize[ELEM_BF16](half, got, n), scalar->dequantize[ELEM_BF16](half, expected, n);
        same_bits("bf16", fast, got, expected, n);
        assert_true(got[n] == 42);
    }
}

static void elementwise_kernels_match(void **state) {
    (void)state;
    each_level(check_elementwise);
}

static void check_half(const struct kernels *fast, const struct kernels *scalar) {
    static uint16_t half[65536], back[65536];
    static float wide[65536], expected[65536];
    for (unsigned i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    fast->dequantize[ELEM_F16](half, wide, 65536);
    scalar->dequantize[ELEM_F16](half, expected, 65536);
    for (unsigned i = 0; i < 65536; i++)
        near("f16", fast, 65536, i, wide[i], expected[i], 0);
    fast->to_f16(expected, back, 65536);
    for (unsigned i = 0; i < 65536; i++)
        if (!isnan(expected[i])) assert_int_equal(back[i], half[i]);
}

static void every_half_survives(void **state) {
    (void)state;
    each_level(check_half);
}

static void check_exp(const struct kernels *fast, const struct kernels *scalar) {
    enum { STEPS = 100001 };
    static float x[STEPS], e[STEPS];
    (void)scalar;
    for (int i = 0; i < STEPS; i++)
        x[i] = e[i] = -87.0f + 175.5f * (float)i / (STEPS - 1);
    fast->exp_sum(e, 0, STEPS);
    for (int i = 0; i < STEPS; i++) {
        float expected = (float)exp((double)x[i]);
        near("exp", fast, STEPS, (size_t)i, e[i], expected, 2e-7f * expected);
    }
}

static void exp_is_accurate(void **state) {
    (void)state;
    each_level(check_exp);
}

static void check_softmax(const struct kernels *fast, const struct kernels *scalar) {
    static float x[MOST], got[MOST], expected[MOST];
    for (size_t l = 1; l < LENGTHS; l++) {
        size_t n = length_of(l);
        fill_normal(x, n, 4);
        x[n / 2] = -INFINITY; /* a masked position */
        memcpy(got, x, sizeof got), memcpy(expected, x, sizeof got);
        float top = scalar->max(x, n) > -INFINITY ? scalar->max(x, n) : 0;
        float sum = fast->exp_sum(got, top, n), right = scalar->exp_sum(expected, top, n);
        near("exp_sum", fast, n, 0, sum, right, 1e-6f * right);
        assert_true(got[n / 2] == 0);
        for (size_t i = 0; i < n; i++)
            near("exp_sum", fast, n, i, got[i], expected[i], 3e-7f * expected[i]);
    }
}

static void softmax_sums_match(void **state) {
    (void)state;
    each_level(check_softmax);
}

static void check_edges(const struct kernels *fast, const struct kernels *scalar) {
    static const float edges[] = {0,     -0.0f,  1e-40f,   -1e-40f, 1e-30f,  88.7f, 89,
                                  104,   -87.4f, -100,     -103.9f, -104.1f, -1e4f, 1e4f,
                                  1e30f, -1e30f, INFINITY, NAN,     1e-8f,   -1e-8f};
    enum { EDGES = sizeof edges / sizeof *edges };
    float got[EDGES], expected[EDGES];
    memcpy(got, edges, sizeof edges), memcpy(expected, edges, sizeof edges);
    fast->exp_sum(got, 0, EDGES), scalar->exp_sum(expected, 0, EDGES);
    for (size_t i = 0; i < EDGES; i++)
        near("exp", fast, EDGES, i, got[i], expected[i], 3e-7f * expected[i] + 3e-45f);
    fast->silu(got, edges, EDGES), scalar->silu(expected, edges, EDGES);
    for (size_t i = 0; i < EDGES; i++)
        near("silu", fast, EDGES, i, got[i], expected[i], 5e-7f * fabsf(expected[i]) + 1e-35f);
    fast->gelu(got, edges, EDGES), scalar->gelu(expected, edges, EDGES);
    for (size_t i = 0; i < EDGES; i++)
        near("gelu", fast, EDGES, i, got[i], expected[i], 5e-7f * fabsf(expected[i]) + 1e-35f);
}

static void edges_of_the_exponential_match(void **state) {
    (void)state;
    each_level(check_edges);
}

/* Splitting a vector anywhere changes no element. */
static void check_split(const struct kernels *fast, const struct kernels *scalar) {
    enum { N = 203, CUT = 77 };
    float a[N], b[N], whole[N], parts[N];
    (void)scalar;
    fill_normal(a, N, 3), fill_normal(b, N, 3);
    fast->silu_mul(whole, a, b, N);
    fast->silu_mul(parts, a, b, CUT), fast->silu_mul(parts + CUT, a + CUT, b + CUT, N - CUT);
    same_bits("silu_mul in parts", fast, parts, whole, N);
    fast->gelu_mul(whole, a, b, N);
    fast->gelu_mul(parts, a, b, CUT), fast->gelu_mul(parts + CUT, a + CUT, b + CUT, N - CUT);
    same_bits("gelu_mul in parts", fast, parts, whole, N);
    memcpy(whole, b, sizeof b), memcpy(parts, b, sizeof b);
    fast->axpy(whole, 0.7f, a, N);
    fast->axpy(parts, 0.7f, a, CUT), fast->axpy(parts + CUT, 0.7f, a + CUT, N - CUT);
    same_bits("axpy in parts", fast, parts, whole, N);
    memcpy(whole, a, sizeof a), memcpy(parts, a, sizeof a);
    fast->exp_sum(whole, 9, N);
    fast->exp_sum(parts, 9, CUT), fast->exp_sum(parts + CUT, 9, N - CUT);
    same_bits("exp_sum in parts", fast, parts, whole, N);
}

static void elements_do_not_depend_on_the_split(void **state) {
    (void)state;
    each_level(check_split);
}

struct linear_case {
    enum elem type;
    size_t n, w_stride, x_stride, y_stride;
    uint8_t *w, *x;
    float *plain; /* x before quantisation, TOKENS rows of n */
    float *got, *expected;
};

static struct linear_case open_case(const struct kernels *k, enum elem type, size_t n) {
    struct linear_case c = {.type = type, .n = n, .y_stride = ROWS + 3};
    enum act act = k->linear_act[type];
    c.w_stride = elem_row_bytes(type, n) + (type == ELEM_F32 ? 12 : 6);
    c.x_stride = act_row_bytes(act, n) + 8;
    c.w = random_rows(&rng, type, n, ROWS, c.w_stride);
    c.x = need(TOKENS * c.x_stride);
    c.plain = need(TOKENS * n * sizeof(float));
    fill_normal(c.plain, TOKENS * n, 1);
    for (size_t t = 0; t < TOKENS; t++)
        k->quantize_act[act](c.plain + t * n, c.x + t * c.x_stride, n);
    c.got = need(TOKENS * c.y_stride * sizeof(float));
    c.expected = need(TOKENS * c.y_stride * sizeof(float));
    return c;
}

static void close_case(struct linear_case *c) {
    mem_free(c->w), mem_free(c->x), mem_free(c->plain), mem_free(c->got), mem_free(c->expected);
}

/* The norm of row r times that of a token, estimated from the row's outputs: for
 * normal activations their mean square is the row's squared norm. */
static float magnitude(const struct linear_case *c, size_t r) {
    double squares = 0;
    for (size_t t = 0; t < TOKENS; t++)
        squares += pow((double)c->expected[t * c->y_stride + r], 2);
    return (float)sqrt(squares / TOKENS * (double)c->n);
}

static void check_linear_case(const struct kernels *fast, const struct kernels *scalar,
                              enum elem type, size_t n) {
    struct linear_case c = open_case(scalar, type, n);
    for (size_t i = 0; i < TOKENS * c.y_stride; i++)
        c.got[i] = c.expected[i] = 42;
    fast->linear[type](n, c.w, c.w_stride, ROWS, c.x, c.x_stride, TOKENS, c.got, c.y_stride);
    scalar->linear[type](n, c.w, c.w_stride, ROWS, c.x, c.x_stride, TOKENS, c.expected, c.y_stride);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < c.y_stride; r++) {
            size_t i = t * c.y_stride + r;
            float tolerance = r < ROWS ? 1e-6f * magnitude(&c, r) : 0;
            near(elem_name(type), fast, n, i, c.got[i], c.expected[i], tolerance);
        }
    close_case(&c);
}

static const size_t float_lengths[] = {0, 1, 5, 8, 15, 16, 17, 31, 100, 256, 1000};
static const size_t block_lengths[] = {0, 1, 2, 3, 4, 19}; /* times the block */

static size_t case_length(enum elem type, size_t i) {
    if (elem_table[type].block_values == 1) return float_lengths[i];
    return block_lengths[i] * elem_table[type].block_values;
}

/* Super-blocks are long enough without the last. */
static size_t n_case_lengths(enum elem type) {
    size_t values = elem_table[type].block_values;
    if (values == 1) return sizeof float_lengths / sizeof *float_lengths;
    return sizeof block_lengths / sizeof *block_lengths - (values == 256);
}

static void check_linear(const struct kernels *fast, const struct kernels *scalar) {
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!fast->linear[type]) continue;
        assert_int_equal(fast->linear_act[type], scalar->linear_act[type]);
        for (size_t i = 0; i < n_case_lengths(type); i++)
            check_linear_case(fast, scalar, type, case_length(type, i));
    }
}

static void linear_layers_match(void **state) {
    (void)state;
    each_linear_level(check_linear);
}

/* One call against one call per token and uneven groups of rows, and against fewer tokens. */
static void check_invariance_case(const struct kernels *k, enum elem type, size_t n) {
    static const size_t cuts[] = {0, 1, 4, 9, 11, 28, ROWS};
    struct linear_case c = open_case(k, type, n);
    kernel_linear linear = k->linear[type];
    linear(n, c.w, c.w_stride, ROWS, c.x, c.x_stride, TOKENS, c.expected, c.y_stride);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++)
            linear(n, c.w + cuts[i] * c.w_stride, c.w_stride, cuts[i + 1] - cuts[i],
                   c.x + t * c.x_stride, c.x_stride, 1, c.got + t * c.y_stride + cuts[i],
                   c.y_stride);
    same_bits(elem_name(type), k, c.got, c.expected, TOKENS * c.y_stride);
    for (size_t tokens = 2; tokens <= MOST_TOGETHER; tokens++) {
        memset(c.got, 0, TOKENS * c.y_stride * sizeof *c.got);
        linear(n, c.w, c.w_stride, ROWS, c.x, c.x_stride, tokens, c.got, c.y_stride);
        same_bits(elem_name(type), k, c.got, c.expected, tokens * c.y_stride);
    }
    close_case(&c);
}

static void check_invariance(const struct kernels *fast, const struct kernels *scalar) {
    (void)scalar;
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        for (size_t i = 0; fast->linear[type] && i < n_case_lengths(type); i++)
            check_invariance_case(fast, type, case_length(type, i));
}

static void outputs_do_not_depend_on_rows_and_tokens(void **state) {
    (void)state;
    each_linear_level(check_invariance);
}

/* More tokens than a panel serves at once, and more rows than a group of panels has: some of
 * the tokens, against calls of their own. */
static void check_many_tokens(const struct kernels *fast, const struct kernels *scalar) {
    enum { N = 256, MANY_ROWS = 71, MANY = 131 };
    static const size_t some[] = {0, 126, 127, 128, MANY - 1};
    static float x[N], y[MANY][MANY_ROWS], own[MANY_ROWS];
    (void)scalar;
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!fast->linear[type]) continue;
        const size_t stride = elem_row_bytes(type, N);
        const size_t x_stride = act_row_bytes(fast->linear_act[type], N);
        uint8_t *w = random_rows(&rng, type, N, MANY_ROWS, stride), *acts = need(MANY * x_stride);
        for (size_t t = 0; t < MANY; t++) {
            fill_normal(x, N, 1);
            fast->quantize_act[fast->linear_act[type]](x, acts + t * x_stride, N);
        }
        fast->linear[type](N, w, stride, MANY_ROWS, acts, x_stride, MANY, y[0], MANY_ROWS);
        for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
            fast->linear[type](N, w, stride, MANY_ROWS, acts + some[i] * x_stride, x_stride, 1, own,
                               MANY_ROWS);
            same_bits(elem_name(type), fast, y[some[i]], own, MANY_ROWS);
        }
        mem_free(w), mem_free(acts);
    }
}

static void outputs_do_not_depend_on_many_tokens(void **state) {
    (void)state;
    each_linear_level(check_many_tokens);
}

/* The whole file, which must have `size` bytes. */
static uint8_t *read_golden(const char *name, size_t size) {
    uint8_t *data = need(size);
    FILE *file = fopen(testdata(name), "rb");
    assert_non_null(file);
    assert_int_equal(fread(data, 1, size, file), size);
    fclose(file);
    return data;
}

/* Scalar against plain float products of the golden dequantised values with the
 * dequantised activations, for all blocks of the golden files. */
static void check_golden(enum elem type) {
    enum { GOLDEN_ROWS = 8, COLS = 512 };
    const struct kernels *k = kernels_for(CPU_SCALAR);
    char name[64];
    snprintf(name, sizeof name, "quants/%s.blocks", elem_name(type));
    size_t stride = elem_row_bytes(type, COLS);
    uint8_t *w = read_golden(name, GOLDEN_ROWS * stride);
    snprintf(name, sizeof name, "quants/%s.f32", elem_name(type));
    float *wide = (float *)(void *)read_golden(name, GOLDEN_ROWS * COLS * sizeof(float));
    float x[COLS], back[COLS], y[GOLDEN_ROWS];
    union {
        struct act_q8 q8[COLS / 32];
        struct act_q8k q8k[COLS / 256];
    } act;
    fill_normal(x, COLS, 1);
    enum act format = k->linear_act[type];
    k->quantize_act[format](x, &act, COLS);
    for (size_t i = 0; i < COLS; i++)
        back[i] = format == ACT_Q8 ? act.q8[i / 32].scale * act.q8[i / 32].q[i % 32]
                                   : act.q8k[i / 256].scale * act.q8k[i / 256].q[i % 256];
    k->linear[type](COLS, w, stride, GOLDEN_ROWS, &act, sizeof act, 1, y, GOLDEN_ROWS);
    for (size_t r = 0; r < GOLDEN_ROWS; r++)
        near(elem_name(type), k, COLS, r, y[r], k->dot(wide + r * COLS, back, COLS),
             sum_tolerance(wide + r * COLS, back, COLS));
    mem_free(w), mem_free(wide);
}

static void scalar_dots_match_golden_blocks(void **state) {
    (void)state;
    rng_seed(&rng, 3);
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        if (kernels_for(CPU_SCALAR)->linear[type] && elem_table[type].block_values > 1)
            check_golden(type);
}

/* Activations: every level gives scalar's bits, zero, tiny, huge and non-finite
 * blocks included; scalar's stay within half a step. */
static void check_activations(const struct kernels *fast, const struct kernels *scalar) {
    static const float sizes[] = {1, 1e-3f, 0, 1e-36f, 1e-42f, 1e30f, 3e38f, INFINITY, NAN};
    enum { N = 1024, SIZES = sizeof sizes / sizeof *sizes };
    static float x[N];
    static uint8_t got[2 * N], expected[2 * N];
    for (unsigned act = ACT_Q8; act < ACT_TYPES; act++)
        for (size_t s = 0; s < SIZES; s++) {
            fill_normal(x, N, 1);
            for (size_t i = 0; i < 300; i += 1 + i % 7)
                x[i] = sizes[s] * (i % 2 ? 1.0f : -0.99f);
            memset(got, 1, sizeof got), memset(expected, 1, sizeof expected);
            fast->quantize_act[act](x, got, N), scalar->quantize_act[act](x, expected, N);
            for (size_t i = 0; i < sizeof got; i++)
                if (got[i] != expected[i])
                    fail_msg("activations %u, size %g, level %s: byte %zu differs", act,
                             (double)sizes[s], cpu_level_name(fast->level), i);
        }
}

static void activations_are_the_same_bits(void **state) {
    (void)state;
    each_level(check_activations);
}

static void activations_are_within_half_a_step(void **state) {
    (void)state;
    enum { N = 512 };
    static float x[N];
    struct act_q8 q8[N / 32];
    struct act_q8k q8k[N / 256];
    const struct kernels *k = kernels_for(CPU_SCALAR);
    rng_seed(&rng, 5);
    fill_normal(x, N, 2);
    k->quantize_act[ACT_Q8](x, q8, N), k->quantize_act[ACT_Q8_K](x, q8k, N);
    for (size_t i = 0; i < N; i++) {
        float a = q8[i / 32].scale, b = q8k[i / 256].scale;
        near("q8", k, N, i, a * q8[i / 32].q[i % 32], x[i], 0.501f * a);
        near("q8_K", k, N, i, b * q8k[i / 256].q[i % 256], x[i], 0.501f * b);
    }
    for (size_t i = 0; i < N / 16; i++) {
        int sum = 0;
        for (size_t j = 0; j < 16; j++)
            sum += q8k[i / 16].q[i % 16 * 16 + j];
        assert_int_equal(q8k[i / 16].sums[i % 16], sum);
    }
    x[40] = NAN;
    k->quantize_act[ACT_Q8](x, q8, N);
    assert_true(isnan(q8[1].scale) && isnan(act_q8_sum(&q8[1])) && !isnan(q8[0].scale));
}

/* Random bits of a file as scales: any value may come out, but no fault. */
static void check_hostile(const struct kernels *fast, const struct kernels *scalar) {
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!fast->linear[type] || elem_table[type].block_values == 1) continue;
        struct linear_case c = open_case(scalar, type, 768);
        for (size_t i = 0; i < ROWS * c.w_stride; i++)
            c.w[i] = (uint8_t)rng_u64(&rng);
        fast->linear[type](c.n, c.w, c.w_stride, ROWS, c.x, c.x_stride, TOKENS, c.got, c.y_stride);
        close_case(&c);
    }
}

static void hostile_blocks_do_no_harm(void **state) {
    (void)state;
    check_hostile(kernels_for(CPU_SCALAR), kernels_for(CPU_SCALAR));
    each_linear_level(check_hostile);
}

/* Levels that widen blocks themselves give the golden values. */
static void check_dequantize(const struct kernels *fast, const struct kernels *scalar) {
    enum { N = 8 * 512 };
    static float got[N];
    char name[64];
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!fast->dequantize[type] || fast->dequantize[type] == scalar->dequantize[type]) continue;
        snprintf(name, sizeof name, "quants/%s.blocks", elem_name(type));
        uint8_t *blocks = read_golden(name, elem_row_bytes(type, N));
        snprintf(name, sizeof name, "quants/%s.f32", elem_name(type));
        float *expected = (float *)(void *)read_golden(name, N * sizeof(float));
        fast->dequantize[type](blocks, got, N);
        same_bits(elem_name(type), fast, got, expected, N);
        mem_free(blocks), mem_free(expected);
    }
}

static void widened_blocks_match_golden_values(void **state) {
    (void)state;
    each_level(check_dequantize);
}

/* What fills a level's table is compiled for that level, so it must not run elsewhere. */
static void levels_that_cannot_run_are_scalar(void **state) {
    static struct kernels table;
    (void)state;
    for (int level = 0; level < CPU_LEVELS; level++) {
        if (cpu_has((enum cpu_level)level)) continue;
        memcpy(&table, kernels_for((enum cpu_level)level), sizeof table);
        table.level = CPU_SCALAR;
        assert_memory_equal(&table, kernels_for(CPU_SCALAR), sizeof table);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_that_cannot_run_are_scalar),
        cmocka_unit_test(reductions_match),
        cmocka_unit_test(max_is_found_wherever_it_is),
        cmocka_unit_test(elementwise_kernels_match),
        cmocka_unit_test(every_half_survives),
        cmocka_unit_test(exp_is_accurate),
        cmocka_unit_test(softmax_sums_match),
        cmocka_unit_test(edges_of_the_exponential_match),
        cmocka_unit_test(elements_do_not_depend_on_the_split),
        cmocka_unit_test(scalar_dots_match_golden_blocks),
        cmocka_unit_test(activations_are_the_same_bits),
        cmocka_unit_test(activations_are_within_half_a_step),
        cmocka_unit_test(hostile_blocks_do_no_harm),
        cmocka_unit_test(widened_blocks_match_golden_values),
        cmocka_unit_test(linear_layers_match),
        cmocka_unit_test(outputs_do_not_depend_on_rows_and_tokens),
        cmocka_unit_test(outputs_do_not_depend_on_many_tokens),
    };
    return cmocka_run_group_tests_name("kernels/levels", tests, NULL, NULL);
}
