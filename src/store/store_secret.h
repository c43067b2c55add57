/* store_secret.h - random names, and hashes under a secret that lies beside the database in a
 * file of mode 0600, "<database>.secret": whoever reads the database alone can neither use what
 * it holds hashes of nor try guesses against them.
 *
 * The database holds a mark of its secret, so that another file in its place is noticed. Hashes
 * are keyed BLAKE2b (RFC 7693) through libsodium. */
#ifndef HEARTH_STORE_STORE_SECRET_H
#define HEARTH_STORE_STORE_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum {
    STORE_ID_BYTES = 23,    /* of an id's text and its NUL: 128 random bits in base64url */
    STORE_TOKEN_BYTES = 44, /* 256 bits */
    STORE_HASH_BYTES = 32
};

void store_random_id(char out[STORE_ID_BYTES]);
void store_random_token(char out[STORE_TOKEN_BYTES]);

/* Takes the secret into memory; only reads. `*there` false: nothing was hashed yet. */
hearth_status store_secret_load(struct store *store, bool *there, hearth_error *err);
/* The same, and makes one where there is none; between store_begin and store_end. */
hearth_status store_secret_make(struct store *store, hearth_error *err);

enum store_hash_use { STORE_HASH_MARK, STORE_HASH_KEY, STORE_HASH_SESSION, STORE_HASH_CSRF };
/* With the secret in memory; the same text gives another hash for every use. */
void store_hash(const struct store *store, enum store_hash_use use, const char *text,
                uint8_t out[STORE_HASH_BYTES]);
void store_hash_text(const uint8_t hash[STORE_HASH_BYTES], char out[STORE_TOKEN_BYTES]);

#endif
