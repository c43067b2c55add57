/* Opens arbitrary bytes as tokenizer.json; what opens must encode and decode, and
 * survive the way through GGUF keys. */
#include <stdint.h>
#include <string.h>

#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "Hello, W\u00f6rld's 12345 \u4e2d\u6587 <s>a  b</s>\n\t ab \U0001F600\xFF\xC3";

static void use(const struct tokenizer *t) {
    struct token_list ids = {0};
    struct buf out;
    struct token_stream stream;
    buf_init(&out, 1 << 20);
    token_stream_init(&stream, t, true);
    if (tokenizer_encode(t, text, sizeof text - 1, true, true, &ids, NULL) == HEARTH_OK) {
        if (tokenizer_decode(t, ids.ids, ids.count, true, &out, NULL) == HEARTH_ERROR_ARGUMENT)
            __builtin_trap(); /* encoding gave an id outside the vocabulary */
        for (size_t i = 0; i < ids.count; i++)
            token_stream_push(&stream, ids.ids[i], &out, NULL);
        token_stream_finish(&stream, &out, NULL);
    }
    token_list_release(&ids);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char config[] = "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_bos_token\":"
                                 "true,\"tokenizer_class\":\"LlamaTokenizer\"}";
    struct tokenizer *t = NULL, *again = NULL;
    if (tokenizer_open_json(&t, (const char *)data, size, config, sizeof config - 1, NULL) !=
        HEARTH_OK)
        return 0;
    use(t);
    struct metadata m;
    metadata_init(&m, 1 << 26);
    if (tokenizer_to_metadata(t, &m, NULL) == HEARTH_OK &&
        tokenizer_open(&again, &m, NULL) == HEARTH_OK)
        use(again);
    metadata_release(&m);
    tokenizer_close(again);
    tokenizer_close(t);
    return 0;
}
