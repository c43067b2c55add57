/* api_session.h - /session: the app signs in with a key and from then on has a cookie.
 *
 * GET     {needed, signed_in, csrf, name?, role?}; csrf is null without a session
 * POST    {"key"} -> {csrf, name, role} and the cookie
 * DELETE  ends it
 * Open to all: a cookie or key that is not valid counts as none here. */
#ifndef HEARTH_SERVER_API_SESSION_H
#define HEARTH_SERVER_API_SESSION_H

#include "server/api.h"

enum { TOKEN_MAX_BYTES = 512 };
#define SESSION_LENGTH_MS (INT64_C(30) * 86400000)

void api_session(struct store *store, const struct api_request *request, struct api_answer *answer);

#endif
