/* Bodies of Ollama's chats, texts and embeddings. */
#include "dialect_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    use_body(data, size, ENDPOINT_OLLAMA_CHAT);
    use_body(data, size, ENDPOINT_OLLAMA_GENERATE);
    use_body(data, size, ENDPOINT_OLLAMA_EMBED);
    return 0;
}
