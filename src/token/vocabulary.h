/* vocabulary.h - the tokens themselves: spelling, kind, score.
 *
 * A duplicate spelling keeps its own id and text; encoding finds the lowest id. */
#ifndef HEARTH_TOKEN_VOCABULARY_H
#define HEARTH_TOKEN_VOCABULARY_H

#include "token/string_table.h"
#include "token/tokenizer.h"

enum {
    /* Longer tokens are not searched for along a trie: a text that almost is one, over
     * and over, would take time quadratic in their length. */
    TOKEN_MAX_SEARCH_BYTES = 1024
};

/* What a token is; several may hold. The file formats' numbers are in
 * vocabulary_kind_bits. */
enum token_bits {
    TOKEN_BIT_NORMAL = 1,
    TOKEN_BIT_UNKNOWN = 2,
    TOKEN_BIT_CONTROL = 4,
    TOKEN_BIT_USER_DEFINED = 8,
    TOKEN_BIT_UNUSED = 16,
    TOKEN_BIT_BYTE = 32,
    TOKEN_BIT_LSTRIP = 64, /* takes the white space before it */
    TOKEN_BIT_RSTRIP = 128,
    TOKEN_BIT_SINGLE_WORD = 256, /* only between non-word characters */
    TOKEN_BIT_NORMALIZED = 512,  /* looked for after normalisation */
    TOKEN_BIT_END = 1024,        /* ends generation */
    TOKEN_BIT_ADDED = 2048       /* listed as an added token of tokenizer.json */
};

/* Kinds as SentencePiece's ModelProto and GGUF number them. */
enum token_kind {
    TOKEN_KIND_UNDEFINED,
    TOKEN_KIND_NORMAL,
    TOKEN_KIND_UNKNOWN,
    TOKEN_KIND_CONTROL,
    TOKEN_KIND_USER_DEFINED,
    TOKEN_KIND_UNUSED,
    TOKEN_KIND_BYTE
};

struct vocabulary {
    struct string_table texts;
    uint16_t *bits;
    float *scores;
    size_t capacity;
};

void vocabulary_release(struct vocabulary *v);
bool vocabulary_add(struct vocabulary *v, struct text text, unsigned bits, float score);
unsigned vocabulary_kind_bits(int64_t kind);
enum token_kind vocabulary_bits_kind(unsigned bits);

static inline size_t vocabulary_count(const struct vocabulary *v) {
    return v->texts.count;
}

static inline struct text vocabulary_text(const struct vocabulary *v, size_t id) {
    return string_table_get(&v->texts, id);
}

static inline int32_t vocabulary_find(const struct vocabulary *v, const char *data, size_t length) {
    uint32_t id = string_table_find(&v->texts, data, length);
    return id == STRING_NONE ? TOKEN_NONE : (int32_t)id;
}

/* The byte a spelling like "<0x0A>" names, or -1. */
int vocabulary_byte_value(struct text text);

/* The alphabet of byte-level vocabularies (GPT-2): each byte is written as one
 * printable character; 33-126, 161-172 and 174-255 as themselves, the others in
 * order as U+0100 and up. */
uint32_t byte_alphabet_char(unsigned byte);
int byte_alphabet_byte(uint32_t code); /* -1: not of the alphabet */

#endif
