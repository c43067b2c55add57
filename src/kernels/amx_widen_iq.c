/* The codebook formats as bfloat16: indices, points and scales are unpacked in vectors
 * (fields of a 64-bit lane by VPMULTISHIFTQB), signs are applied by mask; only the
 * codebook is read one index at a time. Layouts: blocks.h; codebooks: iq_tables.h. */
#include <immintrin.h>
#include <string.h>

#include "kernels/amx_bytes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

enum { GROUPS = WIDEN_VALUES / 8 };

/* The points of 8 groups of 8 values, one a 64-bit lane: 8 fields of two bits, or twice 4
 * of three bits in the halves of 32 bits. */
ALWAYS_INLINE __m512i fields(__m512i lanes, int bits) {
    const int64_t at = bits == 2 ? 0x0e0c0a0806040200 : 0x1916131009060300;
    __m512i bytes = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(at), lanes);
    return _mm512_and_si512(bytes, _mm512_set1_epi8((char)((1 << bits) - 1)));
}

/* Fields of four words of each 64-bit lane, `at` being the shift of each byte. */
ALWAYS_INLINE __m512i word_fields(__m512i lanes, int64_t at, short mask) {
    __m512i words = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(at), lanes);
    return _mm512_and_si512(words, _mm512_set1_epi16(mask));
}

/* Nibbles of 16 bytes, low ones first, one a byte. */
ALWAYS_INLINE __m256i nibbles(__m128i bytes) {
    __m256i words = _mm256_cvtepu8_epi16(bytes);
    words = _mm256_or_si256(words, _mm256_slli_epi16(words, 4));
    return _mm256_and_si256(words, _mm256_set1_epi16(0x0f0f));
}

/* Eight points of the codebook, read into a register one by one: in memory, the vector
 * load after eight short stores would have to wait for them. */
ALWAYS_INLINE __m128i eight_points(const uint16_t *codebook, const uint16_t indices[8]) {
    __m128i v = _mm_cvtsi32_si128(codebook[indices[0]]);
    v = _mm_insert_epi16(v, codebook[indices[1]], 1);
    v = _mm_insert_epi16(v, codebook[indices[2]], 2);
    v = _mm_insert_epi16(v, codebook[indices[3]], 3);
    v = _mm_insert_epi16(v, codebook[indices[4]], 4);
    v = _mm_insert_epi16(v, codebook[indices[5]], 5);
    v = _mm_insert_epi16(v, codebook[indices[6]], 6);
    return _mm_insert_epi16(v, codebook[indices[7]], 7);
}

/* Points of 8 values each. */
ALWAYS_INLINE __m512i eight_lanes(const uint16_t *codebook, const uint16_t indices[8]) {
    return _mm512_cvtepu16_epi64(eight_points(codebook, indices));
}

/* Points of 4 values each. */
ALWAYS_INLINE __m512i eight_lanes_of_two(const uint16_t *codebook, const uint16_t indices[16]) {
    __m256i v = _mm256_castsi128_si256(eight_points(codebook, indices));
    v = _mm256_inserti128_si256(v, eight_points(codebook, indices + 8), 1);
    return _mm512_cvtepu32_epi64(v);
}

/* q[8 g + i] = the level of value i of point g (IQ3: of points 2 g and 2 g + 1), negative
 * where bit i of signs[g] is set. */
