/* Bodies of OpenAI's responses. */
#include "dialect_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    use_body(data, size, ENDPOINT_OPENAI_RESPONSES);
    return 0;
}
