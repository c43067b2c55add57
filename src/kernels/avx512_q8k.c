/* Linear layers of 256-value blocks against ACT_Q8_K in AVX-512 VNNI.
 *
 * As in avx512_q8.c the lanes of a vector are 16 rows, and blocks are transposed while
 * they are unpacked; but a block of 16 rows is more than the registers hold: it is
 * taken in chunks of 64 or 128 values, which few tokens use at once and which fill a
 * panel in the first-level cache for many.
 *
 * The dot product of a block, scales of its groups included, is exact in integers; only
 * the order of the float sum over blocks is fixed: sum = fma(dot, d_w d_x, sum), then
 * for types whose minima have a scale of their own sum = fma(-minima, dmin d_x, sum).
 * What is added to a type's values to make them unsigned goes the way of the minima:
 * it is subtracted times the sums of 16 activations. */
#include <immintrin.h>

#include "kernels/avx512_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { PANEL_ROWS = 16, PANEL_TOKENS = 128, FEW_TOKENS = 4, MOST_TOKENS = 8 };

/* Of one block of 16 rows. */
struct scales {
    __m512i scale[16]; /* 32 bits, of each group of values that share one */
    __m512i minima[8]; /* 16 bits, of values 32 j .. 32 j + 15 and of the 16 after them */
    __m512 d, dmin;
};

/* Types whose minima have a scale of their own; others' share d. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

/* Values that share a scale. */
ALWAYS_INLINE int group_values(enum elem type) {
    switch (type) {
    case ELEM_Q4_K:
    case ELEM_Q5_K:
    case ELEM_IQ4_XS: return 32;
    case ELEM_TQ2_0: return 256;
    default: return 16;
    }
}

/* ---- scales ---- */

/* Byte b of each lane as 32 bits, in out[b]. */
ALWAYS_INLINE void spread_bytes(__m512i bytes, int is_signed, __m512i out[4]) {
    UNROLL for (int b = 0; b < 4; b++) {
        __m512i top = _mm512_slli_epi32(bytes, (unsigned)(24 - 8 * b));
        out[b] = is_signed ? _mm512_srai_epi32(top, 24) : _mm512_srli_epi32(top, 24);
    }
}

/* Bytes 2 i and 2 i + 1 of each lane as 16 bits, in out[i]. */
ALWAYS_INLINE void pair_bytes(__m512i bytes, int is_signed, __m512i out[2]) {
    UNROLL for (int i = 0; i < 2; i++) {
        const int first = i == 0 ? 0x01800080 : 0x03800280; /* to the upper halves */
        __m512i places = _mm512_broadcast_i32x4(
            _mm_setr_epi32(first, first + 0x04000400, first + 0x08000800, first + 0x0c000c00));
        __m512i pairs = _mm512_shuffle_epi8(bytes, places);
        out[i] = is_signed ? _mm512_srai_epi16(pairs, 8) : _mm512_srli_epi16(pairs, 8);
    }
}

/* The same 16 bits twice. */
ALWAYS_INLINE __m512i twice(__m512i low) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(low, 16));
}

/* By a constant; to the left when it is negative. */
ALWAYS_INLINE __m512i shift_right(__m512i v, int bits) {
    return bits < 0 ? _mm512_slli_epi32(v, (unsigned)-bits) : _mm512_srli_epi32(v, (unsigned)bits);
}

ALWAYS_INLINE __m512i bits_at(__m512i bytes, int shift, int mask) {
    return _mm512_and_si512(shift_right(bytes, shift), _mm512_set1_epi8((char)mask));
}

ALWAYS_INLINE __m512 low_half(__m512i lanes) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(lanes));
}

ALWAYS_INLINE __m512 high_half(__m512i lanes) {
    return low_half(_mm512_srli_epi32(lanes, 16));
}

