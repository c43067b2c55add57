/* asker.h - who sends a request: the holder of a key, a session of the app that was begun with
 * one, or, where no keys exist, whoever reaches the server from its own machine. */
#ifndef HEARTH_SERVER_ASKER_H
#define HEARTH_SERVER_ASKER_H

#include "store/stored_sessions.h"

enum asker_kind {
    ASKER_NONE,   /* a key is needed, and none was shown */
    ASKER_LOCAL,  /* no keys exist */
    ASKER_KEY,    /* by a key in the request */
    ASKER_SESSION /* by a cookie */
};

struct asker {
    enum asker_kind kind;
    struct key_holder holder;     /* KEY, SESSION */
    char csrf[STORE_TOKEN_BYTES]; /* SESSION: what changes must come with */
};

/* What a request shows; NULL: it does not. */
struct asker_proof {
    const char *key;    /* "Authorization: Bearer", "x-api-key" */
    const char *cookie; /* of the app's session */
    bool is_local;      /* the connection is from this machine */
};

/* HEARTH_ERROR_NOT_FOUND: the key or the cookie is not valid, or no longer. A key counts before
 * a cookie. */
hearth_status asker_find(struct store *store, const struct asker_proof *proof, int64_t now,
                         struct asker *asker, hearth_error *err);
/* Whether a request that changes something may: a cookie alone does not say that it was the app
 * which sent it. `csrf`: of the header, or NULL. */
bool asker_may_change(const struct asker *asker, const char *csrf);

/* May look after keys, settings and models. */
bool asker_is_admin(const struct asker *asker);
/* Whose conversations are the asker's: those who look after the server have theirs together,
 * so that what was said before there were keys is not lost. */
const char *asker_owner(const struct asker *asker);

#endif
