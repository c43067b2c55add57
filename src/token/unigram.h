/* unigram.h - the most probable segmentation under a unigram model (Kudo 2018):
 * a Viterbi search over all ways to spell the text with tokens, scores being log
 * probabilities. A character no token covers costs the lowest score less 10 and
 * becomes the unknown token, or its bytes. */
#ifndef HEARTH_TOKEN_UNIGRAM_H
#define HEARTH_TOKEN_UNIGRAM_H

#include "token/trie.h"
#include "token/vocabulary.h"

struct unigram_place {
    double score;
    uint32_t from;
    int32_t id;
};

struct unigram {
    const struct vocabulary *vocabulary; /* borrowed */
    struct trie trie;
    double unknown_score;
    int32_t unknown;
    bool byte_fallback;
    int32_t byte_ids[256];
};

/* Grows as needed; zeroed is empty. */
struct unigram_scratch {
    struct unigram_place *places;
    size_t capacity;
};

hearth_status unigram_open(struct unigram **unigram, const struct vocabulary *vocabulary,
                           int32_t unknown, bool byte_fallback, hearth_error *err);
void unigram_close(struct unigram *unigram);
void unigram_scratch_release(struct unigram_scratch *scratch);
/* n < 2^31. */
bool unigram_encode(const struct unigram *unigram, struct unigram_scratch *scratch,
                    const char *text, size_t n, struct token_list *out);

#endif
