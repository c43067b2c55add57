#include "kernels/kernels.h"

void kernels_fill_avx2(struct kernels *k) {
    (void)k;
}
