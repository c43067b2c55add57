/* bpe_train.h - learns a byte-level vocabulary from texts.
 *
 * Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909, algorithm 1) over the bytes
 * of words, as GPT-2 does it: text is cut at added tokens, then into words by one of the
 * rules of pre_rules.h; each distinct word is a row of symbols with a count; again and
 * again the most frequent pair of neighbouring symbols becomes one symbol.
 *
 * Invariants:
 *  1. The result depends on the texts and the options alone: among pairs of the same count
 *     the one with the lower left id wins, then the one with the lower right id.
 *  2. A token has one derivation. A pair whose joined spelling is a token already is not
 *     merged, so a pair can only be born in the step that makes the younger of its
 *     symbols, and its count falls ever after.
 *  3. Encoding a text with the result cuts it as the trainer did.
 *
 * Ids: the 256 bytes in the order of their characters in the byte alphabet, then the
 * merges in order, then the added tokens. One thread at a time. */
#ifndef HEARTH_TOKEN_BPE_TRAIN_H
#define HEARTH_TOKEN_BPE_TRAIN_H

#include "token/tokenizer.h"

enum {
    BPE_TRAIN_MAX_WORDS = 1 << 23,       /* distinct words */
    BPE_TRAIN_MAX_WORD_BYTES = 256,      /* longer ones are data, not language: passed over */
    BPE_TRAIN_MAX_TOTAL_BYTES = 1 << 28, /* of all distinct words together */
    BPE_TRAIN_MAX_ADDED = 256,
    BPE_TRAIN_MAX_ADDED_BYTES = 128
};
#define BPE_TRAIN_DEFAULT_PRE "qwen2" /* every digit is a word of its own */

/* A token that is found whole in texts and never cut. */
struct bpe_added {
    const char *spelling;
    bool is_control; /* not shown in answers, not recognised in what users type */
};

struct bpe_train_options {
    const char *pre;    /* a name of pre_rules.h whose rules are regular expressions */
    size_t n_vocab;     /* at most this many tokens: 256 bytes, merges, added tokens */
    uint64_t min_count; /* pairs seen less often are not merged */
    const struct bpe_added *added;
    size_t n_added;
    const char *eos; /* one of `added`, or NULL */
    /* Called now and then with the number of merges; may be NULL. */
    void (*progress)(void *context, size_t done, size_t total);
    void *progress_context;
};

struct bpe_trainer;

/* Copies what it needs of the options. */
hearth_status bpe_trainer_open(struct bpe_trainer **trainer,
                               const struct bpe_train_options *options, hearth_error *err);
void bpe_trainer_close(struct bpe_trainer *trainer); /* NULL is fine */

/* Counts the words of a text, which stands alone: no word crosses into the next text.
 * Bytes that are not UTF-8 count as U+FFFD, as in encoding. */
hearth_status bpe_trainer_add(struct bpe_trainer *trainer, const char *text, size_t n,
                              hearth_error *err);
/* Learns the merges; once, after the last text. */
hearth_status bpe_trainer_run(struct bpe_trainer *trainer, hearth_error *err);

struct bpe_train_summary {
    size_t n_vocab, n_merges, n_distinct_words, n_long_words;
    uint64_t n_bytes, n_words; /* of the texts, added tokens left out */
    uint64_t n_tokens;         /* what these words become */
};
struct bpe_train_summary bpe_trainer_summary(const struct bpe_trainer *trainer);

/* Word number i and how often it occurred; its ids: borrowed, as far as merged by now. */
struct bpe_train_word {
    struct text text;
    uint64_t count;
    const uint32_t *ids;
    size_t n_ids;
};
struct bpe_train_word bpe_trainer_word(const struct bpe_trainer *trainer, size_t i);

/* The result as Hugging Face's tokenizer.json and the tokenizer_config.json beside it,
 * which tokenizer_open_json reads; given (mem_free), NUL-terminated. */
hearth_status bpe_trainer_json(const struct bpe_trainer *trainer, char **tokenizer_json,
                               char **tokenizer_config_json, hearth_error *err);

#endif
