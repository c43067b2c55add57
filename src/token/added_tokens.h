/* added_tokens.h - finds tokens that are written whole in a text, before anything
 * else looks at it: control tokens, user-defined tokens.
 *
 * Two rules of precedence exist. GGUF vocabularies: longer tokens first, wherever
 * they are; a shorter one may only have what is left. tokenizer.json: the leftmost,
 * and of those that start there the longest. */
#ifndef HEARTH_TOKEN_ADDED_TOKENS_H
#define HEARTH_TOKEN_ADDED_TOKENS_H

#include "token/trie.h"
#include "token/vocabulary.h"

struct added_tokens {
    const struct vocabulary *vocabulary; /* borrowed: spellings and bits */
    bool leftmost;
    bool starts[256]; /* bytes some token begins with */
    struct trie trie;
};

/* A stretch of text: a token's place, or (id TOKEN_NONE) text still to be encoded. */
struct segment {
    size_t begin, end;
    int32_t id;
};

struct segment_list {
    struct segment *items;
    size_t count, capacity;
};

void segment_list_release(struct segment_list *list);
bool segment_list_append(struct segment_list *list, struct segment segment);

void added_tokens_release(struct added_tokens *added);
/* `spelling` is what to look for (the token's text, or that text normalised). */
bool added_tokens_add(struct added_tokens *added, int32_t id, struct text spelling);

/* Cuts `text` into segments, appended to `out`, in order. Tokens with the bits
 * CONTROL or UNKNOWN are only found if `parse_special`. False without memory. */
bool added_tokens_split(const struct added_tokens *added, const char *text, size_t n,
                        bool parse_special, struct segment_list *out);

#endif
