/* request_fit.h - conversations that are longer than the context. */
#ifndef HEARTH_ROUTE_REQUEST_FIT_H
#define HEARTH_ROUTE_REQUEST_FIT_H

#include "route/local_answer.h"

/* The prompt of the answer's messages, as request_prompt_chat makes it. The oldest turns, not the
 * system's message and not the last one, are left out until an eighth of the context is free;
 * answer->n_left_out says how many messages that were. */
hearth_status request_fit(struct local_answer *answer, struct token_list *out, hearth_error *err);

#endif
