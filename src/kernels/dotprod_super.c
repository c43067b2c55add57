/* Linear layers of 256-value blocks with SDOT. */
#include "kernels/dotprod_tile.h"

#include "kernels/levels.h"
#include "kernels/neon_super.h"

void kernels_fill_dotprod(struct kernels *k) {
    dotprod_fill_q8(k);
    fill_super(k);
}
