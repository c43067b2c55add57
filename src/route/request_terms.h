/* request_terms.h - from a request to what its answers start from: prompts as tokens, sampling
 * settings, stop texts, how long may be thought, the form that is asked for. */
#ifndef HEARTH_ROUTE_REQUEST_TERMS_H
#define HEARTH_ROUTE_REQUEST_TERMS_H

#include "route/local_answer.h"

/* Fills prompts and usage.n_prompt, and what the terms say of thinking. */
hearth_status request_terms_prompts(struct local_answer *answer, hearth_error *err);
/* Fills the rest: terms, stops, constraint, sampling. */
hearth_status request_terms_make(struct local_answer *answer, hearth_error *err);
void request_terms_release(struct local_answer *answer);

#endif
