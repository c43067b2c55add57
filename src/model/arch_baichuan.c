/* Baichuan 1 and 2 7B (arXiv 2309.10305): Llama's graph. The 13B has biases that grow with
 * distance (ALiBi) instead of rotation. */
#include "model/family.h"

FAMILY_CONFIGURE(baichuan) {
    (void)source;
    enum { LAYERS_OF_13B = 40 };
    if (config->n_layer == LAYERS_OF_13B)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "Baichuan 13B attends by distance (ALiBi), which is not supported; the "
                         "7B models work");
    return HEARTH_OK;
}