/* See q4_k_scales(). */
ALWAYS_INLINE void unpack_q4_k_scales(const char *const rows[PANEL_ROWS], size_t at,
                                      struct scales *s) {
    __m512i head[4]; /* d and dmin, then 12 bytes of scales */
    load_columns(rows, at, head);
    s->d = low_half(head[0]);
    s->dmin = high_half(head[0]);
    __m512i scales[2] = {bits_at(head[1], 0, 0x3f), bits_at(head[3], 0, 15)};
    __m512i minima[2] = {bits_at(head[2], 0, 0x3f), bits_at(head[3], 4, 15)};
    scales[1] = _mm512_or_si512(scales[1], bits_at(head[1], 2, 0x30));
    minima[1] = _mm512_or_si512(minima[1], bits_at(head[2], 2, 0x30));
    UNROLL for (int i = 0; i < 2; i++) {
        spread_bytes(scales[i], 0, s->scale + 4 * i);
        spread_bytes(minima[i], 0, s->minima + 4 * i);
    }
    UNROLL for (int i = 0; i < 8; i++) s->minima[i] = twice(s->minima[i]);
}

ALWAYS_INLINE void unpack_q2_k_scales(const char *const rows[PANEL_ROWS], size_t at,
                                      struct scales *s) {
    __m512i bytes[4], halves = load_lanes(rows, at + offsetof(struct block_q2_k, d));
    s->d = low_half(halves);
    s->dmin = high_half(halves);
    load_columns(rows, at + offsetof(struct block_q2_k, scales), bytes);
    UNROLL for (int i = 0; i < 4; i++) {
        spread_bytes(bits_at(bytes[i], 0, 15), 0, s->scale + 4 * i);
        pair_bytes(bits_at(bytes[i], 4, 15), 0, s->minima + 2 * i);
    }
}

/* 16 signed bytes; values are 1 << offset_bits too large. */
ALWAYS_INLINE void spread_signed_scales(const __m512i bytes[4], int offset_bits, struct scales *s) {
    UNROLL for (int i = 0; i < 4; i++) {
        spread_bytes(bytes[i], 1, s->scale + 4 * i);
        pair_bytes(bytes[i], 1, s->minima + 2 * i);
    }
    UNROLL for (int i = 0; i < 8; i++) s->minima[i] =
        _mm512_sllv_epi16(s->minima[i], _mm512_set1_epi16((short)offset_bits));
}

/* See q3_k_scales(). */
ALWAYS_INLINE void unpack_q3_k_scales(const char *const rows[PANEL_ROWS], size_t at,
                                      struct scales *s) {
    __m512i g[3], scales[4];
    UNROLL for (int i = 0; i < 3; i++) g[i] =
        load_lanes(rows, at + offsetof(struct block_q3_k, scales) + 4 * (size_t)i);
    s->d = _mm512_cvtph_ps(load_last_halves(rows, at + offsetof(struct block_q3_k, d)));
    UNROLL for (int i = 0; i < 4; i++) {
        __m512i low = bits_at(g[i % 2], i < 2 ? 0 : 4, 15), top = bits_at(g[2], 2 * i - 4, 0x30);
        scales[i] = _mm512_sub_epi8(_mm512_or_si512(low, top), _mm512_set1_epi8(32));
    }
    spread_signed_scales(scales, 2, s);
}

ALWAYS_INLINE void unpack_q6_k_scales(const char *const rows[PANEL_ROWS], size_t at,
                                      struct scales *s) {
    __m512i scales[4];
    load_columns(rows, at + offsetof(struct block_q6_k, scales), scales);
    s->d = _mm512_cvtph_ps(load_last_halves(rows, at + offsetof(struct block_q6_k, d)));
    spread_signed_scales(scales, 5, s);
}

ALWAYS_INLINE void unpack_iq4_xs_scales(const char *const rows[PANEL_ROWS], size_t at,
                                        struct scales *s) {
    __m512i head[4]; /* d and the high bits, the low bits */
    load_columns(rows, at, head);
    s->d = low_half(head[0]);
    UNROLL for (int g = 0; g < 8; g++) {
        __m512i low =
            _mm512_and_si512(_mm512_srli_epi32(head[1], (unsigned)(4 * g)), _mm512_set1_epi32(15));
        __m512i top = _mm512_and_si512(_mm512_srli_epi32(head[0], (unsigned)(16 + 2 * g)),
                                       _mm512_set1_epi32(3));
        __m512i scale = _mm512_or_si512(low, _mm512_slli_epi32(top, 4));
        s->scale[g] = _mm512_sub_epi32(scale, _mm512_set1_epi32(32));
        s->minima[g] = twice(_mm512_slli_epi16(s->scale[g], 7)); /* values are 128 too large */
    }
}

