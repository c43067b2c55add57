/* attention_kernels.h - scores and weighted sums of attention, written once over vector
 * words; part of the source file of a level, after float_kernels.h.
 *
 * A tile is up to four queries against a few keys, or against a few vectors of output
 * columns, with its sums in registers. Each sum is added in one order whatever the tile.
 * An output column meets the values one after the other, so that a call may be cut
 * anywhere. */
#ifndef HEARTH_KERNELS_ATTENTION_KERNELS_H
#define HEARTH_KERNELS_ATTENTION_KERNELS_H

#include "kernels/blocks.h"
#include "kernels/float_kernels.h"

enum { MOST_QUERIES = 4, MOST_VECTORS = 4, CACHE_LINE_BYTES = 64 };

/* Values at + offset .. at + offset + VF_LANES - 1 of a stored row. The vectors of a call
 * with one `at` lie in whole blocks from there on, or in a part of one block, so that a
 * constant `offset` shows the compiler which of them share a scale. */
ALWAYS_INLINE vf load_row(enum elem type, const char *row, size_t at, size_t offset) {
    if (type != ELEM_Q8_0) return load_weights(type, row, at + offset);
    const struct block_q8_0 *block = (const struct block_q8_0 *)(const void *)row + at / 32;
    block += offset / 32;
    return vf_mul(vf_load_i8(block->q + at % 32 + offset % 32), vf_set1_f16(block->d));
}

/* Q8_0 rows have no incomplete vector. */
ALWAYS_INLINE vf load_some_of_row(enum elem type, const char *row, size_t i, size_t n) {
    return type == ELEM_Q8_0 ? vf_zero() : load_some_weights(type, row, i, n);
}

/* Asks for n_rows rows, `row` rows from the start of what comes next; into the second-level
 * cache, which takes more requests at a time than the first. */
static inline void fetch_next(const struct kv_rows *rows, size_t row, size_t n_rows) {
    if (!rows->next) return;
    uintptr_t at = (uintptr_t)rows->next + row * rows->stride, end = at + n_rows * rows->stride;
    for (; at < end; at += CACHE_LINE_BYTES)
        __builtin_prefetch((const void *)at, 0, 2);
}

struct score_tile {
    size_t d;
    const char *keys;
    size_t key_stride, n_keys; /* at most VF_SCORE_SUMS / queries */
    const float *q;
    float *scores;
    size_t stride;
};

ALWAYS_INLINE void score_tile(enum elem type, int queries, bool whole, struct score_tile a) {
    const int keys = VF_SCORE_SUMS / queries;
    vf sums[VF_SCORE_SUMS], q[MOST_QUERIES];
    const char *rows[VF_SCORE_SUMS];
    UNROLL for (int r = 0; r < keys; r++) rows[r] =
        a.keys + (whole ? (size_t)r : at_most((size_t)r, a.n_keys - 1)) * a.key_stride;
    UNROLL for (int j = 0; j < VF_SCORE_SUMS; j++) sums[j] = vf_zero();
    const size_t step = type == ELEM_Q8_0 ? 32 : VF_LANES;
    size_t i = 0;
    for (; i + step <= a.d; i += step) {
        UNROLL for (size_t j = 0; j < step; j += VF_LANES) {
            UNROLL for (int t = 0; t < queries; t++) q[t] =
                vf_held(vf_load(a.q + (size_t)t * a.d + i + j));
            UNROLL for (int r = 0; r < keys; r++) {
                vf key = load_row(type, rows[r], i, j);
                UNROLL for (int t = 0; t < queries; t++) sums[t * keys + r] =
                    vf_fma(key, q[t], sums[t * keys + r]);
            }
        }
    }
    if (i < a.d) {
        size_t rest = a.d - i;
        UNROLL for (int t = 0; t < queries; t++) q[t] =
            vf_load_some(a.q + (size_t)t * a.d + i, rest);
        UNROLL for (int r = 0; r < keys; r++) {
            vf key = load_some_of_row(type, rows[r], i, rest);
            UNROLL for (int t = 0; t < queries; t++) sums[t * keys + r] =
                vf_fma(key, q[t], sums[t * keys + r]);
        }
    }
    float lanes[VF_SCORE_SUMS];
    UNROLL for (int j = 0; j < VF_SCORE_SUMS; j += VF_LANES) vf_store(lanes + j, vf_sums(sums + j));
    UNROLL for (int t = 0; t < queries; t++)
        memcpy(a.scores + (size_t)t * a.stride, lanes + t * keys,
               (whole ? (size_t)keys : a.n_keys) * sizeof *lanes);
}

ALWAYS_INLINE void score_queries(enum elem type, int queries, size_t d, const struct kv_rows *keys,
                                 const float *q, float *scores, size_t stride, bool fetch) {
    const size_t step = (size_t)(VF_SCORE_SUMS / queries);
    struct score_tile tile = {d, keys->data, keys->stride, step, q, scores, stride};
    for (size_t i = 0; i < keys->count; i += step) {
        tile.n_keys = at_most(keys->count - i, step);
        if (fetch) fetch_next(keys, i, tile.n_keys);
        tile.keys = (const char *)keys->data + i * keys->stride;
        tile.scores = scores + i;
        if (tile.n_keys == step)
            score_tile(type, queries, true, tile);
        else
            score_tile(type, queries, false, tile);
    }
}

