#include "kernels/kernels.h"

void kernels_fill_dotprod(struct kernels *k) {
    (void)k;
}