ALWAYS_INLINE void write_points(const uint16_t *codebook, const uint16_t *indices, int bits,
                                __m128i levels, const uint8_t signs[GROUPS],
                                int8_t q[WIDEN_VALUES]) {
    const __m512i table = _mm512_broadcast_i32x4(levels);
    UNROLL for (int j = 0; j < GROUPS / 8; j++) {
        uint64_t negative;
        memcpy(&negative, signs + 8 * j, sizeof negative);
        __m512i lanes = bits == 2 ? eight_lanes(codebook, indices + 8 * j)
                                  : eight_lanes_of_two(codebook, indices + 16 * j);
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
ALWAYS_INLINE __m256i seven_bits(__m256i v) {
    __m256i mask = _mm256_set1_epi32(127), bytes = _mm256_and_si256(v, mask);
    UNROLL for (int i = 1; i < 4; i++) {
        v = _mm256_slli_epi32(v, 1);
        mask = _mm256_slli_epi32(mask, 8);
        bytes = _mm256_or_si256(bytes, _mm256_and_si256(v, mask));
    }
    return bytes;
}

/* d (first + step number) factor, for 16 numbers or for 8 that serve twice as many values. */
ALWAYS_INLINE void write_scales(struct scaled_bytes *b, __m512i numbers, uint16_t d, float first,
                                float step, float factor) {
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(numbers), _mm512_set1_ps(step));
    v = _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(d)), _mm512_add_ps(v, _mm512_set1_ps(first)));
    _mm512_store_ps(b->scale, _mm512_mul_ps(v, _mm512_set1_ps(factor)));
}

ALWAYS_INLINE __m512i each_twice(__m256i numbers) {
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_epi32(twice, _mm512_castsi256_si512(numbers));
}

ALWAYS_INLINE __m512i byte_words(const uint8_t bytes[32]) {
    return _mm512_cvtepu8_epi16(load256(bytes));
}

ALWAYS_INLINE __m128i load64(const void *p) {
    return _mm_loadl_epi64((const __m128i *)p);
}

/* low | fields << 8 */
ALWAYS_INLINE __m512i with_high(__m512i low, __m512i fields) {
    return _mm512_or_si512(low, _mm512_slli_epi16(fields, 8));
}

ALWAYS_INLINE __m128i iq2_level_bytes(void) {
    int four;
    memcpy(&four, iq2_levels, sizeof four);
    return _mm_set1_epi32(four);
}

