/* peak.h - the most multiplications a CPU level can do: loops of its widest
 * multiply-and-add instructions over registers alone.
 *
 * They are the limit that arithmetic is judged against, whatever kernels make of it. A
 * level without a loop of its own for a kind of number has that of the level below it. */
#ifndef HEARTH_KERNELS_PEAK_H
#define HEARTH_KERNELS_PEAK_H

#include <stdint.h>

#include "base/cpu.h"

enum peak_kind {
    PEAK_F32,
    PEAK_INT8, /* into 32-bit sums */
    PEAK_BF16, /* into 32-bit floats */
    PEAK_KINDS
};

struct peak_loop {
    uint64_t products; /* of one round; a product added to a sum is two operations */
    /* Multiplies ones; returns the sum of all products: rounds x products, exact for
     * fewer than PEAK_MAX_ROUNDS rounds. */
    double (*run)(uint64_t rounds);
};
#define PEAK_MAX_ROUNDS (UINT64_C(1) << 24)

/* run is NULL when no level up to this one multiplies such numbers. */
struct peak_loop peak_loop(enum cpu_level level, enum peak_kind kind);
const char *peak_name(enum peak_kind kind); /* "f32" */

/* What the levels have, each in a file compiled with its own flags. They override
 * entries of a table that already holds the level below. */
void peak_fill_avx2(struct peak_loop loops[PEAK_KINDS]);
void peak_fill_avx512(struct peak_loop loops[PEAK_KINDS]);
void peak_fill_bf16(struct peak_loop loops[PEAK_KINDS]); /* AVX512_BF16 */
void peak_fill_amx(struct peak_loop loops[PEAK_KINDS]);
void peak_fill_neon(struct peak_loop loops[PEAK_KINDS]);
void peak_fill_dotprod(struct peak_loop loops[PEAK_KINDS]);
void peak_fill_i8mm(struct peak_loop loops[PEAK_KINDS]);

#endif
