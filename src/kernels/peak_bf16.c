/* VDPBF16PS, the widest multiplication of bfloat16 before AMX. */
#include <immintrin.h>

#include "kernels/peak.h"

/* More than latency times units; a compiler unrolls no longer loops by itself. */
enum { SUMS = 16 };

static double run_bf16(uint64_t rounds) {
    __m512 sums[SUMS];
    __m512bh one = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = _mm512_setzero_ps();
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++)
            sums[i] = _mm512_dpbf16_ps(sums[i], one, one);
    for (int i = 0; i < SUMS; i++)
        total += (double)_mm512_reduce_add_ps(sums[i]);
    return total;
}

void peak_fill_bf16(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_BF16] = (struct peak_loop){SUMS * 32, run_bf16};
}
