#include "store/stored_sessions.h"

#include <string.h>

#include "store/database.h"
#include "store/key_row.h"

static const char missing[] = "the session has ended";

/* `hash` lives until the statement is done. */
static void bind_hash(const struct store *store, sqlite3_stmt *statement, const char *token,
                      uint8_t hash[STORE_HASH_BYTES]) {
    store_hash(store, STORE_HASH_SESSION, token, hash);
    sqlite3_bind_blob(statement, 1, hash, STORE_HASH_BYTES, SQLITE_STATIC);
}

static hearth_status insert(struct store *store, const char *key, int64_t now, int64_t expires,
                            const char *token, hearth_error *err) {
    static const char sql[] = "INSERT INTO sessions (hash, key, created, expires)"
                              " SELECT ?1, seq, ?3, ?4 FROM keys WHERE id = ?2";
    uint8_t hash[STORE_HASH_BYTES];
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    bind_hash(store, statement, token, hash);
    store_bind_text(statement, 2, key);
    sqlite3_bind_int64(statement, 3, now);
    sqlite3_bind_int64(statement, 4, expires);
    RETURN_IF_ERROR(store_finish(store, statement, err));
    return store_changes(store) == 1 ? HEARTH_OK
                                     : error_set(err, HEARTH_ERROR_NOT_FOUND, "the key is gone");
}

static hearth_status remove_old(struct store *store, const char *key, int64_t now,
                                hearth_error *err) {
    static const char sql[] =
        "DELETE FROM sessions WHERE expires <= ?2 OR hash IN (SELECT sessions.hash FROM sessions"
        " JOIN keys ON keys.seq = sessions.key WHERE keys.id = ?1"
        " ORDER BY sessions.created DESC LIMIT -1 OFFSET ?3)";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, now);
    sqlite3_bind_int(statement, 3, SESSIONS_MAX_PER_KEY - 1);
    return store_finish(store, statement, err);
}

hearth_status stored_sessions_add(struct store *store, const struct key_holder *holder, int64_t now,
                                  int64_t expires, char token[STORE_TOKEN_BYTES],
                                  hearth_error *err) {
    bool there;
    RETURN_IF_ERROR(store_secret_load(store, &there, err));
    if (!there) return error_set(err, HEARTH_ERROR_NOT_FOUND, "the key is gone");
    if (holder->expires != 0 && expires > holder->expires) expires = holder->expires;
    store_random_token(token);
    RETURN_IF_ERROR(store_begin(store, err));
    hearth_status status = remove_old(store, holder->id, now, err);
    if (status == HEARTH_OK) status = insert(store, holder->id, now, expires, token, err);
    return store_end(store, status, err);
}

hearth_status stored_sessions_check(struct store *store, const char *token, int64_t now,
                                    struct key_holder *holder, hearth_error *err) {
    static const char sql[] =
        "SELECT " KEY_HOLDER_COLUMNS " FROM sessions JOIN keys ON keys.seq = sessions.key"
        " WHERE sessions.hash = ?1 AND sessions.expires > ?2 AND" KEY_IS_VALID_AT;
    uint8_t hash[STORE_HASH_BYTES];
    sqlite3_stmt *statement;
    bool there;
    RETURN_IF_ERROR(store_secret_load(store, &there, err));
    if (!there || strlen(token) != STORE_TOKEN_BYTES - 1)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "%s", missing);
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    bind_hash(store, statement, token, hash);
    sqlite3_bind_int64(statement, 2, now);
    return key_row_take(store, statement, missing, holder, err);
}

hearth_status stored_sessions_remove(struct store *store, const char *token, hearth_error *err) {
    static const char sql[] = "DELETE FROM sessions WHERE hash = ?";
    uint8_t hash[STORE_HASH_BYTES];
    sqlite3_stmt *statement;
    bool there;
    RETURN_IF_ERROR(store_secret_load(store, &there, err));
    if (!there) return HEARTH_OK;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    bind_hash(store, statement, token, hash);
    return store_finish(store, statement, err);
}

void stored_sessions_csrf(const struct store *store, const char *token,
                          char out[STORE_TOKEN_BYTES]) {
    uint8_t hash[STORE_HASH_BYTES];
    store_hash(store, STORE_HASH_CSRF, token, hash);
    store_hash_text(hash, out);
}