void amx_widen_iq2_xxs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq2_xxs *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[GROUPS];
    uint8_t signs[GROUPS];
    __m512i sub = _mm512_loadu_si512(block->sub);
    __m256i low = _mm512_cvtepi64_epi32(sub);
    __m256i high = _mm512_cvtepi64_epi32(_mm512_srli_epi64(sub, 32));
    (void)n;
    _mm512_storeu_si512(indices, _mm512_cvtepu8_epi16(low));
    write_scales(&b, each_twice(_mm256_srli_epi32(high, 28)), block->d, 0.5f, 1, 0.25f);
    write_even_signs(seven_bits(high), signs);
    write_points(iq2_xxs_codes, indices, 2, iq2_level_bytes(), signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

/* Scales of four bits for each 16 values. */
ALWAYS_INLINE __m512i sixteen_nibbles(const uint8_t packed[8]) {
    return _mm512_cvtepu8_epi32(_mm256_castsi256_si128(nibbles(load64(packed))));
}

void amx_widen_iq2_xs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq2_xs *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[GROUPS];
    uint8_t signs[GROUPS];
    __m512i q = _mm512_loadu_si512(block->q);
    (void)n;
    _mm512_storeu_si512(indices, _mm512_and_si512(q, _mm512_set1_epi16(511)));
    write_even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(q, 9)), signs);
    write_scales(&b, sixteen_nibbles(block->scales), block->d, 0.5f, 1, 0.25f);
    write_points(iq2_xs_codes, indices, 2, iq2_level_bytes(), signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

void amx_widen_iq2_s(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq2_s *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[GROUPS];
    __m512i high = word_fields(_mm512_cvtepu8_epi64(load64(block->high)), 0x2006200420022000, 3);
    (void)n;
    _mm512_storeu_si512(indices, with_high(byte_words(block->low), high));
    write_scales(&b, sixteen_nibbles(block->scales), block->d, 0.5f, 1, 0.25f);
    write_points(iq2_s_codes, indices, 2, iq2_level_bytes(), block->signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

void amx_widen_iq3_xxs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq3_xxs *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[2 * GROUPS];
    uint8_t signs[GROUPS];
    __m256i high = load256(block->signs_scale);
    (void)n;
    _mm512_storeu_si512(indices, byte_words(block->index));
    _mm512_storeu_si512(indices + GROUPS, byte_words(block->index + GROUPS));
    write_scales(&b, each_twice(_mm256_srli_epi32(high, 28)), block->d, 0.5f, 1, 0.5f);
    write_even_signs(seven_bits(high), signs);
    write_points(iq3_xxs_codes, indices, 3, load64(iq3_xxs_levels), signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

void amx_widen_iq3_s(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq3_s *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[2 * GROUPS];
    uint32_t high[2];
    int packed;
    (void)n;
    memcpy(high, block->high, sizeof high);
    memcpy(&packed, block->scales, sizeof packed);
    UNROLL for (int h = 0; h < 2; h++) {
        __m512i low = byte_words(block->low + 32 * h);
        low = _mm512_mask_add_epi16(low, high[h], low, _mm512_set1_epi16(256));
        _mm512_storeu_si512(indices + GROUPS * h, low);
    }
    __m256i numbers =
        _mm256_cvtepu8_epi32(_mm256_castsi256_si128(nibbles(_mm_cvtsi32_si128(packed))));
    write_scales(&b, each_twice(numbers), block->d, 1, 2, 1);
    write_points(iq3_s_codes, indices, 3, load64(iq3_s_levels), block->signs, b.q);
    write_scaled_bytes(&b, 0, out);
}

/* Values are code - 1 and a shift of 1/8, downwards where minus[g] is 255: eight times
 * that in bytes, and an eighth of the scales, which loses nothing. */
ALWAYS_INLINE void write_shifted(const uint16_t indices[GROUPS], const uint8_t minus[GROUPS],
                                 struct scaled_bytes *b, uint16_t *out) {
    const __m512i table = _mm512_set1_epi32(0x000901f9); /* -7, 1, 9 */
    UNROLL for (int j = 0; j < GROUPS / 8; j++) {
        uint64_t down;
        memcpy(&down, minus + 8 * j, sizeof down);
        __m512i lanes = eight_lanes(iq1_codes, indices + 8 * j);
        __m512i v = _mm512_shuffle_epi8(table, fields(lanes, 2));
        v = _mm512_mask_sub_epi8(v, down, v, _mm512_set1_epi8(2));
        _mm512_store_si512(b->q + 64 * j, v);
    }
    write_scaled_bytes(b, 0, out);
}

void amx_widen_iq1_s(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq1_s *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[GROUPS];
    uint8_t minus[GROUPS];
    __m128i high = load128(block->high);
    __m512i fields = word_fields(_mm512_cvtepu16_epi64(high), 0x2009200620032000, 7);
    (void)n;
    _mm512_storeu_si512(indices, with_high(byte_words(block->low), fields));
    _mm256_storeu_si256((__m256i *)(void *)minus, _mm256_movm_epi32(_mm_movepi16_mask(high)));
    __m128i numbers = _mm_and_si128(_mm_srli_epi16(high, 12), _mm_set1_epi16(7));
    write_scales(&b, each_twice(_mm256_cvtepu16_epi32(numbers)), block->d, 1, 2, 0.125f);
    write_shifted(indices, minus, &b, out);
}

void amx_widen_iq1_m(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq1_m *block = blocks;
    struct scaled_bytes b;
    uint16_t indices[GROUPS];
    uint8_t minus[GROUPS];
    __m256i high = nibbles(load128(block->high));
    __m512i fields = _mm512_and_si512(_mm512_cvtepu8_epi16(high), _mm512_set1_epi16(7));
    (void)n;
    _mm512_storeu_si512(indices, with_high(byte_words(block->low), fields));
    __mmask32 down = _mm256_test_epi8_mask(high, _mm256_set1_epi8(8));
    _mm256_storeu_si256((__m256i *)(void *)minus, _mm256_movm_epi8(down));
    __m512i lanes = _mm512_cvtepu16_epi64(load64(block->scales));
    __m256i numbers = _mm512_castsi512_si256(word_fields(lanes, 0x2009200620032000, 7));
    write_scales(&b, _mm512_cvtepu16_epi32(numbers), iq1_m_half(block), 1, 2, 0.125f);
    write_shifted(indices, minus, &b, out);
}
