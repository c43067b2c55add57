/* Linear layers of blocks with one scale with SMMLA; one token with SDOT. */
#include "kernels/i8mm_tile.h"

#include "kernels/levels.h"
#include "kernels/neon_q8.h"

void i8mm_fill_q8(struct kernels *k) {
    fill_q8(k);
}
