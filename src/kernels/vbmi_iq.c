/* Linear layers of codebook super-blocks against ACT_Q8_K in AVX-512 with VNNI and VBMI.
 *
 * Two rows are unpacked at a time (vbmi_points.h). Few tokens multiply them at once: values
 * that share a scale lie in the same lane of vectors, so VPDPBUSD sums them, VPMULLD scales
 * the sums, and those of 16 rows are added up across lanes together. Activations have been
 * brought to the order of the values before. Many tokens share a panel of transposed rows.
 *
 * What the values' offset adds is taken off by where the sums begin, or by a panel's minima.
 * Outputs are formed as avx2_super.h says. */
#include <immintrin.h>
#include <string.h>

#include "kernels/levels.h"
#include "kernels/linear_tile.h"
#include "kernels/vbmi_points.h"

enum { PANEL_ROWS = 16, PANEL_TOKENS = 128, FEW_TOKENS = 4, PAIRS = PANEL_ROWS / 2 };

/* ---- few tokens ---- */

/* A block of one token. */
struct token {
    __m512i q[4];     /* in the order of the values */
    __m512i start[2]; /* of sums: of all values, or of the first and of the other halves of
                       * 32 values */
};

/* Vector k has values 32 q + 8 k .. 32 q + 8 k + 7 in 64-bit lane q. */
ALWAYS_INLINE void order_token(const int8_t x[256], __m512i q[4]) {
    UNROLL for (int k = 0; k < 4; k++) {
        const __m512i order = _mm512_setr_epi64(k, 4 + k, 8 + k, 12 + k, k, 4 + k, 8 + k, 12 + k);
        __m512i low = _mm512_permutex2var_epi64(load512(x), order, load512(x + 64));
        __m512i high = _mm512_permutex2var_epi64(load512(x + 128), order, load512(x + 192));
        q[k] = _mm512_mask_blend_epi64(0xf0, low, high);
    }
}

ALWAYS_INLINE void load_token(enum elem type, const struct act_q8k *x, struct token *t) {
    order_token(x->q, t->q);
    __m512i sums = _mm512_cvtepi16_epi32(load256(x->sums));
    t->start[0] = _mm512_mullo_epi32(sums, _mm512_set1_epi32(-offset(type)));
    t->start[1] = _mm512_maskz_mov_epi32(0xaaaa, t->start[0]);
    if (group_values(type) == 16) t->start[0] = _mm512_maskz_mov_epi32(0x5555, t->start[0]);
}

/* Even lanes: sums of a lane of a and the one after it; odd lanes: of b. */
ALWAYS_INLINE __m512i sum_lanes(__m512i a, __m512i b) {
    __m512i first = _mm512_mask_shuffle_epi32(a, 0xaaaa, b, 0xa0);
    __m512i second = _mm512_mask_shuffle_epi32(b, 0x5555, a, 0xf5);
    return _mm512_add_epi32(first, second);
}

/* Lanes whose sums are the dot products of two rows: those of row r are lanes 2 i + r. */
ALWAYS_INLINE __m512i multiply_rows(enum elem type, const struct two_rows *w,
                                    const struct token *t) {
    __m512i rows[2];
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i sums = t->start[0], others = t->start[1];
        sums = _mm512_dpbusd_epi32(sums, w->q[r][0], t->q[0]);
        sums = _mm512_dpbusd_epi32(sums, w->q[r][1], t->q[1]);
        if (group_values(type) == 32) {
            sums = _mm512_dpbusd_epi32(sums, w->q[r][2], t->q[2]);
            rows[r] = _mm512_dpbusd_epi32(sums, w->q[r][3], t->q[3]);
            continue;
        }
        others = _mm512_dpbusd_epi32(others, w->q[r][2], t->q[2]);
        others = _mm512_dpbusd_epi32(others, w->q[r][3], t->q[3]);
        rows[r] = _mm512_mullo_epi32(sum_lanes(sums, others), w->scale[r]);
    }
    __m512i both = sum_lanes(rows[0], rows[1]);
    return group_values(type) == 32 ? _mm512_mullo_epi32(both, w->scale[0]) : both;
}

