/* SDOT, the widest multiplication of bytes before ARM's matrix instructions. */
#include "kernels/peak.h"

#define MULTIPLY_BYTES vdotq_s32
#include "kernels/peak_bytes.h"

void peak_fill_dotprod(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_INT8] = (struct peak_loop){PEAK_BYTES_SUMS * 16, run_int8};
}
