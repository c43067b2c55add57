/* kernels.h - one table of function pointers per CPU level.
 *
 * scalar.c fills every entry and is the oracle; a level overrides what it does
 * faster. Entries a level leaves alone stay those of the level below it.
 *
 * Invariants: (1) each output value is a function of its own input rows only: it
 * does not depend on how many rows or columns a call has, so that callers may
 * split work as they like without changing a bit of the result; (2) no entry
 * allocates, fails or keeps state; (3) pointers need the alignment of their
 * element type only, and n must be a multiple of the type's block_values. */
#ifndef HEARTH_KERNELS_KERNELS_H
#define HEARTH_KERNELS_KERNELS_H

#include "base/cpu.h"
#include "kernels/adamw.h"
#include "kernels/elem.h"
#include "kernels/gemm.h"
#include "kernels/scan.h"

/* Activations quantised for the integer dot products of quantised weights. */
enum act {
    ACT_F32,  /* plain floats */
    ACT_Q8,   /* struct act_q8 per 32 values */
    ACT_Q8_K, /* struct act_q8k per 256 values */
    ACT_TYPES
};

/* x ~ scale * q; `sum` = the sum of q. */
struct act_q8 {
    float scale;
    int32_t sum;
    int8_t q[32];
};

/* What a constant offset of the weights is multiplied with. */
static inline float act_q8_sum(const struct act_q8 *a) {
    return a->scale * (float)a->sum;
}

/* x ~ scale * q; `sums[i]` = the sum of q[16 i .. 16 i + 15]. */
struct act_q8k {
    float scale;
    int8_t q[256];
    int16_t sums[16];
};

static inline size_t act_row_bytes(enum act act, size_t n) {
    switch (act) {
    case ACT_Q8: return n / 32 * sizeof(struct act_q8);
    case ACT_Q8_K: return n / 256 * sizeof(struct act_q8k);
    default: return n * sizeof(float);
    }
}

/* y[t * y_stride + r] = dot(row r of w, row t of x), rows of n values.
 *   w: n_rows rows of one element type, w_stride bytes apart
 *   x: n_tokens rows in the weight type's act format, x_stride bytes apart
 *   y: floats, y_stride floats apart */
typedef void (*kernel_linear)(size_t n, const void *w, size_t w_stride, size_t n_rows,
                              const void *x, size_t x_stride, size_t n_tokens, float *y,
                              size_t y_stride);

#define SWIGLU_LIMIT 7.0f
#define SWIGLU_ALPHA 1.702f

/* Keys or values of one head at `count` neighbouring positions, `stride` bytes apart, as
 * the cache stores them; `next`: what will be read soon, just as large, to be fetched
 * meanwhile (any address, NULL: nothing). */
struct kv_rows {
    const void *data;
    size_t stride, count;
    const void *next;
};

/* scores[h * stride + i] = dot(query h, key i), rows of d values.
 *   q: float [n_q][d] */
typedef void (*kernel_scores)(size_t d, const struct kv_rows *keys, const float *q, size_t n_q,
                              float *scores, size_t stride);

/* out[h] += sum over i of weights[h * stride + i] * value i, added in the order of i.
 *   out: float [n_q][d] */
typedef void (*kernel_mix)(size_t d, const struct kv_rows *values, const float *weights,
                           size_t stride, size_t n_q, float *out);
/* y[y_rows[t]][r] = scale * dot(row r of w, row t of x) + bias[r], added to what is there
 * where `accumulate`. */
struct prompt_product {
    enum elem type; /* of w; every floating and quantised one */
    size_t n;       /* values of a row of w and of x */
    const void *w;  /* n_rows rows, w_stride bytes apart */
    size_t w_stride, n_rows;
    const void *x; /* n_tokens rows, packed */
    size_t n_tokens;
    float *y; /* rows y_stride floats apart */
    size_t y_stride;
    const uint32_t *y_rows; /* [n_tokens]; NULL: 0, 1, 2 .. */
    const float *bias;      /* [n_rows]; NULL: none */
    float scale;
    bool accumulate;
    void *scratch; /* scratch_bytes, aligned to 64 */
};

/* Linear layers over the rows of prompts (plan.h says which) at levels with a matrix
 * unit: activations and weights are rounded to bfloat16, sums are floats. The invariants
 * of this file hold: a result does not depend on n_rows, n_tokens or other rows. */