/* Within each 128 bits: (a0 + a2, a1 + a3, b0 + b2, b1 + b3). */
ALWAYS_INLINE __m512i sum_halves(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* 128 bits each: (a0 + a1, a2 + a3, b0 + b1, b2 + b3). */
ALWAYS_INLINE __m512i sum_quarters(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* Lane r: the dot product of row r. */
ALWAYS_INLINE __m512i sum_pairs(const __m512i pairs[PAIRS]) {
    __m512i quads[4];
    UNROLL for (int i = 0; i < 4; i++) quads[i] = sum_halves(pairs[2 * i], pairs[2 * i + 1]);
    return sum_quarters(sum_quarters(quads[0], quads[1]), sum_quarters(quads[2], quads[3]));
}

/* Asks for the part of the next 16 rows that corresponds to two rows of these. */
ALWAYS_INLINE void prefetch_rows(enum elem type, const struct tile *a, size_t at, size_t pair) {
    const size_t bytes = 2 * block_bytes(type);
    UNROLL for (size_t ahead = 0; ahead < bytes; ahead += 64)
        tile_prefetch(a, PANEL_ROWS, PANEL_ROWS * at + pair * bytes + ahead);
}

ALWAYS_INLINE const struct act_q8k *token_at(const char *x, size_t stride, int token) {
    return (const struct act_q8k *)(const void *)(x + (size_t)token * stride);
}

/* n_rows <= PANEL_ROWS outputs of each of `tokens` tokens, a constant. */
ALWAYS_INLINE void few_tokens(enum elem type, struct tile a, size_t n_rows, int tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[FEW_TOKENS];
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        const size_t at = i * block_bytes(type);
        struct token x_ordered[FEW_TOKENS];
        __m512i dots[FEW_TOKENS][PAIRS];
        UNROLL for (int t = 0; t < tokens; t++)
            load_token(type, token_at(x, a.x_stride, t), &x_ordered[t]);
        for (size_t p = 0; p < PAIRS; p++) {
            struct two_rows w;
            prefetch_rows(type, &a, at, p);
            load_rows(type, rows[2 * p] + at, rows[2 * p + 1] + at, &w);
            UNROLL for (int t = 0; t < tokens; t++) dots[t][p] =
                multiply_rows(type, &w, &x_ordered[t]);
        }
        const __m512 d = load_d(type, rows, at);
        UNROLL for (int t = 0; t < tokens; t++) {
            __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(token_at(x, a.x_stride, t)->scale));
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum_pairs(dots[t])), scale, sums[t]);
        }
    }
    UNROLL for (int t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(a.y + (size_t)t * a.y_stride, first_lanes(n_rows), sums[t]);
}

/* ---- many tokens ---- */

/* One block of 16 rows, which are lanes. */
struct panel {
    __m512i q[64];     /* values 4 j .. 4 j + 3 */
    __m512i scale[16]; /* per 16 values: 16 bits, twice */
    __m512i minima[8]; /* 16 bits, of groups 2 j and 2 j + 1 of values that share a scale */
    __m512 d;
};

/* v[r] lane c <-> v[c] lane r */
ALWAYS_INLINE void transpose(__m512i v[16]) {
    __m512i t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) { /* v[i + c]: columns c, 4 + c .. of rows i .. */
        v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (int c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88);
        t[4 + c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xdd);
        t[8 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88);
        t[12 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xdd);
    }
    UNROLL for (int c = 0; c < 4; c++) {
        v[c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0x88);
        v[4 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0x88);
        v[8 + c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0xdd);
        v[12 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0xdd);
    }
}

/* From the scales of 16 rows, every one (16 values) or every other one (32) a group. */
ALWAYS_INLINE void put_scales(enum elem type, __m512i scales[16], struct panel *p) {
    const int step = group_values(type) / 16;
    transpose(scales);
    UNROLL for (int g = 0; g < 16; g += step) {
        p->scale[g] = _mm512_or_si512(scales[g], _mm512_slli_epi32(scales[g], 16));
        if (g / step % 2 == 0) continue;
        __m512i two = _mm512_or_si512(scales[g - step], _mm512_slli_epi32(scales[g], 16));
        p->minima[g / step / 2] = _mm512_mullo_epi16(two, _mm512_set1_epi16((short)offset(type)));
    }
}

ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, const char *const rows[PANEL_ROWS],
                              size_t i) {
    const size_t at = i * block_bytes(type);
    __m512i q[4][PANEL_ROWS], scales[PANEL_ROWS];
    for (size_t r = 0; r < PANEL_ROWS; r += 2) {
        struct two_rows w;
        load_rows(type, rows[r] + at, rows[r + 1] + at, &w);
        UNROLL for (int k = 0; k < 4; k++) {
            q[k][r] = w.q[0][k];
            q[k][r + 1] = w.q[1][k];
        }
        scales[r] = w.scale[0];
        scales[r + 1] = group_values(type) == 16 ? w.scale[1] : _mm512_srli_epi64(w.scale[0], 32);
    }
    for (int k = 0; k < 4; k++) {
        transpose(q[k]);
        UNROLL for (int j = 0; j < 16; j++) p->q[8 * (j / 2) + 2 * k + j % 2] = q[k][j];
    }
    put_scales(type, scales, p);
    p->d = load_d(type, rows, at);
}

#include "kernels/avx512_super_many.h"

LINEAR_FROM_LANES(linear_iq2_xxs, ELEM_IQ2_XXS)
LINEAR_FROM_LANES(linear_iq2_xs, ELEM_IQ2_XS)
LINEAR_FROM_LANES(linear_iq2_s, ELEM_IQ2_S)
LINEAR_FROM_LANES(linear_iq3_xxs, ELEM_IQ3_XXS)
LINEAR_FROM_LANES(linear_iq3_s, ELEM_IQ3_S)
LINEAR_FROM_LANES(linear_iq1_s, ELEM_IQ1_S)
LINEAR_FROM_LANES(linear_iq1_m, ELEM_IQ1_M)

void vbmi_fill_iq(struct kernels *k) {
    iq_planes_fill();
    fill_tables();
    k->linear[ELEM_IQ2_XXS] = linear_iq2_xxs;
    k->linear[ELEM_IQ2_XS] = linear_iq2_xs;
    k->linear[ELEM_IQ2_S] = linear_iq2_s;
    k->linear[ELEM_IQ3_XXS] = linear_iq3_xxs;
    k->linear[ELEM_IQ3_S] = linear_iq3_s;
    k->linear[ELEM_IQ1_S] = linear_iq1_s;
    k->linear[ELEM_IQ1_M] = linear_iq1_m;
}
