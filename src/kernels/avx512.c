#include "kernels/vec_avx512.h"

#include "kernels/float_kernels.h"

void kernels_fill_avx512(struct kernels *k) {
    fill_float(k);
}