ALWAYS_INLINE void unpack_scales(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                                 struct scales *s) {
    switch (type) {
    case ELEM_Q2_K: unpack_q2_k_scales(rows, at, s); break;
    case ELEM_Q3_K: unpack_q3_k_scales(rows, at, s); break;
    case ELEM_Q4_K:
    case ELEM_Q5_K: unpack_q4_k_scales(rows, at, s); break;
    case ELEM_Q6_K: unpack_q6_k_scales(rows, at, s); break;
    case ELEM_IQ4_XS: unpack_iq4_xs_scales(rows, at, s); break;
    default:
        s->d = _mm512_cvtph_ps(load_last_halves(rows, at + offsetof(struct block_tq2_0, d)));
        UNROLL for (int i = 0; i < 8; i++) s->minima[i] = _mm512_set1_epi16(1);
    }
}

/* ---- values ---- */

/* A block is unpacked in chunks: the groups of 32 values that share bytes. */
ALWAYS_INLINE int chunk_groups(enum elem type) {
    switch (type) {
    case ELEM_Q4_K:
    case ELEM_Q5_K:
    case ELEM_IQ4_XS: return 2;
    default: return 4;
    }
}

/* Of a chunk, lanes being rows: bytes 4 j .. 4 j + 3 in vector j. */
struct columns {
    __m512i low[16], high[8];
};

ALWAYS_INLINE void load_32_bytes(const char *const rows[PANEL_ROWS], size_t at, __m512i out[8]) {
    load_columns(rows, at, out);
    load_columns(rows, at + 16, out + 4);
}

/* The bytes with the top bits of all groups of a block. */
ALWAYS_INLINE void load_block_high(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                                   struct columns *columns) {
    if (type == ELEM_Q5_K)
        load_32_bytes(rows, at + offsetof(struct block_q5_k, high), columns->high);
    if (type == ELEM_Q3_K)
        load_32_bytes(rows, at + offsetof(struct block_q3_k, high), columns->high);
}

ALWAYS_INLINE void load_chunk(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                              size_t chunk, struct columns *columns) {
    switch (type) {
    case ELEM_Q2_K: at += offsetof(struct block_q2_k, q); break;
    case ELEM_Q3_K: at += offsetof(struct block_q3_k, q); break;
    case ELEM_Q4_K: at += offsetof(struct block_q4_k, q); break;
    case ELEM_Q5_K: at += offsetof(struct block_q5_k, q); break;
    case ELEM_IQ4_XS: at += offsetof(struct block_iq4_xs, q); break;
    case ELEM_Q6_K:
        load_32_bytes(rows, at + offsetof(struct block_q6_k, high) + 32 * chunk, columns->high);
        at += 32 * chunk; /* 64 bytes a chunk */
        load_32_bytes(rows, at + 32 * chunk + 32, columns->low + 8);
        break;
    default: break;
    }
    load_32_bytes(rows, at + 32 * chunk, columns->low);
}

/* Adds bit g of the bytes `high` to the values of group g, as their bit `place`. */
ALWAYS_INLINE void add_high_bits(const __m512i high[8], int g, int place, __m512i q[8]) {
    const __m512i bit = _mm512_set1_epi8((char)(1 << place));
    const __m512i turn = _mm512_set1_epi32((place - g) & 31); /* stays within the byte */
    UNROLL for (int j = 0; j < 8; j++) q[j] =
        or_masked(q[j], _mm512_rolv_epi32(high[j], turn), bit);
}