ALWAYS_INLINE void score_rows(enum elem type, size_t d, const struct kv_rows *keys, const float *q,
                              size_t n_q, float *scores, size_t stride) {
    size_t h = 0;
    for (; h + 4 <= n_q; h += 4)
        score_queries(type, 4, d, keys, q + h * d, scores + h * stride, stride, h == 0);
    if (h + 2 <= n_q) {
        score_queries(type, 2, d, keys, q + h * d, scores + h * stride, stride, h == 0);
        h += 2;
    }
    if (h < n_q) score_queries(type, 1, d, keys, q + h * d, scores + h * stride, stride, h == 0);
}

struct mix_tile {
    size_t d;
    const struct kv_rows *values;
    const float *weights;
    size_t stride;
    float *out;
    size_t column;
    bool fetch;
};

ALWAYS_INLINE void mix_tile(enum elem type, int queries, int vectors, struct mix_tile a) {
    vf sums[MOST_QUERIES][MOST_VECTORS];
    float *out = a.out + a.column;
    UNROLL for (int t = 0; t < queries; t++) {
        UNROLL for (int v = 0; v < vectors; v++) sums[t][v] =
            vf_load(out + (size_t)t * a.d + v * VF_LANES);
    }
    const char *row = a.values->data;
    for (size_t i = 0; i < a.values->count; i++, row += a.values->stride) {
        if (a.fetch) fetch_next(a.values, i, 1);
        UNROLL for (int v = 0; v < vectors; v++) {
            vf value = load_row(type, row, a.column, (size_t)v * VF_LANES);
            UNROLL for (int t = 0; t < queries; t++) sums[t][v] =
                vf_fma(vf_set1(a.weights[(size_t)t * a.stride + i]), value, sums[t][v]);
        }
    }
    UNROLL for (int t = 0; t < queries; t++) {
        UNROLL for (int v = 0; v < vectors; v++)
            vf_store(out + (size_t)t * a.d + v * VF_LANES, sums[t][v]);
    }
}

/* The columns after the last whole vector. */
ALWAYS_INLINE void mix_rest(enum elem type, int queries, struct mix_tile a) {
    vf sums[MOST_QUERIES];
    float *out = a.out + a.column;
    size_t rest = a.d - a.column;
    UNROLL for (int t = 0; t < queries; t++) sums[t] = vf_load_some(out + (size_t)t * a.d, rest);
    const char *row = a.values->data;
    for (size_t i = 0; i < a.values->count; i++, row += a.values->stride) {
        vf value = load_some_of_row(type, row, a.column, rest);
        UNROLL for (int t = 0; t < queries; t++) sums[t] =
            vf_fma(vf_set1(a.weights[(size_t)t * a.stride + i]), value, sums[t]);
    }
    UNROLL for (int t = 0; t < queries; t++) vf_store_some(out + (size_t)t * a.d, sums[t], rest);
}

ALWAYS_INLINE void mix_queries(enum elem type, int queries, struct mix_tile a) {
    const int vectors = queries == MOST_QUERIES ? VF_MIX_VECTORS : MOST_VECTORS;
    const size_t step = (size_t)vectors * VF_LANES;
    for (; a.column + step <= a.d; a.column += step, a.fetch = false)
        mix_tile(type, queries, vectors, a);
    for (; a.column + VF_LANES <= a.d; a.column += VF_LANES, a.fetch = false)
        mix_tile(type, queries, 1, a);
    if (a.column < a.d) mix_rest(type, queries, a);
}

ALWAYS_INLINE void mix_rows(enum elem type, size_t d, const struct kv_rows *values,
                            const float *weights, size_t stride, size_t n_q, float *out) {
    struct mix_tile tile = {d, values, weights, stride, out, 0, true};
    size_t h = 0;
    for (; h + 4 <= n_q; h += 4) {
        mix_queries(type, 4, tile);
        tile.weights += 4 * stride;
        tile.out += 4 * d;
        tile.fetch = false;
    }
    if (h + 2 <= n_q) {
        mix_queries(type, 2, tile);
        tile.weights += 2 * stride;
        tile.out += 2 * d;
        tile.fetch = false;
        h += 2;
    }
    if (h < n_q) mix_queries(type, 1, tile);
}

#define DEFINE_ATTENTION(name, type)                                                               \
    static void scores_##name(size_t d, const struct kv_rows *keys, const float *q, size_t n_q,    \
                              float *scores, size_t stride) {                                      \
        score_rows(type, d, keys, q, n_q, scores, stride);                                         \
    }                                                                                              \
    static void mix_##name(size_t d, const struct kv_rows *values, const float *weights,           \
                           size_t stride, size_t n_q, float *out) {                                \
        mix_rows(type, d, values, weights, stride, n_q, out);                                      \
    }

DEFINE_ATTENTION(f32, ELEM_F32)
DEFINE_ATTENTION(f16, ELEM_F16)
DEFINE_ATTENTION(bf16, ELEM_BF16)
DEFINE_ATTENTION(q8_0, ELEM_Q8_0)

static void fill_attention(struct kernels *k) {
    k->scores[ELEM_F32] = scores_f32;
    k->scores[ELEM_F16] = scores_f16;
    k->scores[ELEM_BF16] = scores_bf16;
    k->scores[ELEM_Q8_0] = scores_q8_0;
    k->mix[ELEM_F32] = mix_f32;
    k->mix[ELEM_F16] = mix_f16;
    k->mix[ELEM_BF16] = mix_bf16;
    k->mix[ELEM_Q8_0] = mix_q8_0;
}

#endif
