/* avx512_super_blocks.h - blocks of 256 values of 16 rows, unpacked to vectors whose lanes
 * are the rows; part of a source file, after its own includes.
 *
 * Values are unsigned: offset(type) is added to a type's values to make them so. */
#ifndef HEARTH_KERNELS_AVX512_SUPER_BLOCKS_H
#define HEARTH_KERNELS_AVX512_SUPER_BLOCKS_H

#include <immintrin.h>

#include "kernels/avx512_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/linear_tile.h"

enum { PANEL_ROWS = 16 };

/* Of one block of 16 rows. */
struct scales {
    __m512i scale[16]; /* 32 bits, of each group of values that share one */
    __m512i minima[8]; /* 16 bits, of groups 2 j and 2 j + 1; has_dmin() */
    __m512 d, dmin;
};

/* Types with minima, which have a scale of their own. */
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

/* What is added to the values to make them unsigned, a power of two. */
ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q3_K: return 4;
    case ELEM_Q6_K: return 32;
    case ELEM_IQ4_XS: return 128;
    default: return 1;
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
ALWAYS_INLINE void pair_bytes(__m512i bytes, __m512i out[2]) {
    UNROLL for (int i = 0; i < 2; i++) {
        const int first = i == 0 ? 0x01800080 : 0x03800280; /* to the upper halves */
        __m512i places = _mm512_broadcast_i32x4(
            _mm_setr_epi32(first, first + 0x04000400, first + 0x08000800, first + 0x0c000c00));
        out[i] = _mm512_srli_epi16(_mm512_shuffle_epi8(bytes, places), 8);
    }
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
        pair_bytes(minima[i], s->minima + 2 * i);
    }
}

ALWAYS_INLINE void unpack_q2_k_scales(const char *const rows[PANEL_ROWS], size_t at,
                                      struct scales *s) {
    __m512i bytes[4], halves = load_lanes(rows, at + offsetof(struct block_q2_k, d));
    s->d = low_half(halves);
    s->dmin = high_half(halves);
    load_columns(rows, at + offsetof(struct block_q2_k, scales), bytes);
    UNROLL for (int i = 0; i < 4; i++) {
        spread_bytes(bits_at(bytes[i], 0, 15), 0, s->scale + 4 * i);
        pair_bytes(bits_at(bytes[i], 4, 15), s->minima + 2 * i);
    }
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
    UNROLL for (int i = 0; i < 4; i++) spread_bytes(scales[i], 1, s->scale + 4 * i);
}

ALWAYS_INLINE void unpack_q6_k_scales(const char *const rows[PANEL_ROWS], size_t at,
                                      struct scales *s) {
    __m512i scales[4];
    load_columns(rows, at + offsetof(struct block_q6_k, scales), scales);
    s->d = _mm512_cvtph_ps(load_last_halves(rows, at + offsetof(struct block_q6_k, d)));
    UNROLL for (int i = 0; i < 4; i++) spread_bytes(scales[i], 1, s->scale + 4 * i);
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
    default: s->d = _mm512_cvtph_ps(load_last_halves(rows, at + offsetof(struct block_tq2_0, d)));
    }
}

/* ---- values ---- */

/* A block is unpacked in chunks, the groups of 32 values that share bytes, and these in
 * halves, which 16 bytes hold. */
ALWAYS_INLINE int chunk_groups(enum elem type) {
    switch (type) {
    case ELEM_Q4_K:
    case ELEM_Q5_K:
    case ELEM_IQ4_XS: return 2;
    default: return 4;
    }
}

/* Of half a chunk, lanes being rows: bytes 4 j .. 4 j + 3 in vector j. Q6_K has 16 more low
 * bytes in the vectors from the fourth on. */
struct half {
    __m512i low[8], high[4];
};

ALWAYS_INLINE size_t field_q(enum elem type) {
    switch (type) {
    case ELEM_Q2_K: return offsetof(struct block_q2_k, q);
    case ELEM_Q3_K: return offsetof(struct block_q3_k, q);
    case ELEM_Q4_K: return offsetof(struct block_q4_k, q);
    case ELEM_Q5_K: return offsetof(struct block_q5_k, q);
    case ELEM_Q6_K: return offsetof(struct block_q6_k, q);
    case ELEM_IQ4_XS: return offsetof(struct block_iq4_xs, q);
    default: return offsetof(struct block_tq2_0, q);
    }
}

