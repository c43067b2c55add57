/* Linear layers of 32-value blocks against ACT_Q8 in AVX-512 VNNI.
 *
 * The lanes of a vector are 16 rows of the weights: their blocks are transposed while
 * they are unpacked, so that a dot product needs no sums across lanes and an unpacked
 * block serves any number of tokens. One token takes it from registers, at memory
 * speed; several take it from a panel in the first-level cache.
 *
 * The sum of a block is exact in integers; the float sum runs over the blocks in their
 * order: sum = fma(dot, d_w d_x, sum), then for types with a minimum
 * sum = fma(m, sum_x, sum). VPDPBUSD multiplies unsigned with signed bytes, so weights
 * have offset(type) added, and a dot product starts from -offset sum(q_x). */
#include <immintrin.h>

#include "kernels/avx512_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { PANEL_ROWS = 16, PANEL_BLOCKS = 16, PANEL_TOKENS = 128 };
/* Tokens that share registers, without a panel and with one. */
enum { FEW_TOKENS = 4, MOST_TOKENS = 8 };

/* What is added to the weights to make them unsigned. */
ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return 8;
    case ELEM_Q5_0: return 16;
    case ELEM_Q4_1:
    case ELEM_Q5_1: return 0;
    default: return 128;
    }
}

ALWAYS_INLINE int has_minimum(enum elem type) {
    return type == ELEM_Q4_1 || type == ELEM_Q5_1;
}

/* ---- unpacking ---- */

/* One block of 16 rows. */
struct unpacked {
    __m512i q[8]; /* values 4 j .. 4 j + 3 of each row, offset(type) added */
    __m512 d, m;
};

ALWAYS_INLINE size_t field_q(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return offsetof(struct block_q4_0, q);
    case ELEM_Q4_1: return offsetof(struct block_q4_1, q);
    case ELEM_Q5_0: return offsetof(struct block_q5_0, q);
    case ELEM_Q5_1: return offsetof(struct block_q5_1, q);
    case ELEM_Q8_0: return offsetof(struct block_q8_0, q);
    case ELEM_IQ4_NL: return offsetof(struct block_iq4_nl, q);
    default: return offsetof(struct block_mxfp4, q);
    }
}

ALWAYS_INLINE void split_nibbles(const __m512i bytes[4], __m512i q[8]) {
    const __m512i nibble = _mm512_set1_epi8(15);
    UNROLL for (int j = 0; j < 4; j++) {
        q[j] = _mm512_and_si512(bytes[j], nibble);
        q[4 + j] = _mm512_and_si512(_mm512_srli_epi16(bytes[j], 4), nibble);
    }
}

/* Values + 128 of 4-bit codes. */
ALWAYS_INLINE void look_up(__m128i values, __m512i q[8]) {
    __m512i table = _mm512_broadcast_i32x4(_mm_xor_si128(values, _mm_set1_epi8(-128)));
    UNROLL for (int j = 0; j < 8; j++) q[j] = _mm512_shuffle_epi8(table, q[j]);
}

/* Bits 4 j .. 4 j + 3 of a lane go to bit 4 of the lane's bytes in q[j]: multiplying
 * copies them to every seventh bit, where no two meet. */
ALWAYS_INLINE void add_fifth_bits(__m512i high, __m512i q[8]) {
    const __m512i copies = _mm512_set1_epi32(0x00204081 << 4), fifth = _mm512_set1_epi8(16);
    UNROLL for (int j = 0; j < 8; j++) {
        __m512i four =
            _mm512_and_si512(_mm512_srli_epi32(high, (unsigned)(4 * j)), _mm512_set1_epi32(15));
        q[j] = or_masked(q[j], _mm512_mullo_epi32(four, copies), fifth);
    }
}

/* e8m0_half of the exponents in bytes 0 of 16 lanes */
ALWAYS_INLINE __m512 exponent_scales(__m512i heads) {
    __m512i e = _mm512_and_si512(heads, _mm512_set1_epi32(255));
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __mmask16 tiny = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2));
    bits = _mm512_mask_sllv_epi32(bits, tiny, _mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(bits);
}

/* The scale, and the half after it where that is a minimum. */
ALWAYS_INLINE void unpack_scales(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                                 struct unpacked *out) {
    if (type == ELEM_MXFP4) {
        out->d = exponent_scales(load_lanes(rows, at));
    } else if (has_minimum(type)) {
        __m512i heads = load_lanes(rows, at);
        out->d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(heads));
        out->m = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(heads, 16)));
    } else {
        out->d = _mm512_cvtph_ps(load_halves(rows, at));
    }
}

