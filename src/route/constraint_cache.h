/* constraint_cache.h - compiled constraints of one model, kept for requests that ask for the same
 * form again: compiling costs milliseconds, and what a constraint remembers of its states makes it
 * fast.
 *
 * Opening and giving back: any thread. A constraint itself is one thread's at a time
 * (chat/constraint.h): that which computes the model's answers. */
#ifndef HEARTH_ROUTE_CONSTRAINT_CACHE_H
#define HEARTH_ROUTE_CONSTRAINT_CACHE_H

#include "chat/answer_reader.h"
#include "chat/constraint.h"
#include "token/tokenizer.h"

enum { CONSTRAINT_CACHE_KEPT = 16 }; /* that nobody uses */

struct constraint_cache;

/* Borrows the tokenizer, and the form (NULL: none) whose tags of calls control tokens may be. */
hearth_status constraint_cache_open(struct constraint_cache **out,
                                    const struct tokenizer *tokenizer,
                                    const struct answer_form *form, hearth_error *err);
void constraint_cache_close(struct constraint_cache *cache); /* all given back; NULL is fine */

/* As constraint_open says. `control`: control tokens that are tags of calls stand for their text;
 * otherwise control tokens are never allowed. */
struct constraint_wanted {
    enum constraint_kind kind;
    const json_t *schema;
    const char *text;
    bool control;
    const char *const *marks; /* as constraint_set_marks takes them; the text follows from them */
    size_t n_marks;
};
struct cached_constraint;
hearth_status constraint_cache_take(struct constraint_cache *cache,
                                    const struct constraint_wanted *wanted,
                                    struct cached_constraint **out, hearth_error *err);
void constraint_cache_give_back(struct constraint_cache *cache,
                                struct cached_constraint *constraint); /* NULL is fine */
struct constraint *cached_constraint_of(struct cached_constraint *constraint);

#endif
