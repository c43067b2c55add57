/* The vocabulary of a folder, as metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/hf_import.h"
#include "token/tokenizer.h"

enum { PAD_NAME_BYTES = 24, TOKEN_UNUSED = 5 };
#define TOKENS "tokenizer.ggml.tokens"

static hearth_status open_tokenizer(struct tokenizer **t, const struct hf_folder *folder,
                                    hearth_error *err) {
    if (!folder->tokenizer_json.length)
        return tokenizer_open_sentencepiece(t, folder->tokenizer_model.data,
                                            folder->tokenizer_model.length, err);
    char *config = folder->tokenizer_config ? json_dumps(folder->tokenizer_config, 0) : NULL;
    if (folder->tokenizer_config && !config)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tokenizer_config.json");
    hearth_status status =
        tokenizer_open_json(t, folder->tokenizer_json.data, folder->tokenizer_json.length, config,
                            config ? strlen(config) : 0, err);
    free(config); /* jansson's own allocator */
    return status;
}

/* ---- as many tokens as the embedding has rows -------------------------------------- */

static hearth_status fit_tokens(struct metadata *m, const struct meta_array *old, size_t n,
                                hearth_error *err) {
    struct text *tokens = mem_alloc_array(n, sizeof *tokens);
    char *names = mem_alloc_array(n, PAD_NAME_BYTES);
    hearth_status status = HEARTH_OK;
    if (!tokens || !names)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tokens", n);
    for (size_t i = 0; status == HEARTH_OK && i < n; i++) {
        char *name = names + i * PAD_NAME_BYTES;
        int length = i < old->count ? 0 : snprintf(name, PAD_NAME_BYTES, "[PAD%zu]", i);
        tokens[i] = i < old->count ? old->strings[i] : (struct text){name, (size_t)length};
    }
    if (status == HEARTH_OK) status = metadata_set_strings(m, TOKENS, tokens, n, err);
    mem_free(names);
    mem_free(tokens);
    return status;
}

/* Element size 4: token_type (i32) or scores (f32). */
static hearth_status fit_numbers(struct metadata *m, const char *key, size_t n, int32_t filler,
                                 hearth_error *err) {
    const struct meta_array *old = metadata_array(m, key);
    if (!old || meta_type_bytes(old->type) != sizeof filler) return HEARTH_OK;
    int32_t *values = mem_alloc_array(n, sizeof *values);
    if (!values) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tokens", n);
    size_t kept = old->count < n ? old->count : n;
    memcpy(values, old->data, kept * sizeof *values);
    for (size_t i = kept; i < n; i++)
        values[i] = filler;
    hearth_status status = metadata_set_array(m, key, old->type, values, n, err);
    mem_free(values);
    return status;
}

/* Embeddings are often longer than the vocabulary (rounded up for speed), and sometimes
 * shorter (tokens of images in models of text). */
static hearth_status fit_vocabulary(struct hf_config *c) {
    char key[256];
    uint32_t n = 0;
    struct metadata *m = c->metadata;
    const struct meta_array *tokens = metadata_array(m, TOKENS);
    snprintf(key, sizeof key, "%s.vocab_size", c->family);
    if (!tokens || tokens->type != META_STRING || !metadata_u32(m, key, &n) || n == tokens->count)
        return HEARTH_OK;
    if (n == 0 || n > TOKENIZER_MAX_TOKENS)
        return error_set(c->err, HEARTH_ERROR_FORMAT,
                         "config.json: 'vocab_size' is %u; 1 to %d can be read", n,
                         TOKENIZER_MAX_TOKENS);
    RETURN_IF_ERROR(fit_tokens(m, tokens, n, c->err));
    RETURN_IF_ERROR(fit_numbers(m, "tokenizer.ggml.token_type", n, TOKEN_UNUSED, c->err));
    return fit_numbers(m, "tokenizer.ggml.scores", n, 0, c->err);
}

void hf_take_tokenizer(struct hf_config *c, const struct hf_folder *folder) {
    struct tokenizer *t = NULL;
    if (c->status != HEARTH_OK) return;
    if (!folder->tokenizer_json.length && !folder->tokenizer_model.length) return;
    c->status = open_tokenizer(&t, folder, c->err);
    if (c->status == HEARTH_OK) c->status = tokenizer_to_metadata(t, c->metadata, c->err);
    if (c->status == HEARTH_OK) c->status = fit_vocabulary(c);
    tokenizer_close(t);
}
