/* SMMLA, the multiplication of two by eight bytes with eight by two. */
#include "kernels/peak.h"

#define MULTIPLY_BYTES vmmlaq_s32
#include "kernels/peak_bytes.h"

void peak_fill_i8mm(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_INT8] = (struct peak_loop){PEAK_BYTES_SUMS * 32, run_int8};
}
