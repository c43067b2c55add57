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
    __m512i q[8];     /* in the order of the values; four vectors where points have four */
    __m512i start[2]; /* of sums; [h] where 16 values share a scale */
};

/* Bytes `at` of 128 values, in the lower half, and of the 128 after them in the upper one. */
ALWAYS_INLINE __m512i gather_bytes(const int8_t x[256], __m512i at) {
    __m512i low = _mm512_permutex2var_epi8(load512(x), at, load512(x + 64));
    __m512i high = _mm512_permutex2var_epi8(load512(x + 128), at, load512(x + 192));
    return _mm512_mask_blend_epi64(0xf0, low, high);
}

/* Where the bytes of q[0] are among 128 values; see vbmi_points.h. */
ALWAYS_INLINE __m512i first_places(enum elem type) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    if (has_fours(type)) /* 16 lane + 4 c */
        return _mm512_add_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32(0x10101010)),
                                _mm512_set1_epi32(0x0c080400));
    __m512i pairs = _mm512_srli_epi32(lanes, 1); /* 32 q + 8 g */
    if (group_values(type) == 32)
        return _mm512_add_epi32(_mm512_mullo_epi32(pairs, _mm512_set1_epi32(0x20202020)),
                                _mm512_set1_epi32(0x18100800));
    /* 64 l + 16 i + 8 (c % 2) + 4 (c / 2) */
    pairs = _mm512_add_epi32(pairs, _mm512_and_si512(pairs, _mm512_set1_epi32(2)));
    return _mm512_add_epi32(_mm512_mullo_epi32(pairs, _mm512_set1_epi32(0x10101010)),
                            _mm512_set1_epi32(0x0c040800));
}

ALWAYS_INLINE void order_token(enum elem type, const int8_t x[256], __m512i q[8]) {
    const __m512i first = first_places(type);
    const int vectors = has_fours(type) ? 4 : 8;
    UNROLL for (int v = 0; v < vectors; v++) {
        int more = group_values(type) == 32 ? v : v / 4 * 32 + v % 4;
        q[v] = gather_bytes(x, _mm512_add_epi8(first, _mm512_set1_epi8((char)more)));
    }
}

/* Sums start with what the offset adds to them taken off. */
ALWAYS_INLINE void start_sums(enum elem type, const struct act_q8k *x, __m512i start[2]) {
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512i sums = _mm512_cvtepi16_epi32(load256(x->sums));
    if (group_values(type) == 32 && !has_fours(type)) {
        __m256i wide_sums = _mm256_madd_epi16(load256(x->sums), _mm256_set1_epi16(1));
        sums = _mm512_permutexvar_epi32(twice, wide(wide_sums));
    }
    sums = _mm512_mullo_epi32(sums, _mm512_set1_epi32(-offset(type)));
    start[0] = sums;
    if (group_values(type) == 32) return;
    start[0] = _mm512_unpacklo_epi32(sums, sums);
    start[1] = _mm512_unpackhi_epi32(sums, sums);
}

ALWAYS_INLINE __m512i multiply_four(__m512i sums, const __m512i w[4], const __m512i x[4]) {
    UNROLL for (int v = 0; v < 4; v++) sums = _mm512_dpbusd_epi32(sums, w[v], x[v]);
    return sums;
}

/* Lanes whose sums are the dot products of two rows: those of row r are lanes 2 i + r. */
ALWAYS_INLINE __m512i multiply_rows(enum elem type, const struct two_rows *w,
                                    const struct token *t) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i sums[2];
    sums[0] = multiply_four(t->start[0], w->q, t->q);
    if (has_fours(type)) {
        sums[1] = multiply_four(t->start[0], w->q + 4, t->q);
        sums[0] = _mm512_add_epi32(even_lanes(sums[0], sums[1]), odd_lanes(sums[0], sums[1]));
    } else if (group_values(type) == 32) {
        sums[0] = _mm512_add_epi32(sums[0], multiply_four(zero, w->q + 4, t->q + 4));
    } else {
        sums[1] = multiply_four(t->start[1], w->q + 4, t->q + 4);
        return _mm512_add_epi32(_mm512_mullo_epi32(sums[0], w->scale[0]),
                                _mm512_mullo_epi32(sums[1], w->scale[1]));
    }
    return _mm512_mullo_epi32(sums[0], w->scale[0]);
}

/* Lane r: the dot product of row r. */
ALWAYS_INLINE __m512i sum_pairs(const __m512i pairs[PAIRS]) {
    __m512i quads[4];
    UNROLL for (int i = 0; i < 4; i++) quads[i] = sum_halves(pairs[2 * i], pairs[2 * i + 1]);
    return sum_quarters(sum_quarters(quads[0], quads[1]), sum_quarters(quads[2], quads[3]));
}

