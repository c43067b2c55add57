#include "store/store_secret.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/private_file.h"
#include "store/database.h"

enum { ID_RANDOM_BYTES = 16, TOKEN_RANDOM_BYTES = 32 };

static void put_base64url(const uint8_t *bytes, size_t n, char *out, size_t out_size) {
    sodium_bin2base64(out, out_size, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void store_random_id(char out[STORE_ID_BYTES]) {
    uint8_t bytes[ID_RANDOM_BYTES];
    randombytes_buf(bytes, sizeof bytes);
    put_base64url(bytes, sizeof bytes, out, STORE_ID_BYTES);
}

void store_random_token(char out[STORE_TOKEN_BYTES]) {
    uint8_t bytes[TOKEN_RANDOM_BYTES];
    randombytes_buf(bytes, sizeof bytes);
    put_base64url(bytes, sizeof bytes, out, STORE_TOKEN_BYTES);
    sodium_memzero(bytes, sizeof bytes);
}

void store_hash(const struct store *store, enum store_hash_use use, const char *text,
                uint8_t out[STORE_HASH_BYTES]) {
    crypto_generichash_state state;
    const uint8_t kind = (uint8_t)use;
    crypto_generichash_init(&state, store->secret, sizeof store->secret, STORE_HASH_BYTES);
    crypto_generichash_update(&state, &kind, 1);
    crypto_generichash_update(&state, (const uint8_t *)text, strlen(text));
    crypto_generichash_final(&state, out, STORE_HASH_BYTES);
}

void store_hash_text(const uint8_t hash[STORE_HASH_BYTES], char out[STORE_TOKEN_BYTES]) {
    put_base64url(hash, STORE_HASH_BYTES, out, STORE_TOKEN_BYTES);
}

/* ---- the file --------------------------------------------------------------------------- */

static char *secret_path(const struct store *store) {
    size_t size = strlen(store->path) + sizeof ".secret";
    char *path = mem_alloc(size);
    if (path) snprintf(path, size, "%s.secret", store->path);
    return path;
}

static hearth_status read_mark(struct store *store, uint8_t mark[STORE_HASH_BYTES], bool *there,
                               hearth_error *err) {
    static const char sql[] = "SELECT mark FROM secret_mark";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    hearth_status status = store_step(store, statement, there, err);
    memset(mark, 0, STORE_HASH_BYTES);
    if (status == HEARTH_OK && *there &&
        sqlite3_column_bytes(statement, 0) == (int)STORE_HASH_BYTES)
        memcpy(mark, sqlite3_column_blob(statement, 0), STORE_HASH_BYTES);
    store_done(statement);
    return status;
}

static hearth_status write_mark(struct store *store, hearth_error *err) {
    static const char sql[] = "INSERT INTO secret_mark (one, mark) VALUES (1, ?)";
    uint8_t mark[STORE_HASH_BYTES];
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_hash(store, STORE_HASH_MARK, "", mark);
    sqlite3_bind_blob(statement, 1, mark, sizeof mark, SQLITE_STATIC);
    return store_finish(store, statement, err);
}

static hearth_status make_file(struct store *store, const char *path, hearth_error *err) {
    uint8_t fresh[STORE_SECRET_BYTES];
    randombytes_buf(fresh, sizeof fresh);
    hearth_status status = private_file_make(path, fresh, sizeof fresh, err);
    sodium_memzero(fresh, sizeof fresh);
    if (status == HEARTH_OK)
        status = private_file_read(path, store->secret, sizeof store->secret, err);
    return status;
}

static hearth_status check_mark(struct store *store, const char *path,
                                const uint8_t mark[STORE_HASH_BYTES], hearth_error *err) {
    uint8_t own[STORE_HASH_BYTES];
    store_hash(store, STORE_HASH_MARK, "", own);
    if (sodium_memcmp(own, mark, sizeof own) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "the secret '%s' is not the one that the keys in '%s' were made with: bring "
                     "that one back",
                     path, store->path);
}

static hearth_status find_secret(struct store *store, const char *path, bool make, bool *there,
                                 hearth_error *err) {
    uint8_t mark[STORE_HASH_BYTES];
    bool marked;
    RETURN_IF_ERROR(read_mark(store, mark, &marked, err));
    *there = marked || make;
    if (!*there) return HEARTH_OK;
    hearth_status status = private_file_read(path, store->secret, sizeof store->secret, err);
    if (status == HEARTH_ERROR_NOT_FOUND && marked)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the secret '%s' is missing, without which no key in '%s' can be checked: "
                         "bring it back",
                         path, store->path);
    if (status == HEARTH_ERROR_NOT_FOUND) status = make_file(store, path, err);
    if (status != HEARTH_OK) return status;
    return marked ? check_mark(store, path, mark, err) : write_mark(store, err);
}

static hearth_status need_secret(struct store *store, bool make, bool *there, hearth_error *err) {
    char *path = secret_path(store);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = find_secret(store, path, make, there, err);
    mem_free(path);
    return status;
}

/* A secret that was made here counts only when its mark is committed: `make` never remembers. */
hearth_status store_secret_load(struct store *store, bool *there, hearth_error *err) {
    *there = store->has_secret;
    if (*there) return HEARTH_OK;
    RETURN_IF_ERROR(need_secret(store, false, there, err));
    store->has_secret = *there;
    return HEARTH_OK;
}

hearth_status store_secret_make(struct store *store, hearth_error *err) {
    bool there = store->has_secret;
    return there ? HEARTH_OK : need_secret(store, true, &there, err);
}
