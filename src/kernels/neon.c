#include "kernels/kernels.h"

void kernels_fill_neon(struct kernels *k) {
    (void)k;
}
