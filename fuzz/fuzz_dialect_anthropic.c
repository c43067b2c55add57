/* Bodies of Anthropic's messages. */
#include "dialect_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    use_body(data, size, ENDPOINT_ANTHROPIC_MESSAGES);
    use_body(data, size, ENDPOINT_ANTHROPIC_COUNT);
    return 0;
}
