/* bpe.h - byte-pair encoding on numbered symbols.
 *
 * A piece of text starts as a row of single characters (bytes for byte-level
 * vocabularies). Again and again the adjacent pair with the lowest rank, leftmost
 * among equals, becomes one symbol, until no pair has a rank. SentencePiece's BPE is
 * the same thing: a pair's rank is the place of the merged token's score, and every
 * split of a token into two symbols that can occur is a pair.
 *
 * Symbols 0 .. n_vocab - 1 are the tokens; symbols above are strings that occur in
 * merges but are not tokens, and single characters that are not. What remains of
 * those at the end goes out byte by byte. */
#ifndef HEARTH_TOKEN_BPE_H
#define HEARTH_TOKEN_BPE_H

#include "token/vocabulary.h"

struct bpe;
struct bpe_scratch;

struct bpe_options {
    bool byte_level;     /* pieces are bytes; tokens are spelt in the byte alphabet */
    bool byte_fallback;  /* unknown characters become <0xXX> tokens */
    bool ignore_merges;  /* a piece that is a token is that token */
    bool whole_newlines; /* the same for pieces of line feeds only */
    bool fuse_unknown;   /* a run of unknown characters is one unknown token */
    int32_t unknown;     /* or TOKEN_NONE: unknown characters vanish */
};

/* Merges in rank order, each two symbols' spellings; `vocabulary` is borrowed and must
 * stay as it is. */
struct merge_pair {
    struct text left, right;
};

hearth_status bpe_open(struct bpe **bpe, const struct vocabulary *vocabulary,
                       const struct merge_pair *merges, size_t n_merges, struct bpe_options options,
                       hearth_error *err);
/* The merges follow from the scores, higher first. */
hearth_status bpe_open_scored(struct bpe **bpe, const struct vocabulary *vocabulary,
                              struct bpe_options options, hearth_error *err);
void bpe_close(struct bpe *bpe);

/* Working memory and the cache of words; one per thread at a time. */
hearth_status bpe_scratch_open(struct bpe_scratch **scratch, hearth_error *err);
void bpe_scratch_close(struct bpe_scratch *scratch);

/* Appends the ids of one piece; false when memory is exhausted. n < 2^31. */
bool bpe_encode(const struct bpe *bpe, struct bpe_scratch *scratch, const char *piece, size_t n,
                struct token_list *out);

/* Merge number i as two symbol spellings; false beyond the last. Only for models
 * opened with bpe_open. */
bool bpe_merge_at(const struct bpe *bpe, size_t i, struct text *left, struct text *right);
size_t bpe_n_merges(const struct bpe *bpe);
bool bpe_is_scored(const struct bpe *bpe);
struct bpe_options bpe_get_options(const struct bpe *bpe);

#endif
