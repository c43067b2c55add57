/* pretokenize.h - cuts normalised text into pieces that the model encodes one by one.
 *
 * A list of steps; each cuts the pieces that the one before left. Steps that change
 * the text (spaces to U+2581, a space in front) rebuild it. */
#ifndef HEARTH_TOKEN_PRETOKENIZE_H
#define HEARTH_TOKEN_PRETOKENIZE_H

#include "base/buf.h"
#include "base/status.h"
#include "format/metadata.h"
#include "token/regex.h"

enum split_kind {
    SPLIT_REGEX,        /* matches of `regex` */
    SPLIT_LITERAL,      /* occurrences of `literal` */
    SPLIT_SPACE,        /* each White_Space character */
    SPLIT_PUNCTUATION,  /* each character of P*, or of ASCII's punctuation */
    SPLIT_BERT,         /* the same, after removing white space */
    SPLIT_NUMBER,       /* each character of N* */
    SPLIT_NUMBERS,      /* each run of N* */
    SPLIT_DIGIT_GROUPS, /* runs of digits into threes, counted from their right end */
    SPLIT_METASPACE,    /* spaces to `literal`, one in front, cut before each */
    SPLIT_PREFIX_SPACE  /* a space in front of the piece, unless it begins with one */
};

/* What becomes of a match; see the tokenizer.json documentation of Split. */
enum split_behaviour {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
};

enum split_prepend { SPLIT_PREPEND_ALWAYS, SPLIT_PREPEND_FIRST, SPLIT_PREPEND_NEVER };

struct split_step {
    enum split_kind kind;
    enum split_behaviour behaviour;
    enum split_prepend prepend;
    bool invert;         /* what does not match counts as the match */
    bool cut;            /* METASPACE: cut at all */
    bool decimal_words;  /* DIGIT_GROUPS: runs of Nd that end a word, else runs of N* */
    struct regex *regex; /* owned */
    char *literal;       /* owned */
    size_t literal_length;
};

struct pretokenizer {
    struct split_step *steps;
    size_t count, capacity;
};

/* Takes what the step owns, even on failure. */
hearth_status pretokenizer_add(struct pretokenizer *p, struct split_step *step, hearth_error *err);
hearth_status pretokenizer_add_regex(struct pretokenizer *p, const char *pattern,
                                     hearth_error *err); /* isolated */
void pretokenizer_release(struct pretokenizer *p);
void split_step_release(struct split_step *step);

struct piece {
    uint32_t begin, end;
};

struct piece_list {
    struct piece *items;
    size_t count, capacity;
};

/* Zeroed is empty; keep it for the next text. */
struct pretokenize_scratch {
    struct piece_list lists[2];
    struct buf buffers[2];
};

void pretokenize_scratch_init(struct pretokenize_scratch *scratch);
void pretokenize_scratch_release(struct pretokenize_scratch *scratch);

/* The pieces of `in` (below 2^31 bytes): places in `*text`, which is `in` or was made
 * from it. `at_start`: nothing comes before this text. */
hearth_status pretokenizer_apply(const struct pretokenizer *p, struct text in, bool at_start,
                                 struct pretokenize_scratch *scratch, struct regex_scratch *regexes,
                                 struct text *text, const struct piece_list **pieces,
                                 hearth_error *err);

#endif
