/* Makes a vocabulary of arbitrary tokens, kinds, scores and merges, opens it as each
 * kind that GGUF knows (or the bytes as a SentencePiece model), and encodes the bytes
 * themselves. */
#include <stdint.h>
#include <string.h>

#include "base/cursor.h"
#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "tokenizer.ggml."
enum { MAX_TOKENS = 64 };

static void use(const struct tokenizer *t, const char *text, size_t n) {
    struct token_list ids = {0};
    struct buf out;
    struct token_stream stream;
    buf_init(&out, 1 << 22);
    token_stream_init(&stream, t, false);
    for (int flags = 0; flags < 4; flags++) {
        ids.count = 0;
        if (tokenizer_encode(t, text, n, flags & 1, flags & 2, &ids, NULL) != HEARTH_OK) continue;
        if (tokenizer_decode(t, ids.ids, ids.count, true, &out, NULL) == HEARTH_ERROR_ARGUMENT)
            __builtin_trap(); /* encoding gave an id outside the vocabulary */
        for (size_t i = 0; i < ids.count; i++)
            token_stream_push(&stream, ids.ids[i], &out, NULL);
        token_stream_finish(&stream, &out, NULL);
    }
    token_list_release(&ids);
    buf_release(&out);
}

static struct text take_string(struct cursor *c) {
    size_t n = cursor_u8(c) & 15;
    if (n > cursor_left(c)) n = cursor_left(c);
    return (struct text){(const char *)cursor_bytes(c, n), n};
}

static void fill(struct metadata *m, struct cursor *c) {
    static const char *const pres[] = {"default", "gpt-2", "llama-bpe", "deepseek-llm",
                                       "tekken",  "afmoe", "tiny_aya",  "gemma4"};
    struct text tokens[MAX_TOKENS], merges[MAX_TOKENS];
    int32_t kinds[MAX_TOKENS];
    float scores[MAX_TOKENS];
    const char *pre = pres[cursor_u8(c) & 7];
    size_t n = 1 + (cursor_u8(c) & 31), n_merges = cursor_u8(c) & 31;
    for (size_t i = 0; i < n; i++) {
        uint8_t kind = cursor_u8(c);
        kinds[i] = kind & 7;
        scores[i] = (float)(kind >> 3) - 16;
        tokens[i] = take_string(c);
    }
    for (size_t i = 0; i < n_merges; i++)
        merges[i] = take_string(c);
    metadata_set_string(m, KEY "pre", pre, strlen(pre), NULL);
    metadata_set_strings(m, KEY "tokens", tokens, n, NULL);
    metadata_set_strings(m, KEY "merges", merges, n_merges, NULL);
    metadata_set_array(m, KEY "token_type", META_I32, kinds, n, NULL);
    metadata_set_array(m, KEY "scores", META_F32, scores, n, NULL);
    metadata_set_uint(m, KEY "bos_token_id", META_U32, cursor_u8(c), NULL);
    metadata_set_uint(m, KEY "unknown_token_id", META_U32, cursor_u8(c), NULL);
    metadata_set_bool(m, KEY "remove_extra_whitespaces", cursor_u8(c) & 1, NULL);
    metadata_set_string(m, "general.name", "phi-3", (cursor_u8(c) & 1) * 5, NULL);
    if (cursor_left(c))
        metadata_set_array(m, KEY "precompiled_charsmap", META_U8, c->data + c->position,
                           cursor_left(c), NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const kinds[] = {"llama", "gpt2", "gemma4", "t5", "bert"};
    struct cursor c = cursor_over(data, size);
    struct tokenizer *t = NULL, *again = NULL;
    struct metadata m;
    unsigned kind = cursor_u8(&c) % 6;
    metadata_init(&m, 1 << 24);
    if (kind == 5) {
        tokenizer_open_sentencepiece(&t, data + c.position, size - c.position, NULL);
    } else {
        metadata_set_string(&m, KEY "model", kinds[kind], strlen(kinds[kind]), NULL);
        fill(&m, &c);
        tokenizer_open(&t, &m, NULL);
    }
    metadata_release(&m);
    if (!t) return 0;
    use(t, (const char *)data, size);
    metadata_init(&m, 1 << 24);
    if (tokenizer_to_metadata(t, &m, NULL) == HEARTH_OK &&
        tokenizer_open(&again, &m, NULL) == HEARTH_OK)
        use(again, (const char *)data, size);
    metadata_release(&m);
    tokenizer_close(again);
    tokenizer_close(t);
    return 0;
}
