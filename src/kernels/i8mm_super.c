/* Linear layers of 256-value blocks with SMMLA; one token with SDOT. */
#include "kernels/i8mm_tile.h"

#include "kernels/levels.h"
#include "kernels/neon_super.h"

void kernels_fill_i8mm(struct kernels *k) {
    i8mm_fill_q8(k);
    fill_super(k);
}