/* Values 4 j .. 4 j + 3 of group k of a chunk, which is group g of the block, in q[j]. */
ALWAYS_INLINE void unpack_group(enum elem type, const struct columns *columns, int k, int g,
                                __m512i q[8]) {
    const __m512i top = _mm512_set1_epi8(0x30);
    const __m512i levels =
        _mm512_broadcast_i32x4(_mm_xor_si128(_mm_setr_epi8(IQ4_LEVELS), _mm_set1_epi8(-128)));
    UNROLL for (int j = 0; j < 8; j++) {
        const __m512i *low = columns->low;
        switch (type) {
        case ELEM_Q4_K:
        case ELEM_Q5_K: q[j] = bits_at(low[j], 4 * k, 15); break;
        case ELEM_IQ4_XS:
            q[j] = _mm512_shuffle_epi8(levels, bits_at(low[4 * k + j % 4], j / 4 * 4, 15));
            break;
        case ELEM_Q6_K:
            q[j] = bits_at(low[k % 2 * 8 + j], k / 2 * 4, 15);
            q[j] = or_masked(q[j], shift_right(columns->high[j], 2 * k - 4), top);
            break;
        default: q[j] = bits_at(low[j], 2 * k, 3);
        }
    }
    if (type == ELEM_Q5_K) add_high_bits(columns->high, g, 4, q);
    if (type == ELEM_Q3_K) add_high_bits(columns->high, g, 2, q);
}

/* ---- multiplying ---- */

ALWAYS_INLINE const struct act_q8k *act_at(const char *x, size_t stride, int token) {
    return (const struct act_q8k *)(const void *)(x + (size_t)token * stride);
}

/* Adds the scaled dot product of group g. */
ALWAYS_INLINE __m512i add_group(enum elem type, const __m512i q[8], int g, const struct scales *s,
                                const struct act_q8k *x, __m512i dot) {
    const int values = group_values(type), quads = values < 32 ? 4 : 8;
    UNROLL for (int i = 0; i < 8; i += quads) {
        __m512i part = values == 256 ? dot : _mm512_setzero_si512();
        UNROLL for (int j = i; j < i + quads; j++) part =
            _mm512_dpbusd_epi32(part, q[j], four_bytes(x->q + 32 * g + 4 * j));
        if (values == 256)
            dot = part;
        else
            dot = _mm512_add_epi32(dot,
                                   _mm512_mullo_epi32(part, s->scale[(32 * g + 4 * i) / values]));
    }
    return dot;
}

/* The sum with that of a block whose scaled dot product is `dot`. */
ALWAYS_INLINE __m512 add_block(enum elem type, const struct scales *s, const struct act_q8k *x,
                               __m512i dot, __m512 sum) {
    __m512i minima = _mm512_setzero_si512();
    UNROLL for (int j = 0; j < 8; j++) minima =
        _mm512_dpwssd_epi32(minima, s->minima[j], four_bytes(x->sums + 2 * j));
    if (!has_dmin(type)) dot = _mm512_sub_epi32(dot, minima);
    __m512 scale = _mm512_set1_ps(x->scale);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(s->d, scale), sum);
    if (!has_dmin(type)) return sum;
    return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima), _mm512_mul_ps(s->dmin, scale), sum);
}

/* Asks for the part of the next 16 rows that corresponds to a chunk of these. */
ALWAYS_INLINE void prefetch_chunk(enum elem type, const struct tile *a, size_t at, size_t chunk) {
    const size_t bytes = PANEL_ROWS * block_bytes(type) * (size_t)chunk_groups(type) / 8;
    UNROLL for (size_t ahead = 0; ahead < bytes; ahead += 64)
        tile_prefetch(a, PANEL_ROWS, PANEL_ROWS * at + chunk * bytes + ahead);
}

/* n_rows <= PANEL_ROWS outputs of each of `tokens` tokens, a constant. */
ALWAYS_INLINE void few_tokens(enum elem type, struct tile a, size_t n_rows, int tokens) {
    const int groups = chunk_groups(type);
    const char *rows[PANEL_ROWS];
    __m512 sums[FEW_TOKENS];
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        size_t at = i * block_bytes(type);
        struct scales scales;
        struct columns columns;
        __m512i dots[FEW_TOKENS];
        unpack_scales(type, rows, at, &scales);
        load_block_high(type, rows, at, &columns);
        UNROLL for (int t = 0; t < tokens; t++) dots[t] = _mm512_setzero_si512();
        for (int c = 0; c < 8 / groups; c++) {
            prefetch_chunk(type, &a, at, (size_t)c);
            load_chunk(type, rows, at, (size_t)c, &columns);
            UNROLL for (int k = 0; k < groups; k++) {
                __m512i q[8];
                unpack_group(type, &columns, k, c * groups + k, q);
                UNROLL for (int t = 0; t < tokens; t++) dots[t] =
                    add_group(type, q, c * groups + k, &scales, act_at(x, a.x_stride, t), dots[t]);
            }
        }
        UNROLL for (int t = 0; t < tokens; t++) sums[t] =
            add_block(type, &scales, act_at(x, a.x_stride, t), dots[t], sums[t]);
    }
    UNROLL for (int t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(a.y + (size_t)t * a.y_stride, first_lanes(n_rows), sums[t]);
}

