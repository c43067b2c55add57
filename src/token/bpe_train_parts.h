/* bpe_train_parts.h - what the trainer of bpe_train.h holds, for its two files. */
#ifndef HEARTH_TOKEN_BPE_TRAIN_PARTS_H
#define HEARTH_TOKEN_BPE_TRAIN_PARTS_H

#include "token/added_tokens.h"
#include "token/bpe_merger.h"
#include "token/bpe_train.h"
#include "token/pre_rules.h"

struct bpe_trainer {
    const struct pre_name *pre;
    size_t n_vocab;
    uint64_t min_count;
    void (*progress)(void *context, size_t done, size_t total);
    void *progress_context;

    struct vocabulary added; /* in the order of their ids, which begin at n_symbols */
    struct added_tokens finder;
    int32_t eos; /* among `added`, or TOKEN_NONE */

    struct pretokenizer pretokenizer;
    struct pretokenize_scratch scratch;
    struct regex_scratch *regexes;
    struct segment_list segments;
    struct buf repaired;

    struct string_table texts; /* the distinct words */
    struct merge_word *words;  /* [texts.count] */
    size_t words_capacity;
    uint32_t *symbols; /* one for each byte of `texts`, made when training begins */
    bool is_run;
    uint64_t n_bytes, n_words;
    size_t n_long_words;

    uint32_t byte_symbol[256];
    struct string_table spellings; /* of symbols, as raw bytes */
    struct symbol_pair *merges;    /* merge i makes symbol 256 + i */
    size_t n_merges;
};

#endif