/* The top bits. Those of Q3_K and Q5_K are the same bytes for all chunks: they are loaded
 * with the first one, and stay. */
ALWAYS_INLINE void load_high(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                             size_t chunk, size_t half, __m512i high[4]) {
    if (type == ELEM_Q6_K)
        load_columns(rows, at + offsetof(struct block_q6_k, high) + 32 * chunk + 16 * half, high);
    else if (type == ELEM_Q5_K && chunk == 0)
        load_columns(rows, at + offsetof(struct block_q5_k, high) + 16 * half, high);
    else if (type == ELEM_Q3_K && chunk == 0)
        load_columns(rows, at + offsetof(struct block_q3_k, high) + 16 * half, high);
}

ALWAYS_INLINE void load_half(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                             size_t chunk, size_t half, struct half *h) {
    const size_t bytes = type == ELEM_Q6_K ? 64 : 32, q = at + field_q(type) + 16 * half;
    load_high(type, rows, at, chunk, half, h->high);
    load_columns(rows, q + bytes * chunk, h->low);
    if (type == ELEM_Q6_K) load_columns(rows, q + bytes * chunk + 32, h->low + 4);
}

/* Bit g of the bytes `high` as bit `place` of the values of group g. */
ALWAYS_INLINE __m512i with_high_bit(__m512i q, __m512i high, int g, int place) {
    const __m512i turn = _mm512_set1_epi32((place - g) & 31); /* stays within the byte */
    return or_masked(q, _mm512_rolv_epi32(high, turn), _mm512_set1_epi8((char)(1 << place)));
}

/* Four vectors of the values of group k of a chunk, which is group g of the block; of
 * IQ4_XS, where half a chunk is a group, the k-th four vectors of that. */
ALWAYS_INLINE void unpack_half(enum elem type, const struct half *h, const __m512i high[4], int k,
                               int g, __m512i q[4]) {
    const __m512i levels =
        _mm512_broadcast_i32x4(_mm_xor_si128(_mm_setr_epi8(IQ4_LEVELS), _mm_set1_epi8(-128)));
    UNROLL for (int j = 0; j < 4; j++) {
        const __m512i low = h->low[j];
        switch (type) {
        case ELEM_Q4_K: q[j] = bits_at(low, 4 * k, 15); break;
        case ELEM_Q5_K: q[j] = with_high_bit(bits_at(low, 4 * k, 15), high[j], g, 4); break;
        case ELEM_IQ4_XS: q[j] = _mm512_shuffle_epi8(levels, bits_at(low, 4 * k, 15)); break;
        case ELEM_Q6_K:
            q[j] = or_masked(bits_at(h->low[k % 2 * 4 + j], k / 2 * 4, 15),
                             shift_right(high[j], 2 * k - 4), _mm512_set1_epi8(0x30));
            break;
        case ELEM_Q3_K: q[j] = with_high_bit(bits_at(low, 2 * k, 3), high[j], g, 2); break;
        default: q[j] = bits_at(low, 2 * k, 3);
        }
    }
}

/* Values 4 j .. 4 j + 3 of group k of a chunk, which is group g of the block, in q[j]. */
ALWAYS_INLINE void unpack_group(enum elem type, const struct half halves[2], int k, int g,
                                __m512i q[8]) {
    const int nibble = type == ELEM_IQ4_XS;
    const struct half *first = &halves[nibble ? k : 0], *second = &halves[nibble ? k : 1];
    unpack_half(type, first, first->high, nibble ? 0 : k, g, q);
    unpack_half(type, second, second->high, nibble ? 1 : k, g, q + 4);
}

/* One block of 16 rows. */
struct panel {
    __m512i q[8][8]; /* of each group */
    struct scales scales;
};

/* A block of PANEL_ROWS rows, on the way through all blocks of all rows. */
struct cursor {
    struct tile tile; /* rows_left rows, PANEL_ROWS of which are current */
    size_t rows_left;
    const char *rows[PANEL_ROWS];
    size_t at; /* of the block in each row */
};

ALWAYS_INLINE void cursor_start(struct cursor *c, struct tile tile, size_t n_rows) {
    c->tile = tile;
    c->rows_left = n_rows;
    c->at = 0;
    row_pointers(&c->tile, n_rows, PANEL_ROWS, c->rows);
}

