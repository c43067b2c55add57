/* Mistral 3 and Ministral 3: Llama with YaRN and an attention temperature that grows with
 * position. */
#include "model/family.h"

FAMILY_CONFIGURE(mistral3) {
    (void)err;
    config->temperature_period = config->rope.original_context;
    config_f32(source, "attention.temperature_scale", &config->temperature_scale);
    return HEARTH_OK;
}
