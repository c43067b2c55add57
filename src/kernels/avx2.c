#include "kernels/vec_avx2.h"

#include "kernels/float_kernels.h"

void kernels_fill_avx2(struct kernels *k) {
    fill_float(k);
}
