/* NVFP4 linear layers in AVX2: 32 values, two scales of 16 values each, at a time. */
#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* Half a block: its 32 values with their signs. */
ALWAYS_INLINE __m256i load_values(const struct block_nvfp4 *b, size_t part) {
    const __m256i twice = _mm256_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3);
    const __m256i shifts = _mm256_setr_epi64x(0, 4, 0, 4);
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(FP4_LEVELS));
    __m256i bytes = _mm256_castsi128_si256(load128(b->q + 16 * part));
    __m256i codes = _mm256_srlv_epi64(_mm256_permutevar8x32_epi32(bytes, twice), shifts);
    return _mm256_shuffle_epi8(table, _mm256_and_si256(codes, _mm256_set1_epi8(15)));
}

/* A UE4M3 code at the top of a float's fraction and exponent is 2^-119 of half its
 * value (127 - 7 - 1), subnormals included; code 0x7f counts as zero. */
ALWAYS_INLINE __m256 load_scales(const struct block_nvfp4 *b, size_t part) {
    uint16_t codes;
    memcpy(&codes, b->d + 2 * part, sizeof codes);
    __m256i low = _mm256_set1_epi32(codes & 255), high = _mm256_set1_epi32(codes >> 8);
    __m256i e = _mm256_blend_epi32(low, high, 0xf0);
    __m256i none = _mm256_cmpeq_epi32(e, _mm256_set1_epi32(0x7f));
    e = _mm256_andnot_si256(none, _mm256_and_si256(e, _mm256_set1_epi32(0x7f)));
    return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(e, 20)), _mm256_set1_ps(0x1.0p119f));
}

enum { MOST_ROWS = 2, MOST_TOKENS = 4 };

ALWAYS_INLINE void nvfp4_tile(enum elem type, int rows, int tokens, struct tile a) {
    __m256 sums[MOST_ROWS][MOST_TOKENS];
    (void)type;
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < a.n / 32; i++) {
        UNROLL for (int r = 0; r < rows; r++) {
            const char *row = a.w + (size_t)r * a.w_stride;
            const struct block_nvfp4 *b = (const struct block_nvfp4 *)(const void *)row + i / 2;
            __m256i values = load_values(b, i % 2), q = _mm256_abs_epi8(values);
            __m256 d = load_scales(b, i % 2);
            UNROLL for (int t = 0; t < tokens; t++) {
                const char *act = a.x + (size_t)t * a.x_stride;
                const struct act_q8 *x = (const struct act_q8 *)(const void *)act + i;
                __m256i pairs = _mm256_maddubs_epi16(q, _mm256_sign_epi8(load256(x->q), values));
                __m256i dot = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
                __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(x->scale));
                sums[r][t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sums[r][t]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            horizontal_sum(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_nvfp4, nvfp4_tile, ELEM_NVFP4, 2, 4, 1)

void avx2_fill_nvfp4(struct kernels *k) {
    k->linear[ELEM_NVFP4] = linear_nvfp4;
}
