/* bpe_merger.h - the loop of byte-pair encoding: words in, merges out.
 *
 * Holds every adjacent pair of symbols with its count and the words it occurs in, and a
 * heap of pairs by count. Counts fall without the heap being told (an entry is put right
 * when it comes to the top), which is enough because they never rise again; see the
 * invariants of bpe_train.h. */
#ifndef HEARTH_TOKEN_BPE_MERGER_H
#define HEARTH_TOKEN_BPE_MERGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A row of symbols that occurs `count` times. */
struct merge_word {
    uint64_t count;
    uint32_t begin;  /* in the array of symbols */
    uint16_t length; /* symbols left */
};

struct symbol_pair {
    uint32_t left, right;
};

struct bpe_merger;

/* Borrows words and symbols, which it changes, until it is closed. */
hearth_status bpe_merger_open(struct bpe_merger **merger, struct merge_word *words, size_t n_words,
                              uint32_t *symbols, uint64_t min_count, hearth_error *err);
void bpe_merger_close(struct bpe_merger *merger); /* NULL is fine */

/* Takes the most frequent pair out; false when none is left that is frequent enough. */
bool bpe_merger_next(struct bpe_merger *merger, struct symbol_pair *pair);
/* Replaces the pair that was taken last by `symbol` wherever it occurs. */
hearth_status bpe_merger_apply(struct bpe_merger *merger, uint32_t symbol, hearth_error *err);

#endif