struct prompt_kernels {
    size_t scratch_bytes;
    size_t (*packed_bytes)(size_t n, size_t n_tokens);
    /* Rounds rows 16 tile .. of n_tokens rows of n floats, n_rows (1 to 16) of them, and
     * puts them into place; `packed` is aligned to 64 bytes. Tiles may be packed in any
     * order, by several threads. */
    void (*pack)(size_t n, const float *const rows[], size_t n_rows, size_t tile, size_t n_tokens,
                 void *packed);
    void (*multiply)(const struct prompt_product *product);
};
enum { PROMPT_TILE_ROWS = 16 /* rows packed together */ };

struct kernels {
    enum cpu_level level;
    const struct prompt_kernels *prompt;  /* NULL: prompts are computed like everything else */
    const struct gemm_kernels *gemm_f32;  /* packed products, of training */
    const struct gemm_kernels *gemm_bf16; /* NULL: no faster than those of floats */

    /* blocks -> n floats; every floating and quantised element type. */
    void (*dequantize[ELEM_TYPES])(const void *blocks, float *out, size_t n);

    /* Linear layers. linear_act[type] says which activation format linear[type]
     * takes. linear[type] is NULL for a type without an own dot product: the caller
     * dequantises rows and uses linear[ELEM_F32]. F32, F16 and BF16 take ACT_F32. */
    kernel_linear linear[ELEM_TYPES];
    enum act linear_act[ELEM_TYPES];
    /* n floats -> one activation row. */
    void (*quantize_act[ACT_TYPES])(const float *x, void *out, size_t n);

    /* Attention over F32, F16, BF16 and Q8_0; NULL for other types: the caller
     * dequantises rows and uses those of F32, which give the same bits. */
    kernel_scores scores[ELEM_TYPES];
    kernel_mix mix[ELEM_TYPES];

    /* Vectors of n floats. */
    float (*dot)(const float *a, const float *b, size_t n);
    float (*dot_f16)(const float *a, const uint16_t *b, size_t n);
    void (*axpy)(float *y, float a, const float *x, size_t n);        /* y += a x */
    void (*axpy_f16)(float *y, float a, const uint16_t *x, size_t n); /* y += a x */
    float (*sum)(const float *x, size_t n);
    float (*sum_squares)(const float *x, size_t n);
    float (*max)(const float *x, size_t n); /* n >= 1 */
    /* x <- exp(x - max) in place; returns the sum. */
    float (*exp_sum)(float *x, float max, size_t n);
    void (*scale)(float *y, const float *x, float a, size_t n); /* y = a x */
    void (*mul)(float *y, const float *a, const float *b, size_t n);
    void (*add)(float *y, const float *a, const float *b, size_t n);
    void (*to_f16)(const float *x, uint16_t *out, size_t n);

    /* Activations: y = f(x), and y = f(gate) * up. y may be any of the inputs. */
    void (*silu)(float *y, const float *x, size_t n);
    void (*silu_mul)(float *y, const float *gate, const float *up, size_t n);
    void (*gelu)(float *y, const float *x, size_t n); /* tanh form */
    void (*gelu_mul)(float *y, const float *gate, const float *up, size_t n);
    void (*gelu_erf)(float *y, const float *x, size_t n); /* exact form */
    void (*gelu_erf_mul)(float *y, const float *gate, const float *up, size_t n);
    void (*sigmoid)(float *y, const float *x, size_t n);
    void (*sigmoid_mul)(float *y, const float *gate, const float *up, size_t n);
    void (*softplus)(float *y, const float *x, size_t n);           /* log(1 + e^x) */
    void (*softcap)(float *y, const float *x, float cap, size_t n); /* cap tanh(x / cap) */
    /* y = g sigmoid(SWIGLU_ALPHA g) (u + 1), the gate clamped to SWIGLU_LIMIT from above and
     * u from both sides (OpenAI, gpt-oss model card and reference code). */
    void (*swiglu_clamped)(float *y, const float *gate, const float *up, size_t n);

    /* Recurrences over rows (scan.h). */
    void (*conv)(const struct conv_scan *scan);
    void (*delta_net)(const struct delta_scan *scan);
    void (*mamba2)(const struct mamba2_scan *scan);

    /* One step of n values with their moments. */
    void (*adamw)(const struct adamw *a, float *value, const float *gradient, float *m, float *v,
                  size_t n);
};

/* The table for `level`; that of CPU_SCALAR where it is not available (cpu_has). Never NULL. */
const struct kernels *kernels_for(enum cpu_level level);

/* Fills of the levels, each in a file compiled with its own flags. They override
 * entries of a table that already holds the level below. */
void kernels_fill_scalar(struct kernels *k);
void kernels_fill_avx2(struct kernels *k);
void kernels_fill_avx512(struct kernels *k);
void kernels_fill_neon(struct kernels *k);
void kernels_fill_dotprod(struct kernels *k);
void kernels_fill_i8mm(struct kernels *k);

#endif
