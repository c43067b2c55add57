/* Qwen 1.5, 2 and 2.5: biases on Q, K and V (found by name), half-split rotary pairs. */
#include "model/family.h"

FAMILY_CONFIGURE(qwen2) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    return HEARTH_OK;
}
