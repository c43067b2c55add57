#include "kernels/vec_neon.h"

#include "kernels/activation_kernels.h"
#include "kernels/attention_kernels.h"
#include "kernels/float_kernels.h"
#include "kernels/levels.h"
#include "kernels/scan_kernels.h"

void kernels_fill_neon(struct kernels *k) {
    fill_float(k);
    fill_activation(k);
    fill_scan(k);
    fill_attention(k);
    neon_fill_act(k);
}
