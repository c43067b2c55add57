/* stored_keys.h - the keys with which clients may use the server.
 *
 * A key is shown once, when it is made; what is stored is its hash (store_secret.h). One that was
 * revoked stays as a row, so that what it used keeps a name. Times are milliseconds since 1970;
 * 0: never, and a limit of 0: none. */
#ifndef HEARTH_STORE_STORED_KEYS_H
#define HEARTH_STORE_STORED_KEYS_H

#include "store/store_secret.h"

enum {
    KEY_NAME_MAX_BYTES = 256,
    KEY_TEXT_BYTES = 10 + STORE_TOKEN_BYTES, /* "sk-hearth-", a token, NUL */
    KEY_SHOWN_BYTES = 10 + 6 + 1,            /* what a list shows of it, NUL included */
    KEYS_MAX = 10000                         /* that are not revoked */
};

struct stored_limits {
    int64_t requests_per_minute, tokens_per_minute, concurrent;
};

struct stored_key {
    const char *id, *name, *shown;
    bool admin; /* may look after keys, settings and models, and see what all used */
    int64_t created, expires, last_used, revoked;
    struct stored_limits limits;
};

/* Takes name, admin, created, expires and limits; id and key are texts to be filled.
 * HEARTH_ERROR_LIMIT: there are KEYS_MAX. */
hearth_status stored_keys_add(struct store *store, const struct stored_key *key,
                              char id[STORE_ID_BYTES], char text[KEY_TEXT_BYTES],
                              hearth_error *err);

/* Whoever showed a key, or a session that was begun with one. */
struct key_holder {
    char id[STORE_ID_BYTES], name[KEY_NAME_MAX_BYTES + 1];
    bool admin;
    int64_t expires;
    struct stored_limits limits;
};
/* HEARTH_ERROR_NOT_FOUND: no such key, or it has expired or was revoked. */
hearth_status stored_keys_check(struct store *store, const char *text, int64_t now,
                                struct key_holder *holder, hearth_error *err);

/* A failure of the visitor ends it, and is returned. */
typedef hearth_status (*stored_key_visit)(void *context, const struct stored_key *key,
                                          hearth_error *err);
/* In the order in which they were made. */
hearth_status stored_keys_each(struct store *store, bool with_revoked, stored_key_visit visit,
                               void *context, hearth_error *err);

struct key_counts {
    int64_t all;    /* not revoked */
    int64_t admins; /* of these the admins' that have not expired */
};
hearth_status stored_keys_count(struct store *store, int64_t now, struct key_counts *counts,
                                hearth_error *err);

/* Ends its sessions, too. HEARTH_ERROR_NOT_FOUND: no such key, or it was revoked before. */
hearth_status stored_keys_revoke(struct store *store, const char *id, int64_t now,
                                 hearth_error *err);
/* Notes that it was used; one that is not there is passed over. */
hearth_status stored_keys_touch(struct store *store, const char *id, int64_t now,
                                hearth_error *err);

#endif
