/* Linear layers of 32-value blocks against ACT_Q8 in AVX-512 VNNI.
 *
 * The sum of a block is exact in integers, so it may be formed in any order; only
 * the order of the float sum over blocks is fixed: even and odd blocks have a sum
 * each, sum = fma(dot, d_w d_x, sum), then for types with a minimum
 * sum = fma(m, sum_x, sum); the output is even + odd. An odd last block is followed by
 * one of zeros. Two ways of computing keep to this:
 *
 *   few tokens   8 rows at a time straight from the file's blocks, which are read
 *                once, at memory speed; 16 lanes hold 8 rows x (even, odd)
 *   many tokens  16 rows are turned into a panel whose lanes are rows, so that a dot
 *                product needs no sums across lanes and serves PANEL_TOKENS tokens
 *
 * VPDPBUSD multiplies unsigned with signed bytes. The first way adds offset(type) to
 * the weights and starts from -offset sum(x); the second adds 128 to the activations
 * and starts from -128 sum(w). */
#include <immintrin.h>

#include "kernels/avx512_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

static const uint8_t zero_block[64];
static const struct act_q8 zero_act;

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

ALWAYS_INLINE __m512i load_halves(const void *low, const void *high) {
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)low));
    return _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)high), 1);
}

/* Low nibbles of 16 bytes, then their high nibbles; the same for the other block. */
ALWAYS_INLINE __m512i load_nibbles(const void *low, const void *high) {
    const __m512i shifts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    __m512i v = _mm512_broadcast_i32x4(load128(low));
    v = _mm512_mask_broadcast_i32x4(v, 0xff00, load128(high));
    return _mm512_and_si512(_mm512_srlv_epi64(v, shifts), _mm512_set1_epi8(15));
}

ALWAYS_INLINE __m512i add_fifth_bits(__m512i q, uint32_t low, uint32_t high) {
    __mmask64 mask = _cvtu64_mask64(low | (uint64_t)high << 32);
    return _mm512_mask_add_epi8(q, mask, q, _mm512_set1_epi8(16));
}

/* Values + 128 of the 4-bit codes. */
ALWAYS_INLINE __m512i look_up(__m512i codes, __m128i values) {
    __m128i table = _mm_xor_si128(values, _mm_set1_epi8(-128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes);
}

/* The 32 values of block a, then those of b, with offset(type) added. */
ALWAYS_INLINE __m512i load_values(enum elem type, const void *a, const void *b) {
#define FIELD(name, field)                                                                         \
    ((const struct block_##name *)a)->field, ((const struct block_##name *)b)->field
    switch (type) {
    case ELEM_Q4_0: return load_nibbles(FIELD(q4_0, q));
    case ELEM_Q4_1: return load_nibbles(FIELD(q4_1, q));
    case ELEM_Q5_0: return add_fifth_bits(load_nibbles(FIELD(q5_0, q)), FIELD(q5_0, high));
    case ELEM_Q5_1: return add_fifth_bits(load_nibbles(FIELD(q5_1, q)), FIELD(q5_1, high));
    case ELEM_Q8_0: return _mm512_xor_si512(load_halves(FIELD(q8_0, q)), _mm512_set1_epi8(-128));
    case ELEM_IQ4_NL: return look_up(load_nibbles(FIELD(iq4_nl, q)), _mm_setr_epi8(IQ4_LEVELS));
    default: return look_up(load_nibbles(FIELD(mxfp4, q)), _mm_setr_epi8(FP4_LEVELS));
    }
#undef FIELD
}

/* Scales of 16 blocks from the first four bytes of each. */
ALWAYS_INLINE __m512 block_scales(enum elem type, __m512i heads) {
    if (type != ELEM_MXFP4) return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(heads));
    /* e8m0_half of the lowest byte */
    __m512i e = _mm512_and_si512(heads, _mm512_set1_epi32(255));
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __mmask16 tiny = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2));
    bits = _mm512_mask_sllv_epi32(bits, tiny, _mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(bits);
}

/* The half after the scale. */
ALWAYS_INLINE __m512 block_minima(__m512i heads) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(heads, 16)));
}

ALWAYS_INLINE const char *block_at(enum elem type, const char *row, size_t i, int past) {
    return past ? (const char *)zero_block : row + i * block_bytes(type);
}

/* ---- few tokens ---- */

enum { FEW_ROWS = 8 };

/* Lane l of a few-token vector belongs to row l / 8 * 4 + l % 4 and, where its bit is
 * set here, to the odd block. */
