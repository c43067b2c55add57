/* SMMLA, the multiplication of two by eight bytes with eight by two. */
#include <arm_neon.h>

#include "kernels/peak.h"

/* More than latency times units; a compiler unrolls no longer loops by itself. */
enum { SUMS = 16 };

static double run_int8(uint64_t rounds) {
    int32x4_t sums[SUMS];
    int8x16_t one = vdupq_n_s8(1);
    double total = 0;
    for (int i = 0; i < SUMS; i++)
        sums[i] = vdupq_n_s32(0);
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++)
            sums[i] = vmmlaq_s32(sums[i], one, one);
    for (int i = 0; i < SUMS; i++)
        total += vaddvq_s32(sums[i]);
    return total;
}

void peak_fill_i8mm(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_INT8] = (struct peak_loop){SUMS * 32, run_int8};
}
