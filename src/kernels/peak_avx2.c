/* The widest multiplications of AVX2 and FMA. */
#include <immintrin.h>

#include "kernels/peak.h"

/* Of the 16 registers, two or three hold operands. */
enum { SUMS = 12 };

static double run_f32(uint64_t rounds) {
    __m256 sums[SUMS], one = _mm256_set1_ps(1);
    float lanes[8];
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = _mm256_setzero_ps();
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++)
            sums[i] = _mm256_fmadd_ps(one, one, sums[i]);
    for (int i = 0; i < SUMS; i++) {
        _mm256_storeu_ps(lanes, sums[i]);
        for (int j = 0; j < 8; j++)
            total += (double)lanes[j];
    }
    return total;
}

/* Unsigned by signed bytes into pairs of 16 bits, these into 32 bits. */
static double run_int8(uint64_t rounds) {
    __m256i sums[SUMS], one = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
    int32_t lanes[8];
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = _mm256_setzero_si256();
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++) {
            __asm__ volatile("" : "+x"(one)); /* else the product is taken out of the loop */
            __m256i pairs = _mm256_maddubs_epi16(one, one);
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, ones));
        }
    for (int i = 0; i < SUMS; i++) {
        _mm256_storeu_si256((__m256i *)(void *)lanes, sums[i]);
        for (int j = 0; j < 8; j++)
            total += lanes[j];
    }
    return total;
}

void peak_fill_avx2(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_F32] = (struct peak_loop){SUMS * 8, run_f32};
    loops[PEAK_INT8] = (struct peak_loop){SUMS * 32, run_int8};
}
