/* The codebook formats as bfloat16: points of a codebook are unpacked to bytes, eight
 * values a lane (VPMULTISHIFTQB), and get their signs by mask; indices are followed one
 * by one. Layouts: blocks.h; codebooks: iq_tables.h. */
#include <immintrin.h>
#include <string.h>

#include "kernels/amx_bytes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

enum { GROUPS = WIDEN_VALUES / 8 };

/* Fields of 2 or 3 bits of each 64-bit lane, one a byte. */
ALWAYS_INLINE __m512i fields(__m512i lanes, int bits) {
    const int64_t at = bits == 2 ? 0x0e0c0a0806040200 : 0x15120f0c09060300;
    __m512i bytes = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(at), lanes);
    return _mm512_and_si512(bytes, _mm512_set1_epi8((char)((1 << bits) - 1)));
}

/* q[8 g + i] = levels[field i of codes[g]], negative where bit i of signs[g] is set. */
ALWAYS_INLINE void write_points(const uint32_t codes[GROUPS], int bits, __m128i levels,
                                const uint8_t signs[GROUPS], int8_t q[WIDEN_VALUES]) {
    const __m512i table = _mm512_broadcast_i32x4(levels);
    UNROLL for (int j = 0; j < GROUPS / 8; j++) {
        uint64_t negative;
        memcpy(&negative, signs + 8 * j, sizeof negative);
        __m512i lanes = _mm512_cvtepu32_epi64(load256(codes + 8 * j));
        __m512i v = _mm512_shuffle_epi8(table, fields(lanes, bits));
        v = _mm512_mask_sub_epi8(v, negative, _mm512_setzero_si512(), v);
        _mm512_store_si512(q + 64 * j, v);
    }
}

/* Bytes of seven sign bits with the eighth that makes their number even. */
ALWAYS_INLINE void write_even_signs(__m256i seven, uint8_t signs[GROUPS]) {
    __m256i odd = _mm256_xor_si256(seven, _mm256_srli_epi16(seven, 4));
    odd = _mm256_xor_si256(odd, _mm256_srli_epi16(odd, 2));
    odd = _mm256_xor_si256(odd, _mm256_srli_epi16(odd, 1));
    odd = _mm256_slli_epi16(_mm256_and_si256(odd, _mm256_set1_epi8(1)), 7);
    _mm256_storeu_si256((__m256i *)(void *)signs, _mm256_or_si256(seven, odd));
}

/* Four fields of seven bits of each number, one a byte. */
ALWAYS_INLINE __m256i seven_bits(const uint32_t numbers[8]) {
    __m256i v = load256(numbers), mask = _mm256_set1_epi32(127);
    __m256i bytes = _mm256_and_si256(v, mask);
    for (int i = 1; i < 4; i++) {
        v = _mm256_slli_epi32(v, 1);
        mask = _mm256_slli_epi32(mask, 8);
        bytes = _mm256_or_si256(bytes, _mm256_and_si256(v, mask));
    }
    return bytes;
}

ALWAYS_INLINE void scale_32(struct scaled_bytes *b, int s, float scale) {
    b->scale[2 * s] = b->scale[2 * s + 1] = scale;
}

ALWAYS_INLINE __m128i iq2_level_bytes(void) {
    int four;
    memcpy(&four, iq2_levels, sizeof four);
    return _mm_set1_epi32(four);
}

ALWAYS_INLINE __m128i iq3_level_bytes(const int8_t levels[8]) {
    return _mm_loadl_epi64((const __m128i *)(const void *)levels);
}

