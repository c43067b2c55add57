/* listed_session.h - sessions of the app that were begun with a key of the command line. Such keys
 * are in no database, so nothing of these sessions is: their cookies follow from the key's id and a
 * secret that this process makes, and hold as long as it runs. */
#ifndef HEARTH_SERVER_LISTED_SESSION_H
#define HEARTH_SERVER_LISTED_SESSION_H

#include "server/http_auth.h"
#include "store/store_secret.h"

enum {
    LISTED_SECRET_BYTES = 32,
    LISTED_TOKEN_BYTES = KEY_ID_BYTES + 1 + STORE_TOKEN_BYTES /* "key-1.<hash>" */
};

void listed_session_secret(uint8_t secret[LISTED_SECRET_BYTES]);
/* The cookie of a key, and what changes must come with. */
void listed_session_token(const uint8_t secret[LISTED_SECRET_BYTES], const char *key_id,
                          char out[LISTED_TOKEN_BYTES]);
void listed_session_csrf(const uint8_t secret[LISTED_SECRET_BYTES], const char *key_id,
                         char out[STORE_TOKEN_BYTES]);
/* Whether a cookie is of a key, and of which; in constant time but for the id's length. */
bool listed_session_check(const uint8_t secret[LISTED_SECRET_BYTES], const char *token,
                          char key_id[KEY_ID_BYTES]);

#endif
