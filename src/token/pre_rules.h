/* pre_rules.h - what the names in tokenizer.ggml.pre mean. */
#ifndef HEARTH_TOKEN_PRE_RULES_H
#define HEARTH_TOKEN_PRE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "token/pretokenize.h"

enum { PRE_MAX_STEPS = 6 };

/* One way of cutting text: patterns applied one after the other, matches and what lies
 * between them alike becoming pieces. Two names stand for rules no pattern says well. */
struct pre_rules {
    const char *patterns[PRE_MAX_STEPS];
};

#define PRE_DIGIT_GROUPS "\001"   /* runs of N* into threes from the right */
#define PRE_DECIMAL_GROUPS "\002" /* the same for runs of Nd that end a word */

struct pre_name {
    const char *name;
    const struct pre_rules *rules;
    bool ignore_merges, adds_bos, adds_sep;
    bool word_marks; /* spaces are U+2581, characters are not bytes */
    bool no_bos;     /* there is no beginning-of-sequence token unless declared */
};

const struct pre_name *pre_find(const char *name, size_t n); /* NULL: unknown */
/* The first name whose rules are these patterns, or another spelling of them found in
 * tokenizer.json files, and whose ignore_merges is this; NULL: none. */
const struct pre_name *pre_find_patterns(const char *const *patterns, size_t count,
                                         bool ignore_merges);
hearth_status pre_add_steps(const struct pre_rules *rules, struct pretokenizer *p,
                            hearth_error *err);

#endif
