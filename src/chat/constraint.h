/* constraint.h - answers that must have a form: a JSON Schema, a GBNF grammar, a regular
 * expression or a list of choices becomes, at every position, the set of tokens that may follow.
 *
 * All forms become one grammar over bytes. A state is the set of places in the grammar where the
 * text so far can be; the tokens a state allows are found by walking the vocabulary, kept as a tree
 * of bytes, once, and are remembered with the state: what comes again costs a copy. (Willard & Louf
 * 2023, arXiv 2307.09702; Koo et al. 2024, arXiv 2407.08103; Dong et al. 2024, arXiv 2411.15100.)
 *
 * A compiled constraint is immutable but for what it remembers, and one thread's at a time. Sizes
 * are bounded: grammar, states kept, depth of nesting. */
#ifndef HEARTH_CHAT_CONSTRAINT_H
#define HEARTH_CHAT_CONSTRAINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "chat/request.h"

/* What a constraint must know of a vocabulary; made once for a model. */
struct constraint_vocabulary;

struct constraint_token {
    const char *bytes;
    size_t n_bytes; /* 0: never allowed, as control tokens */
    bool ends;      /* ends the answer: allowed where the text may end */
    bool control;   /* stands for its text, but not in the middle of a text that is free */
};
hearth_status constraint_vocabulary_open(struct constraint_vocabulary **out,
                                         const struct constraint_token *tokens, size_t n_vocab,
                                         hearth_error *err);
void constraint_vocabulary_close(struct constraint_vocabulary *vocabulary); /* NULL is fine */

struct constraint;

/* HEARTH_ERROR_UNSUPPORTED: a keyword that cannot be held to is named, rather than left out;
 * HEARTH_ERROR_ARGUMENT: malformed, with the place; HEARTH_ERROR_LIMIT: too large. The vocabulary
 * is borrowed and outlives it; `schema` and `text` as in struct request, but that a
 * grammar may use rules that are JSON by the schemas of these names in the object `schema`. */
hearth_status constraint_open(struct constraint **out,
                              const struct constraint_vocabulary *vocabulary,
                              enum constraint_kind kind, const json_t *schema, const char *text,
                              hearth_error *err);
void constraint_close(struct constraint *constraint); /* NULL is fine */

/* Texts of the form stand inside a free one, and begin with one of these marks (borrowed). Once. */
hearth_status constraint_set_marks(struct constraint *constraint, const char *const *marks,
                                   size_t n_marks, hearth_error *err);
/* The tokens, as constraint_allowed gives them, that may follow free text which ends with `before`
 * (as much of it as may be the beginning of a mark): all but those that go on beyond the end of a
 * mark in no way that the form allows. NULL: all. Valid until the next call. */
const uint64_t *constraint_allowed_before(struct constraint *constraint, const char *before,
                                          size_t n);

/* The text being made, from its beginning. */
struct constraint_state;
hearth_status constraint_begin(struct constraint *constraint, struct constraint_state **out,
                               hearth_error *err);
void constraint_end(struct constraint_state *state); /* NULL is fine */

/* (n_vocab + 63) / 64 words: bit t % 64 of word t / 64 says whether token t may follow; the form
 * that sampler_sample takes. Valid until the next call. NULL: no memory. */
const uint64_t *constraint_allowed(struct constraint_state *state);
/* Moves on; false: the token was not allowed, and the state is as before. */
bool constraint_accept(struct constraint_state *state, int32_t token);
/* The same for text without tokens; how tests ask. */
bool constraint_accept_text(struct constraint_state *state, const char *text, size_t n);
/* The text so far is whole; and: nothing may follow it. */
bool constraint_may_end(const struct constraint_state *state);
bool constraint_must_end(const struct constraint_state *state);

#endif
