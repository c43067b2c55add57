/* EmbeddingGemma (arXiv 2509.20354): Gemma 3 that sees both ways, mean pooling, then two
 * linear layers (found by name). */
#include "model/family.h"

FAMILY_CONFIGURE(gemma_embedding) {
    enum { PERIOD = 6 };
    RETURN_IF_ERROR(gemma3_configure(config, source, err));
    config->attention_scale = 0; /* 1 / sqrt(d_k), whatever the number of layers */
    config_set_windows(config, source, PERIOD);
    config_set_bidirectional(config);
    return HEARTH_OK;
}
