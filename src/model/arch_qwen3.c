/* Qwen 3, dense and expert: norms on every head of Q and K. */
#include "model/family.h"

FAMILY_CONFIGURE(qwen3) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->qk_norm = true;
    return HEARTH_OK;
}
