/* The oracle of attention's kernels: one value after the other. */
#include "kernels/blocks.h"
#include "kernels/levels.h"

static float value_at(enum elem type, const void *row, size_t i) {
    switch (type) {
    case ELEM_F16: return f16_to_f32(((const uint16_t *)row)[i]);
    case ELEM_BF16: return bf16_to_f32(((const uint16_t *)row)[i]);
    case ELEM_Q8_0: {
        const struct block_q8_0 *block = (const struct block_q8_0 *)row + i / 32;
        return (float)block->q[i % 32] * f16_to_f32(block->d);
    }
    default: return ((const float *)row)[i];
    }
}

static const void *row_of(const struct kv_rows *rows, size_t i) {
    return (const char *)rows->data + i * rows->stride;
}

static inline void scores(enum elem type, size_t d, const struct kv_rows *keys, const float *q,
                          size_t n_q, float *out, size_t stride) {
    for (size_t h = 0; h < n_q; h++)
        for (size_t i = 0; i < keys->count; i++) {
            double sum = 0;
            for (size_t j = 0; j < d; j++)
                sum += (double)q[h * d + j] * (double)value_at(type, row_of(keys, i), j);
            out[h * stride + i] = (float)sum;
        }
}

static inline void mix(enum elem type, size_t d, const struct kv_rows *values, const float *weights,
                       size_t stride, size_t n_q, float *out) {
    for (size_t h = 0; h < n_q; h++)
        for (size_t i = 0; i < values->count; i++)
            for (size_t j = 0; j < d; j++)
                out[h * d + j] += weights[h * stride + i] * value_at(type, row_of(values, i), j);
}

#define DEFINE_FOR(name, type)                                                                     \
    static void scores_##name(size_t d, const struct kv_rows *keys, const float *q, size_t n_q,    \
                              float *out, size_t stride) {                                         \
        scores(type, d, keys, q, n_q, out, stride);                                                \
    }                                                                                              \
    static void mix_##name(size_t d, const struct kv_rows *values, const float *weights,           \
                           size_t stride, size_t n_q, float *out) {                                \
        mix(type, d, values, weights, stride, n_q, out);                                           \
    }

DEFINE_FOR(f32, ELEM_F32)
DEFINE_FOR(f16, ELEM_F16)
DEFINE_FOR(bf16, ELEM_BF16)
DEFINE_FOR(q8_0, ELEM_Q8_0)

void scalar_fill_attention(struct kernels *k) {
    k->scores[ELEM_F32] = scores_f32;
    k->scores[ELEM_F16] = scores_f16;
    k->scores[ELEM_BF16] = scores_bf16;
    k->scores[ELEM_Q8_0] = scores_q8_0;
    k->mix[ELEM_F32] = mix_f32;
    k->mix[ELEM_F16] = mix_f16;
    k->mix[ELEM_BF16] = mix_bf16;
    k->mix[ELEM_Q8_0] = mix_q8_0;
}
