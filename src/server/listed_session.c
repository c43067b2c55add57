#include "server/listed_session.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

void listed_session_secret(uint8_t secret[LISTED_SECRET_BYTES]) {
    randombytes_buf(secret, LISTED_SECRET_BYTES);
}

/* Keyed BLAKE2b of the use and the id; a use never begins like another. */
static void hash(const uint8_t secret[LISTED_SECRET_BYTES], const char *use, const char *key_id,
                 char out[STORE_TOKEN_BYTES]) {
    char message[KEY_ID_BYTES + 16];
    uint8_t digest[STORE_HASH_BYTES];
    int n = snprintf(message, sizeof message, "%s:%s", use, key_id);
    crypto_generichash(digest, sizeof digest, (const unsigned char *)message, (unsigned long long)n,
                       secret, LISTED_SECRET_BYTES);
    store_hash_text(digest, out);
}

void listed_session_token(const uint8_t secret[LISTED_SECRET_BYTES], const char *key_id,
                          char out[LISTED_TOKEN_BYTES]) {
    char text[STORE_TOKEN_BYTES];
    hash(secret, "session", key_id, text);
    snprintf(out, LISTED_TOKEN_BYTES, "%s.%s", key_id, text);
}

void listed_session_csrf(const uint8_t secret[LISTED_SECRET_BYTES], const char *key_id,
                         char out[STORE_TOKEN_BYTES]) {
    hash(secret, "csrf", key_id, out);
}

bool listed_session_check(const uint8_t secret[LISTED_SECRET_BYTES], const char *token,
                          char key_id[KEY_ID_BYTES]) {
    char expected[LISTED_TOKEN_BYTES];
    const char *dot = strchr(token, '.');
    size_t n = dot ? (size_t)(dot - token) : 0;
    if (n == 0 || n >= KEY_ID_BYTES) return false;
    memcpy(key_id, token, n);
    key_id[n] = '\0';
    listed_session_token(secret, key_id, expected);
    return strlen(token) == strlen(expected) &&
           sodium_memcmp(token, expected, strlen(expected)) == 0;
}
