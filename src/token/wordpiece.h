/* wordpiece.h - the longest token that the rest of a word begins with, again and again.
 *
 * In BERT's own spelling pieces inside a word begin with "##"; in GGUF's, pieces at
 * the start of a word begin with U+2581 and the others with nothing. */
#ifndef HEARTH_TOKEN_WORDPIECE_H
#define HEARTH_TOKEN_WORDPIECE_H

#include "token/trie.h"
#include "token/vocabulary.h"

struct wordpiece {
    struct trie trie;
    uint32_t first, inside; /* nodes that pieces at the start, and later ones, begin at */
    bool has_inside;
    char start_mark[8]; /* put in front of every word: U+2581 or nothing */
    size_t start_mark_length;
    size_t max_word_chars; /* longer words are unknown */
    int32_t unknown;       /* or TOKEN_NONE: words that cannot be spelt vanish */
};

/* One of `continuation` and `start_mark` is empty. */
hearth_status wordpiece_open(struct wordpiece **wordpiece, const struct vocabulary *vocabulary,
                             const char *continuation, const char *start_mark,
                             size_t max_word_chars, int32_t unknown, hearth_error *err);
void wordpiece_close(struct wordpiece *wordpiece);
bool wordpiece_encode(const struct wordpiece *wordpiece, const char *word, size_t n,
                      struct token_list *out);

#endif