enum { ODD_LANES = 0xf0f0 };

ALWAYS_INLINE __m512 even_odd(float even, float odd) {
    return _mm512_mask_broadcastss_ps(_mm512_set1_ps(even), ODD_LANES, _mm_set_ss(odd));
}

/* Sums of the halves of 8 vectors, in few-token order. */
ALWAYS_INLINE __m512i sum_halves(const __m512i v[FEW_ROWS]) {
    __m512i a = sum_pairs_64(sum_pairs_32(v[0], v[1]), sum_pairs_32(v[2], v[3]));
    __m512i b = sum_pairs_64(sum_pairs_32(v[4], v[5]), sum_pairs_32(v[6], v[7]));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

ALWAYS_INLINE __m512 few_step(enum elem type, const char *const rows[FEW_ROWS], const char *x,
                              size_t i, int last, __m512 sum) {
    const struct act_q8 *even = (const struct act_q8 *)(const void *)x + i;
    const struct act_q8 *odd = last ? &zero_act : even + 1;
    __m512i q = load_halves(even->q, odd->q), start = _mm512_setzero_si512();
    __m512i dots[FEW_ROWS], heads = start;
    if (offset(type)) {
        __m512i over = _mm512_dpbusd_epi32(start, _mm512_set1_epi8((char)offset(type)), q);
        start = _mm512_sub_epi32(start, over);
    }
    UNROLL for (int r = 0; r < FEW_ROWS; r++) {
        const char *a = block_at(type, rows[r], i, 0), *b = block_at(type, rows[r], i + 1, last);
        int lane = r / 4 * 8 + r % 4;
        dots[r] = _mm512_dpbusd_epi32(start, load_values(type, a, b), q);
        heads = with_head(with_head(heads, lane, a), lane + 4, b);
    }
    __m512 d = _mm512_mul_ps(block_scales(type, heads), even_odd(even->scale, odd->scale));
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum_halves(dots)), d, sum);
    if (has_minimum(type))
        sum = _mm512_fmadd_ps(block_minima(heads), even_odd(even->sum, odd->sum), sum);
    return sum;
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const char *rows[FEW_ROWS];
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    size_t n_blocks = a.n / 32, even = n_blocks - n_blocks % 2;
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < even; i += 2) {
        UNROLL for (size_t r = 0; r < FEW_ROWS; r++)
            tile_prefetch(&a, FEW_ROWS, (FEW_ROWS * i + 2 * r) * block_bytes(type));
        sum = few_step(type, rows, a.x, i, 0, sum);
    }
    if (even < n_blocks) sum = few_step(type, rows, a.x, even, 1, sum);
    __m512 other = _mm512_shuffle_f32x4(sum, sum, _MM_SHUFFLE(2, 3, 0, 1));
    __m512 both = _mm512_add_ps(sum, other); /* even + odd in the even lanes */
    const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_mask_storeu_ps(a.y, first_lanes(n_rows), _mm512_permutexvar_ps(places, both));
}

/* ---- many tokens ---- */

enum { PANEL_ROWS = 16, PANEL_BLOCKS = 16, PANEL_TOKENS = 64, MANY_TOKENS = 8 };

/* 16 rows x PANEL_BLOCKS blocks; lanes are rows. */
struct panel {
    __m512i q[PANEL_BLOCKS][8];  /* values 4 j .. 4 j + 3, signed */
    __m512i start[PANEL_BLOCKS]; /* -128 times their sum */
    __m512 d[PANEL_BLOCKS], m[PANEL_BLOCKS];
};

ALWAYS_INLINE void panel_scales(enum elem type, struct panel *p, size_t i, __m512i heads) {
    p->d[i] = block_scales(type, heads);
    if (has_minimum(type)) p->m[i] = block_minima(heads);
}

/* Blocks i and i + 1 of 16 rows, the second zeros where `last`, to place `at`. */
ALWAYS_INLINE void fill_panel_pair(enum elem type, struct panel *p, size_t at,
                                   const char *const rows[PANEL_ROWS], size_t i, int last) {
    __m512i v[16], heads[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    const __m512i over = _mm512_set1_epi8((char)offset(type));
    UNROLL for (int r = 0; r < PANEL_ROWS; r++) {
        const char *a = block_at(type, rows[r], i, 0), *b = block_at(type, rows[r], i + 1, last);
        v[r] = _mm512_sub_epi8(load_values(type, a, b), over);
        heads[0] = with_head(heads[0], r, a);
        heads[1] = with_head(heads[1], r, b);
    }
    transpose(v);
    UNROLL for (int half = 0; half < 2; half++) {
        __m512i sum = _mm512_setzero_si512();
        UNROLL for (int j = 0; j < 8; j++) {
            p->q[at + (size_t)half][j] = v[8 * half + j];
            sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(-128), v[8 * half + j]);
        }
        p->start[at + (size_t)half] = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
        panel_scales(type, p, at + (size_t)half, heads[half]);
    }
}