void amx_widen_iq2_xxs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq2_xxs *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS], bits[8];
    uint8_t signs[GROUPS];
    float d = _cvtsh_ss(block->d);
    (void)n;
    for (int s = 0; s < 8; s++) {
        bits[s] = block->sub[s].signs_scale;
        scale_32(&b, s, d * (0.5f + (float)(bits[s] >> 28)) * 0.25f);
        for (int g = 0; g < 4; g++)
            codes[4 * s + g] = iq2_xxs_codes[block->sub[s].index[g]];
    }
    write_even_signs(seven_bits(bits), signs);
    write_points(codes, 2, iq2_level_bytes(), signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

/* Scales of four bits for each 16 values. */
ALWAYS_INLINE void iq2_scales(struct scaled_bytes *b, const uint8_t nibbles[8], float d) {
    for (int s = 0; s < 16; s++)
        b->scale[s] = d * (0.5f + (float)(nibbles[s / 2] >> s % 2 * 4 & 15)) * 0.25f;
}

void amx_widen_iq2_xs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq2_xs *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS];
    uint8_t signs[GROUPS];
    (void)n;
    for (int g = 0; g < GROUPS; g++)
        codes[g] = iq2_xs_codes[block->q[g] & 511];
    __m512i q = _mm512_loadu_si512(block->q);
    write_even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(q, 9)), signs);
    iq2_scales(&b, block->scales, _cvtsh_ss(block->d));
    write_points(codes, 2, iq2_level_bytes(), signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

void amx_widen_iq2_s(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq2_s *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS];
    (void)n;
    for (int g = 0; g < GROUPS; g++)
        codes[g] = iq2_s_codes[block->low[g] | (block->high[g / 4] >> g % 4 * 2 & 3) << 8];
    iq2_scales(&b, block->scales, _cvtsh_ss(block->d));
    write_points(codes, 2, iq2_level_bytes(), block->signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

void amx_widen_iq3_xxs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq3_xxs *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS], bits[8];
    uint8_t signs[GROUPS];
    float d = _cvtsh_ss(block->d);
    (void)n;
    memcpy(bits, block->signs_scale, sizeof bits);
    for (int s = 0; s < 8; s++)
        scale_32(&b, s, d * (0.5f + (float)(bits[s] >> 28)) * 0.5f);
    for (int g = 0; g < GROUPS; g++)
        codes[g] = iq3_xxs_codes[block->index[2 * g]] |
                   (uint32_t)iq3_xxs_codes[block->index[2 * g + 1]] << 12;
    write_even_signs(seven_bits(bits), signs);
    write_points(codes, 3, iq3_level_bytes(iq3_xxs_levels), signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

void amx_widen_iq3_s(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq3_s *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS];
    float d = _cvtsh_ss(block->d);
    (void)n;
    for (int s = 0; s < 8; s++)
        scale_32(&b, s, d * (float)(1 + 2 * (block->scales[s / 2] >> s % 2 * 4 & 15)));
    for (int g = 0; g < GROUPS; g++) {
        int high = block->high[g / 4] >> g % 4 * 2;
        codes[g] = iq3_s_codes[block->low[2 * g] | (high & 1) << 8] |
                   (uint32_t)iq3_s_codes[block->low[2 * g + 1] | (high & 2) << 7] << 12;
    }
    write_points(codes, 3, iq3_level_bytes(iq3_s_levels), block->signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

/* Values are code - 1 and a shift of 1/8, downwards where minus[g] is 255: eight times
 * that in bytes, and an eighth of the scales, which loses nothing. */
ALWAYS_INLINE void write_shifted(const uint32_t codes[GROUPS], const uint8_t minus[GROUPS],
                                 struct scaled_bytes *b, uint16_t *out) {
    const __m512i table = _mm512_set1_epi32(0x000901f9); /* -7, 1, 9 */
    UNROLL for (int j = 0; j < GROUPS / 8; j++) {
        uint64_t down;
        memcpy(&down, minus + 8 * j, sizeof down);
        __m512i lanes = _mm512_cvtepu32_epi64(load256(codes + 8 * j));
        __m512i v = _mm512_shuffle_epi8(table, fields(lanes, 2));
        v = _mm512_mask_sub_epi8(v, down, v, _mm512_set1_epi8(2));
        _mm512_store_si512(b->q + 64 * j, v);
    }
    write_scaled_bytes(b, 0, out);
}

void amx_widen_iq1_s(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq1_s *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS];
    uint8_t minus[GROUPS];
    float d = _cvtsh_ss(block->d);
    (void)n;
    for (int s = 0; s < 8; s++)
        scale_32(&b, s, d * (float)(2 * (block->high[s] >> 12 & 7) + 1) * 0.125f);
    for (int g = 0; g < GROUPS; g++) {
        int high = block->high[g / 4];
        codes[g] = iq1_codes[block->low[g] | (high >> g % 4 * 3 & 7) << 8];
        minus[g] = high & 0x8000 ? 255 : 0;
    }
    write_shifted(codes, minus, &b, out);
}

void amx_widen_iq1_m(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq1_m *block = blocks;
    struct scaled_bytes b;
    uint32_t codes[GROUPS];
    uint8_t minus[GROUPS];
    float d = _cvtsh_ss(iq1_m_half(block));
    (void)n;
    for (int s = 0; s < 16; s++)
        b.scale[s] = d * (float)(2 * (block->scales[s / 4] >> s % 4 * 3 & 7) + 1) * 0.125f;
    for (int g = 0; g < GROUPS; g++) {
        int high = block->high[g / 2] >> g % 2 * 4 & 15;
        codes[g] = iq1_codes[block->low[g] | (high & 7) << 8];
        minus[g] = high & 8 ? 255 : 0;
    }
    write_shifted(codes, minus, &b, out);
}
