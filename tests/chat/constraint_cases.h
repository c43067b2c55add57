/* constraint_cases.h - constraints over small and real vocabularies, and asking them. */
#ifndef HEARTH_TESTS_CONSTRAINT_CASES_H
#define HEARTH_TESTS_CONSTRAINT_CASES_H

#include "testdata.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "chat/constraint.h"
#include "format/directory.h"
#include "token/tokenizer.h"

/* A token for every byte, and one that ends. */
static inline struct constraint_vocabulary *byte_vocabulary(void) {
    static char bytes[256];
    struct constraint_token tokens[257] = {[256] = {.bytes = "</s>", .n_bytes = 4, .ends = true}};
    struct constraint_vocabulary *v;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = (struct constraint_token){.bytes = bytes + i, .n_bytes = 1};
    }
    assert_int_equal(constraint_vocabulary_open(&v, tokens, 257, NULL), HEARTH_OK);
    return v;
}

static inline struct tokenizer *open_vocabulary(const char *name,
                                                struct constraint_vocabulary **out) {
    struct directory dir = {0};
    struct tokenizer *t = NULL;
    hearth_error err = {0};
    char path[128];
    snprintf(path, sizeof path, "tokenizers/%s/vocab.gguf", name);
    if (gguf_open(&dir, testdata(path), &err) != HEARTH_OK ||
        tokenizer_open(&t, &dir.metadata, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    directory_close(&dir);
    size_t n = tokenizer_n_vocab(t);
    struct constraint_token *tokens = mem_calloc(n, sizeof *tokens);
    assert_non_null(tokens);
    for (size_t i = 0; i < n; i++) {
        struct text text = tokenizer_piece(t, (int32_t)i);
        tokens[i].bytes = text.data;
        tokens[i].ends = tokenizer_is_end_of_generation(t, (int32_t)i);
        if (!tokenizer_is_special(t, (int32_t)i)) tokens[i].n_bytes = text.length;
    }
    assert_int_equal(constraint_vocabulary_open(out, tokens, n, &err), HEARTH_OK);
    mem_free(tokens);
    return t;
}

static inline struct constraint *open_constraint(const struct constraint_vocabulary *v,
                                                 enum constraint_kind kind, const char *text) {
    struct constraint *c;
    hearth_error err = {0};
    bool json = kind == CONSTRAINT_SCHEMA || kind == CONSTRAINT_CHOICE;
    json_t *schema = json ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    hearth_status status = constraint_open(&c, v, kind, schema, json ? NULL : text, &err);
    if (status != HEARTH_OK) fail_msg("%s: %s", text, err.message);
    json_decref(schema);
    return c;
}

/* Is `text`, as a whole, of the form? */
static inline bool holds(struct constraint *c, const char *text, size_t n) {
    struct constraint_state *s;
    assert_int_equal(constraint_begin(c, &s, NULL), HEARTH_OK);
    bool ok = constraint_accept_text(s, text, n) && constraint_may_end(s);
    constraint_end(s);
    return ok;
}

static inline bool may_follow(const uint64_t *mask, int32_t token) {
    return mask[token / 64] >> (token % 64) & 1;
}

#endif