/* One block of 16 rows. */
struct panel {
    __m512i q[8][8]; /* of each group */
    struct scales scales;
};

ALWAYS_INLINE void fill_panel(enum elem type, const struct tile *a,
                              const char *const rows[PANEL_ROWS], size_t at, struct panel *p) {
    const int groups = chunk_groups(type);
    struct columns columns;
    unpack_scales(type, rows, at, &p->scales);
    load_block_high(type, rows, at, &columns);
    for (int c = 0; c < 8 / groups; c++) {
        prefetch_chunk(type, a, at, (size_t)c);
        load_chunk(type, rows, at, (size_t)c, &columns);
        UNROLL for (int k = 0; k < groups; k++)
            unpack_group(type, &columns, k, c * groups + k, p->q[c * groups + k]);
    }
}

/* Adds the panel's block times those of `tokens` activation rows. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens, const char *x,
                                size_t stride, __m512 sums[]) {
    __m512i dots[MOST_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) dots[t] = _mm512_setzero_si512();
    for (int g = 0; g < 8; g++) {
        __m512i q[8];
        UNROLL for (int j = 0; j < 8; j++) q[j] = p->q[g][j];
        UNROLL for (int t = 0; t < tokens; t++) dots[t] =
            add_group(type, q, g, &p->scales, act_at(x, stride, t), dots[t]);
    }
    UNROLL for (int t = 0; t < tokens; t++) sums[t] =
        add_block(type, &p->scales, act_at(x, stride, t), dots[t], sums[t]);
}

/* Asks for the block of the tokens that come next, which the second-level cache holds. */
ALWAYS_INLINE void prefetch_tokens(const char *x, size_t stride) {
    for (size_t t = 0; t < MOST_TOKENS; t++)
        for (size_t at = 0; at < sizeof(struct act_q8k); at += 64)
            __builtin_prefetch(x + t * stride + at);
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[PANEL_TOKENS];
    struct panel panel;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        size_t at = i * block_bytes(type), t = 0;
        fill_panel(type, &a, rows, at, &panel);
        for (; t + MOST_TOKENS <= n_tokens; t += MOST_TOKENS) {
            prefetch_tokens(x + (t + MOST_TOKENS) * a.x_stride, a.x_stride);
            panel_tokens(type, &panel, MOST_TOKENS, x + t * a.x_stride, a.x_stride, sums + t);
        }
        for (; t + 2 <= n_tokens; t += 2)
            panel_tokens(type, &panel, 2, x + t * a.x_stride, a.x_stride, sums + t);
        if (t < n_tokens) panel_tokens(type, &panel, 1, x + t * a.x_stride, a.x_stride, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_mask_storeu_ps(a.y + t * a.y_stride, first_lanes(n_rows), sums[t]);
}

LINEAR_FROM_LANES(linear_q2_k, ELEM_Q2_K)
LINEAR_FROM_LANES(linear_q3_k, ELEM_Q3_K)
LINEAR_FROM_LANES(linear_q4_k, ELEM_Q4_K)
LINEAR_FROM_LANES(linear_q5_k, ELEM_Q5_K)
LINEAR_FROM_LANES(linear_q6_k, ELEM_Q6_K)
LINEAR_FROM_LANES(linear_iq4_xs, ELEM_IQ4_XS)
LINEAR_FROM_LANES(linear_tq2_0, ELEM_TQ2_0)

void avx512_fill_q8k(struct kernels *k) {
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}
