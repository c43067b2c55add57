#include "kernels/vec_neon.h"

#include "kernels/attention_kernels.h"
#include "kernels/float_kernels.h"
#include "kernels/levels.h"

void kernels_fill_neon(struct kernels *k) {
    fill_float(k);
    fill_attention(k);
    neon_fill_act(k);
}
