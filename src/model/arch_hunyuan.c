/* Hunyuan dense (Tencent, 0.5B to 7B): Llama's graph with norms on the heads of Q and K
 * after the rotation. */
#include "model/family.h"

FAMILY_CONFIGURE(hunyuan_dense) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->qk_norm = true;
    config->qk_norm_last = true;
    return HEARTH_OK;
}
