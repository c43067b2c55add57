#include "kernels/vec_neon.h"

#include "kernels/float_kernels.h"
#include "kernels/levels.h"
#include "kernels/scan_kernels.h"

void kernels_fill_neon(struct kernels *k) {
    fill_float(k);
    fill_scan(k);
    neon_fill_act(k);
}
