/* Bodies of OpenAI's chats, completions and embeddings, of infill and of reranking. */
#include "dialect_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    use_body(data, size, ENDPOINT_OPENAI_CHAT);
    use_body(data, size, ENDPOINT_OPENAI_COMPLETIONS);
    use_body(data, size, ENDPOINT_OPENAI_EMBEDDINGS);
    use_body(data, size, ENDPOINT_INFILL);
    use_body(data, size, ENDPOINT_RERANK);
    return 0;
}