/* Adds block i of the panel, times `tokens` activation blocks `stride` apart. */
ALWAYS_INLINE void panel_block(enum elem type, const struct panel *p, size_t i, int tokens,
                               const char *x, size_t stride, __m512 sums[][2], int odd) {
    const __m512i flip = _mm512_set1_epi8(-128);
    __m512i q[8];
    UNROLL for (int j = 0; j < 8; j++) q[j] = p->q[i][j];
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8 *a = (const struct act_q8 *)(const void *)(x + (size_t)t * stride);
        __m512i dot = p->start[i];
        UNROLL for (int j = 0; j < 8; j++) {
            int four;
            memcpy(&four, a->q + 4 * j, sizeof four);
            dot = _mm512_dpbusd_epi32(dot, _mm512_xor_si512(_mm512_set1_epi32(four), flip), q[j]);
        }
        __m512 d = _mm512_mul_ps(p->d[i], _mm512_set1_ps(a->scale));
        sums[t][odd] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), d, sums[t][odd]);
        if (has_minimum(type))
            sums[t][odd] = _mm512_fmadd_ps(p->m[i], _mm512_set1_ps(a->sum), sums[t][odd]);
    }
}

/* Adds blocks first .. first + count - 1, which lie in the panel from its start. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens, const char *x,
                                size_t stride, size_t first, size_t count, __m512 all[][2]) {
    __m512 sums[MANY_TOKENS][2];
    UNROLL for (int t = 0; t < tokens; t++) {
        sums[t][0] = all[t][0];
        sums[t][1] = all[t][1];
    }
    const char *at = x + first * sizeof(struct act_q8);
    for (size_t i = 0; i < count; i += 2, at += 2 * sizeof(struct act_q8)) {
        panel_block(type, p, i, tokens, at, stride, sums, 0);
        if (i + 1 < count)
            panel_block(type, p, i + 1, tokens, at + sizeof(struct act_q8), stride, sums, 1);
        else
            panel_block(type, p, i + 1, tokens, (const char *)&zero_act, 0, sums, 1);
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        all[t][0] = sums[t][0];
        all[t][1] = sums[t][1];
    }
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[PANEL_TOKENS][2];
    struct panel panel;
    size_t n_blocks = a.n / 32;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t][0] = sums[t][1] = _mm512_setzero_ps();
    for (size_t first = 0; first < n_blocks; first += PANEL_BLOCKS) {
        size_t left = n_blocks - first, count = left < PANEL_BLOCKS ? left : PANEL_BLOCKS, t = 0;
        for (size_t i = 0; i + 1 < count; i += 2)
            fill_panel_pair(type, &panel, i, rows, first + i, 0);
        if (count % 2) fill_panel_pair(type, &panel, count - 1, rows, first + count - 1, 1);
        for (; t + MANY_TOKENS <= n_tokens; t += MANY_TOKENS)
            panel_tokens(type, &panel, MANY_TOKENS, a.x + t * a.x_stride, a.x_stride, first, count,
                         sums + t);
        for (; t < n_tokens; t++)
            panel_tokens(type, &panel, 1, a.x + t * a.x_stride, a.x_stride, first, count, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_mask_storeu_ps(a.y + t * a.y_stride, first_lanes(n_rows),
                              _mm512_add_ps(sums[t][0], sums[t][1]));
}

LINEAR_FROM_PANELS(linear_q4_0, ELEM_Q4_0)
LINEAR_FROM_PANELS(linear_q4_1, ELEM_Q4_1)
LINEAR_FROM_PANELS(linear_q5_0, ELEM_Q5_0)
LINEAR_FROM_PANELS(linear_q5_1, ELEM_Q5_1)
LINEAR_FROM_PANELS(linear_q8_0, ELEM_Q8_0)
LINEAR_FROM_PANELS(linear_iq4_nl, ELEM_IQ4_NL)
LINEAR_FROM_PANELS(linear_mxfp4, ELEM_MXFP4)

void avx512_fill_q8(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
}
