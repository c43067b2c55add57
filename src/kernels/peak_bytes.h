/* peak_bytes.h - the loop over ARM's multiplications of 16 by 16 bytes into four sums, written
 * once: whoever includes it defines MULTIPLY_BYTES(sums, a, b). */
#ifndef HEARTH_KERNELS_PEAK_BYTES_H
#define HEARTH_KERNELS_PEAK_BYTES_H

#include <arm_neon.h>
#include <stdint.h>

/* More than latency times units; a compiler unrolls no longer loops by itself. */
enum { PEAK_BYTES_SUMS = 16 };

static double run_int8(uint64_t rounds) {
    int32x4_t sums[PEAK_BYTES_SUMS];
    int8x16_t one = vdupq_n_s8(1);
    double total = 0;
    for (int i = 0; i < PEAK_BYTES_SUMS; i++)
        sums[i] = vdupq_n_s32(0);
    for (; rounds > 0; rounds--)
        for (int i = 0; i < PEAK_BYTES_SUMS; i++)
            sums[i] = MULTIPLY_BYTES(sums[i], one, one);
    for (int i = 0; i < PEAK_BYTES_SUMS; i++)
        total += vaddvq_s32(sums[i]);
    return total;
}

#endif
