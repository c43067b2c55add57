/* api_dispatch.h - the one way into the parts of Hearth's own interface that only need the store:
 * /session, /conversations, /keys, /settings and /usage. */
#ifndef HEARTH_SERVER_API_DISPATCH_H
#define HEARTH_SERVER_API_DISPATCH_H

#include "server/api.h"

/* Whether this file answers paths that begin with this word. */
bool api_dispatch_knows(const char *word);
/* Answers: 401 where a key is needed and none was shown (but for /session), 403 where a session
 * changes something without `csrf`, the value of X-Hearth-CSRF (or NULL). Any thread. */
void api_dispatch(struct store_pool *pool, const struct api_request *request, const char *csrf,
                  struct api_answer *answer);

#endif