/* The block at byte `at` of each row. */
ALWAYS_INLINE void unpack(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                          struct unpacked *out) {
    __m512i bytes[4];
    unpack_scales(type, rows, at, out);
    load_columns(rows, at + field_q(type), bytes);
    if (type == ELEM_Q8_0) {
        memcpy(out->q, bytes, sizeof bytes);
        load_columns(rows, at + field_q(type) + 16, out->q + 4);
        UNROLL for (int j = 0; j < 8; j++) out->q[j] =
            _mm512_xor_si512(out->q[j], _mm512_set1_epi8(-128));
    } else {
        split_nibbles(bytes, out->q);
    }
    if (type == ELEM_IQ4_NL) look_up(_mm_setr_epi8(IQ4_LEVELS), out->q);
    if (type == ELEM_MXFP4) look_up(_mm_setr_epi8(FP4_LEVELS), out->q);
    if (type == ELEM_Q5_0 || type == ELEM_Q5_1)
        add_fifth_bits(load_lanes(rows, at + field_q(type) - 4), out->q);
}

/* ---- multiplying ---- */

ALWAYS_INLINE const struct act_q8 *act_at(const char *x, size_t stride, int token, size_t block) {
    return (const struct act_q8 *)(const void *)(x + (size_t)token * stride) + block;
}

/* With `halves`, as two sums next to each other: for one token, which would wait. */
ALWAYS_INLINE __m512 add_block(enum elem type, const struct unpacked *w, const struct act_q8 *x,
                               int halves, __m512 sum) {
    __m512i dot = _mm512_set1_epi32(-offset(type) * x->sum), second = _mm512_setzero_si512();
    UNROLL for (int j = 0; j < 8; j++) {
        __m512i *to = halves && j >= 4 ? &second : &dot;
        *to = _mm512_dpbusd_epi32(*to, w->q[j], four_bytes(x->q + 4 * j));
    }
    if (halves) dot = _mm512_add_epi32(dot, second);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(w->d, _mm512_set1_ps(x->scale)),
                          sum);
    return has_minimum(type) ? _mm512_fmadd_ps(w->m, _mm512_set1_ps(act_q8_sum(x)), sum) : sum;
}

/* Asks for the part of the next 16 rows that corresponds to a block of these. */
ALWAYS_INLINE void prefetch_block(enum elem type, const struct tile *a, size_t at) {
    UNROLL for (size_t ahead = 0; ahead < PANEL_ROWS * block_bytes(type); ahead += 64)
        tile_prefetch(a, PANEL_ROWS, PANEL_ROWS * at + ahead);
}

/* n_rows <= PANEL_ROWS outputs of each of `tokens` tokens, a constant. */
ALWAYS_INLINE void few_tokens(enum elem type, struct tile a, size_t n_rows, int tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[FEW_TOKENS];
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 32; i++) {
        struct unpacked w;
        prefetch_block(type, &a, i * block_bytes(type));
        unpack(type, rows, i * block_bytes(type), &w);
        UNROLL for (int t = 0; t < tokens; t++) sums[t] =
            add_block(type, &w, act_at(a.x, a.x_stride, t, i), tokens == 1, sums[t]);
    }
    UNROLL for (int t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(a.y + (size_t)t * a.y_stride, first_lanes(n_rows), sums[t]);
}

/* Adds `count` blocks of a panel times those of `tokens` activation rows. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct unpacked *panel, size_t count,
                                int tokens, const char *x, size_t stride, __m512 all[]) {
    __m512 sums[MOST_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = all[t];
    for (size_t i = 0; i < count; i++) {
        struct unpacked w = panel[i];
        UNROLL for (int t = 0; t < tokens; t++) sums[t] =
            add_block(type, &w, act_at(x, stride, t, i), tokens == 1, sums[t]);
    }
    UNROLL for (int t = 0; t < tokens; t++) all[t] = sums[t];
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    struct unpacked panel[PANEL_BLOCKS];
    __m512 sums[PANEL_TOKENS];
    size_t n_blocks = a.n / 32;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t first = 0; first < n_blocks; first += PANEL_BLOCKS) {
        size_t count = at_most(n_blocks - first, PANEL_BLOCKS), t = 0;
        for (size_t i = 0; i < count; i++) {
            prefetch_block(type, &a, (first + i) * block_bytes(type));
            unpack(type, rows, (first + i) * block_bytes(type), &panel[i]);
        }
        const char *x = a.x + first * sizeof(struct act_q8);
#define TAKE(tokens)                                                                               \
    for (; t + (tokens) <= n_tokens; t += (tokens))                                                \
    panel_tokens(type, panel, count, tokens, x + t * a.x_stride, a.x_stride, sums + t)
        TAKE(MOST_TOKENS);
        TAKE(4);
        TAKE(2);
        TAKE(1);
#undef TAKE
    }
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_mask_storeu_ps(a.y + t * a.y_stride, first_lanes(n_rows), sums[t]);
}

LINEAR_FROM_LANES(linear_q4_0, ELEM_Q4_0)
LINEAR_FROM_LANES(linear_q4_1, ELEM_Q4_1)
LINEAR_FROM_LANES(linear_q5_0, ELEM_Q5_0)
LINEAR_FROM_LANES(linear_q5_1, ELEM_Q5_1)
LINEAR_FROM_LANES(linear_q8_0, ELEM_Q8_0)
LINEAR_FROM_LANES(linear_iq4_nl, ELEM_IQ4_NL)
LINEAR_FROM_LANES(linear_mxfp4, ELEM_MXFP4)

void avx512_fill_q8(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
}