/* Goes on to the next block, of the next PANEL_ROWS rows behind the last one; behind all of them it
 * stays where it is. */
ALWAYS_INLINE void cursor_step(struct cursor *c, size_t block_bytes, size_t row_bytes) {
    if (c->at + block_bytes < row_bytes) {
        c->at += block_bytes;
    } else if (c->rows_left > PANEL_ROWS) {
        cursor_start(c, tile_at(c->tile, PANEL_ROWS, 0), c->rows_left - PANEL_ROWS);
    }
}

/* A block that is unpacked in UNPACK_STEPS, which are loops, of UNPACK_PARTS, which are not:
 * two halves of two groups in a step, or one half of four groups. */
enum { UNPACK_STEPS = 4, UNPACK_PARTS = 16 };
struct unpacking {
    struct cursor from;
    struct panel *panel;
    __m512i high[4]; /* of Q3_K and Q5_K, which stay for several steps */
};

/* What only lasts for a step. */
struct unpack_step {
    struct half half;
    __m512i rows[4], pairs[4];
};

/* load_columns() in LOAD_PARTS. */
enum { LOAD_PARTS = 3 };
ALWAYS_INLINE void load_part(const char *const rows[PANEL_ROWS], size_t at, int part,
                             struct unpack_step *s, __m512i out[4]) {
    if (part < 2)
        UNROLL for (int k = 2 * part; k < 2 * part + 2; k++) s->rows[k] =
            load_four_rows(rows, at, k);
    if (part == 1) pair_columns(s->rows, s->pairs);
    if (part == 2) UNROLL for (int k = 0; k < 2; k++) split_pair(s->pairs, k, out + 2 * k);
}

/* Part i of a half that begins at `at`. */
ALWAYS_INLINE void load_half_part(enum elem type, struct unpacking *u, size_t chunk, size_t half,
                                  int i, struct unpack_step *s) {
    const char *const *rows = u->from.rows;
    const size_t bytes = type == ELEM_Q6_K ? 64 : 32, at = u->from.at;
    const size_t q = at + field_q(type) + bytes * chunk + 16 * half;
    const int part = i % LOAD_PARTS;
    if (i == 0 && type != ELEM_Q6_K) load_high(type, rows, at, chunk, half, u->high);
    switch (i / LOAD_PARTS) {
    case 0: load_part(rows, q, part, s, s->half.low); break;
    case 1: load_part(rows, q + 32, part, s, s->half.low + 4); break;
    default:
        load_part(rows, at + offsetof(struct block_q6_k, high) + 32 * chunk + 16 * half, part, s,
                  s->half.high);
    }
}

/* Group k of a half. */
ALWAYS_INLINE void unpack_group_part(enum elem type, const struct unpacking *u, int chunk, int half,
                                     int k, const struct unpack_step *s) {
    const int nibble = type == ELEM_IQ4_XS, g = chunk * chunk_groups(type) + (nibble ? half : k);
    unpack_half(type, &s->half, type == ELEM_Q6_K ? s->half.high : u->high, k, g,
                u->panel->q[g] + 4 * (nibble ? k : half));
}

/* Loading comes first, then a group in every second part. */
ALWAYS_INLINE void unpack_part(enum elem type, struct unpacking *u, int step, int part,
                               struct unpack_step *s) {
    const int groups = chunk_groups(type), chunks = 8 / groups;
    const int halves = groups == 2 ? 2 : 1, i = part % (UNPACK_PARTS / halves);
    const int index = step * halves + part / (UNPACK_PARTS / halves);
    const int chunk = index % chunks, half = index / chunks;
    const int loads = type == ELEM_Q6_K ? 3 * LOAD_PARTS : LOAD_PARTS;
    if (i < loads)
        load_half_part(type, u, (size_t)chunk, (size_t)half, i, s);
    else if ((i - loads) % 2 == 0 && (i - loads) / 2 < groups)
        unpack_group_part(type, u, chunk, half, (i - loads) / 2, s);
}

/* The whole block at once. */
ALWAYS_INLINE void unpack_block(enum elem type, struct unpacking *u) {
    unpack_scales(type, u->from.rows, u->from.at, &u->panel->scales);
    for (int step = 0; step < UNPACK_STEPS; step++) {
        struct unpack_step s;
        UNROLL for (int part = 0; part < UNPACK_PARTS; part++) unpack_part(type, u, step, part, &s);
    }
}

#endif
