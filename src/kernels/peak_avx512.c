/* The widest multiplications of AVX-512 with VNNI. */
#include <immintrin.h>

#include "kernels/peak.h"

/* More than latency times units; a compiler unrolls no longer loops by itself. */
enum { SUMS = 16 };

static double run_f32(uint64_t rounds) {
    __m512 sums[SUMS], one = _mm512_set1_ps(1);
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = _mm512_setzero_ps();
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++)
            sums[i] = _mm512_fmadd_ps(one, one, sums[i]);
    for (int i = 0; i < SUMS; i++)
        total += (double)_mm512_reduce_add_ps(sums[i]);
    return total;
}

static double run_int8(uint64_t rounds) {
    __m512i sums[SUMS], one = _mm512_set1_epi8(1);
    int32_t lanes[16];
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = _mm512_setzero_si512();
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++)
            sums[i] = _mm512_dpbusd_epi32(sums[i], one, one);
    for (int i = 0; i < SUMS; i++) {
        _mm512_storeu_si512(lanes, sums[i]);
        for (int j = 0; j < 16; j++)
            total += lanes[j];
    }
    return total;
}

void peak_fill_avx512(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_F32] = (struct peak_loop){SUMS * 16, run_f32};
    loops[PEAK_INT8] = (struct peak_loop){SUMS * 64, run_int8};
}
