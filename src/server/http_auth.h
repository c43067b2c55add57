/* http_auth.h - who asks: keys in requests, and whether they are good.
 *
 * Keys come as "Authorization: Bearer KEY" or "x-api-key: KEY". */
#ifndef HEARTH_SERVER_HTTP_AUTH_H
#define HEARTH_SERVER_HTTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { KEY_ID_BYTES = 64, KEY_MAX_BYTES = 512 };

/* 0: no limit. */
struct key_limits {
    uint32_t requests_per_minute, tokens_per_minute, concurrent;
};

struct key_identity {
    char id[KEY_ID_BYTES]; /* for logs and limits; never the key */
    struct key_limits limits;
};

/* Whoever knows the keys; any thread. */
struct key_check {
    /* Whether there are any: without, everybody may ask. */
    bool (*any)(void *context);
    /* Whether this is one that holds now; in constant time but for its length. */
    bool (*check)(void *context, const char *key, size_t n, struct key_identity *out);
    void *context;
};

/* A few keys in memory, as the command line gives them. */
enum { KEY_LIST_MOST = 256 };
struct key_list {
    size_t count;
    uint8_t digests[KEY_LIST_MOST][SHA256_BYTES];
};
/* Adds a key; it is not kept, only its SHA-256. */
hearth_status key_list_add(struct key_list *list, const char *key, size_t n, hearth_error *err);
/* Adds every line of a file that is not blank and does not begin with '#'. */
hearth_status key_list_read(struct key_list *list, const char *path, hearth_error *err);
struct key_check key_list_check(const struct key_list *list); /* borrows it */

/* The key in the value of an Authorization header, and its length; NULL: none. */
const char *auth_bearer(const char *value, size_t *n);

#endif
