/* normalize.h - what happens to text before it is cut into words: a list of steps,
 * each from one text to the next. The steps are those of tokenizer.json; those of
 * GGUF and SentencePiece are written in terms of them. */
#ifndef HEARTH_TOKEN_NORMALIZE_H
#define HEARTH_TOKEN_NORMALIZE_H

#include "base/buf.h"
#include "base/status.h"
#include "format/metadata.h"
#include "token/charsmap.h"
#include "token/regex.h"

enum normalize_kind {
    NORMALIZE_NFC,
    NORMALIZE_NFD,
    NORMALIZE_NFKC,
    NORMALIZE_NFKD,
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP_ACCENTS, /* removes marks */
    NORMALIZE_STRIP,         /* white space at the ends: `left`, `right` */
    NORMALIZE_REPLACE,       /* every `from` by `to` */
    NORMALIZE_REPLACE_REGEX, /* every match of `regex` by `to` */
    NORMALIZE_PREPEND,       /* `to`, unless the text is empty */
    NORMALIZE_BERT,          /* clean, cjk, strip_accents, lowercase */
    NORMALIZE_BERT_BASE,     /* the same with accents reduced to the base character */
    NORMALIZE_NMT,
    NORMALIZE_CHARSMAP,
    NORMALIZE_WORD_MARKS /* SentencePiece's spaces: `left` puts one in front, `merge`
                            makes one of many and drops those at the ends */
};

struct normalize_step {
    enum normalize_kind kind;
    char *from, *to; /* owned */
    size_t from_length, to_length;
    bool left, right, clean, cjk, strip_accents, lowercase, merge;
    struct regex *regex;
    struct charsmap charsmap;
};

struct normalizer {
    struct normalize_step *steps;
    size_t count, capacity;
};

/* Takes what the step owns, even on failure. */
hearth_status normalizer_add(struct normalizer *n, struct normalize_step *step, hearth_error *err);
hearth_status normalizer_add_replace(struct normalizer *n, struct text from, struct text to,
                                     hearth_error *err);
hearth_status normalizer_add_prepend(struct normalizer *n, struct text prefix, hearth_error *err);
void normalizer_release(struct normalizer *n);
void normalize_step_release(struct normalize_step *step);

/* Applies all steps; `*out` points into `in` or one of the two buffers. The text must
 * be UTF-8 unless every step is REPLACE, PREPEND, CHARSMAP or WORD_MARKS. */
hearth_status normalizer_apply(const struct normalizer *n, struct text in, struct buf buffers[2],
                               struct regex_scratch *regexes, struct text *out, hearth_error *err);

#endif
