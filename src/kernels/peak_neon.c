/* The widest multiplications of NEON. */
#include <arm_neon.h>

#include "kernels/peak.h"

/* More than latency times units; a compiler unrolls no longer loops by itself. */
enum { SUMS = 16 };

static double run_f32(uint64_t rounds) {
    float32x4_t sums[SUMS], one = vdupq_n_f32(1);
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = vdupq_n_f32(0);
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++)
            sums[i] = vfmaq_f32(sums[i], one, one);
    for (int i = 0; i < SUMS; i++)
        total += (double)vaddvq_f32(sums[i]);
    return total;
}

/* Bytes into 16 bits, neighbours of these into 32 bits. */
static double run_int8(uint64_t rounds) {
    int32x4_t sums[SUMS];
    int8x8_t one = vdup_n_s8(1);
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = vdupq_n_s32(0);
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++) {
            __asm__ volatile("" : "+w"(one)); /* else the product is taken out of the loop */
            sums[i] = vpadalq_s16(sums[i], vmull_s8(one, one));
        }
    for (int i = 0; i < SUMS; i++)
        total += vaddvq_s32(sums[i]);
    return total;
}

void peak_fill_neon(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_F32] = (struct peak_loop){SUMS * 4, run_f32};
    loops[PEAK_INT8] = (struct peak_loop){SUMS * 8, run_int8};
}
