/* stored_sessions.h - the app's sessions, each begun with a key and never longer than it.
 *
 * The token in a browser's cookie is stored as a hash. The text that a page sends along with
 * every change, against requests forged by other sites, follows from the token and the secret,
 * and is stored nowhere. */
#ifndef HEARTH_STORE_STORED_SESSIONS_H
#define HEARTH_STORE_STORED_SESSIONS_H

#include "store/stored_keys.h"

enum { SESSIONS_MAX_PER_KEY = 64 }; /* the oldest ends */

/* `holder` as stored_keys_check gave it; times in milliseconds since 1970. */
hearth_status stored_sessions_add(struct store *store, const struct key_holder *holder, int64_t now,
                                  int64_t expires, char token[STORE_TOKEN_BYTES],
                                  hearth_error *err);
/* HEARTH_ERROR_NOT_FOUND: no such session, or it or its key has expired. */
hearth_status stored_sessions_check(struct store *store, const char *token, int64_t now,
                                    struct key_holder *holder, hearth_error *err);
/* One that is not there is fine. */
hearth_status stored_sessions_remove(struct store *store, const char *token, hearth_error *err);
/* After stored_sessions_add or stored_sessions_check with the same token. */
void stored_sessions_csrf(const struct store *store, const char *token,
                          char out[STORE_TOKEN_BYTES]);

#endif