/* Asks for the part of the next 16 rows that corresponds to these, from pair p on. */
ALWAYS_INLINE void prefetch_rows(enum elem type, const struct tile *a, size_t at, size_t p) {
    const size_t bytes = 2 * block_bytes(type);
    UNROLL for (size_t ahead = 0; ahead < bytes * pairs_at_once(type); ahead += 64)
        tile_prefetch(a, PANEL_ROWS, PANEL_ROWS * at + p * bytes + ahead);
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
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8k *own = token_at(x, a.x_stride, t);
            order_token(type, own->q, x_ordered[t].q);
            start_sums(type, own, x_ordered[t].start);
        }
        for (size_t p = 0; p < PAIRS; p += pairs_at_once(type)) {
            struct two_rows w[2];
            prefetch_rows(type, &a, at, p);
            load_rows(type, rows + 2 * p, at, w);
            UNROLL for (size_t c = 0; c < pairs_at_once(type); c++) {
                UNROLL for (int t = 0; t < tokens; t++) dots[t][p + c] =
                    multiply_rows(type, &w[c], &x_ordered[t]);
            }
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

/* From the scales of 16 rows, lane by lane: those of 16 values are in the order of
 * two_rows, of 32 in even lanes. */
ALWAYS_INLINE void put_scales(enum elem type, __m512i lanes[16], struct panel *p) {
    const int step = group_values(type) / 16;
    __m512i scales[16];
    transpose(lanes);
    UNROLL for (int g = 0; g < 16; g += step) {
        scales[g] = lanes[step == 1 ? g / 4 * 4 + g % 2 * 2 + g % 4 / 2 : g];
        p->scale[g] = _mm512_or_si512(scales[g], _mm512_slli_epi32(scales[g], 16));
        if (g / step % 2 == 0) continue;
        __m512i two = _mm512_or_si512(scales[g - step], _mm512_slli_epi32(scales[g], 16));
        p->minima[g / step / 2] = _mm512_mullo_epi16(two, _mm512_set1_epi16((short)offset(type)));
    }
}

/* Four vectors of bytes to vectors of fours of them. */
ALWAYS_INLINE void join_four(const __m512i q[4], __m512i out[4]) {
    __m512i low[2], high[2];
    UNROLL for (int i = 0; i < 2; i++) {
        low[i] = _mm512_unpacklo_epi8(q[2 * i], q[2 * i + 1]);
        high[i] = _mm512_unpackhi_epi8(q[2 * i], q[2 * i + 1]);
    }
    out[0] = _mm512_unpacklo_epi16(low[0], low[1]);
    out[1] = _mm512_unpackhi_epi16(low[0], low[1]);
    out[2] = _mm512_unpacklo_epi16(high[0], high[1]);
    out[3] = _mm512_unpackhi_epi16(high[0], high[1]);
}

/* Values of two rows as neighbours, four to a lane; which ones, quad_at() says. */
ALWAYS_INLINE void join_rows(enum elem type, const struct two_rows *w, __m512i out[2][4]) {
    UNROLL for (int f = 0; f < 2; f++) {
        __m512i fours[4];
        join_four(w->q + 4 * f, fours);
        UNROLL for (int m = 0; m < 4; m++) {
            if (has_fours(type))
                out[f][m] = fours[m];
            else
                out[m % 2][m / 2 * 2 + f] = fours[m];
        }
    }
}

/* The quad of lane j of vector m of a row. */
ALWAYS_INLINE int quad_at(enum elem type, int m, int j) {
    const int l = j / 4, c = j % 4;
    if (has_fours(type)) return 16 * l + 4 * m + c;
    if (group_values(type) == 32) return 16 * l + m / 2 * 8 + 2 * c + m % 2;
    return 16 * l + m % 2 * 8 + m / 2 * 4 + c % 2 * 2 + c / 2;
}

/* Vectors of scales of either row. */
ALWAYS_INLINE void split_scales(enum elem type, const __m512i scale[2], __m512i out[2]) {
    out[0] = scale[0];
    out[1] = _mm512_srli_epi64(scale[0], 32);
    if (group_values(type) == 32) return;
    out[0] = even_lanes(scale[0], scale[1]);
    out[1] = odd_lanes(scale[0], scale[1]);
}

ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, const char *const rows[PANEL_ROWS],
                              size_t i) {
    const size_t at = i * block_bytes(type);
    __m512i q[4][PANEL_ROWS], scales[PANEL_ROWS];
    for (size_t r = 0; r < PANEL_ROWS; r += 2 * pairs_at_once(type)) {
        struct two_rows w[2];
        load_rows(type, rows + r, at, w);
        UNROLL for (size_t c = 0; c < pairs_at_once(type); c++) {
            const size_t row = r + 2 * c;
            __m512i own[2][4];
            join_rows(type, &w[c], own);
            UNROLL for (int m = 0; m < 4; m++) {
                q[m][row] = own[0][m];
                q[m][row + 1] = own[1][m];
            }
            split_scales(type, w[c].scale, scales + row);
        }
    }
    UNROLL for (int m = 0; m < 4; m++) {
        transpose(q[m]);
        UNROLL for (int j = 0; j < 16; j++) p->q[quad_at(type, m, j)] = q[m][j];
    }
    put_scales(type, scales, p);
    p->d = load_d(type, rows, at);
}

#include "kernels/avx512_super_many.h"

ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS)
        rows_of_panel(type, tile_at(a, r, 0), at_most(n_rows - r, PANEL_ROWS), n_tokens);
}

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
