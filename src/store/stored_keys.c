#include "store/stored_keys.h"

#include <stdio.h>
#include <string.h>

#include "store/database.h"
#include "store/key_row.h"

static const char beginning[] = "sk-hearth-";

static void bind_limits(sqlite3_stmt *statement, int place, const struct stored_limits *limits) {
    store_bind_some(statement, place, limits->requests_per_minute);
    store_bind_some(statement, place + 1, limits->tokens_per_minute);
    store_bind_some(statement, place + 2, limits->concurrent);
}

static struct stored_limits limits_at(sqlite3_stmt *row, int column) {
    return (struct stored_limits){sqlite3_column_int64(row, column),
                                  sqlite3_column_int64(row, column + 1),
                                  sqlite3_column_int64(row, column + 2)};
}

/* ---- making ------------------------------------------------------------------------------- */

static hearth_status insert(struct store *store, const struct stored_key *key, const char *id,
                            const char *text, hearth_error *err) {
    static const char sql[] =
        "INSERT INTO keys (id, hash, shown, name, admin, created, expires, requests_per_minute,"
        " tokens_per_minute, concurrent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    uint8_t hash[STORE_HASH_BYTES];
    char shown[KEY_SHOWN_BYTES];
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_hash(store, STORE_HASH_KEY, text, hash);
    snprintf(shown, sizeof shown, "%.*s", (int)sizeof shown - 1, text);
    store_bind_text(statement, 1, id);
    sqlite3_bind_blob(statement, 2, hash, sizeof hash, SQLITE_STATIC);
    store_bind_text(statement, 3, shown);
    store_bind_text(statement, 4, key->name);
    sqlite3_bind_int(statement, 5, key->admin);
    sqlite3_bind_int64(statement, 6, key->created);
    store_bind_some(statement, 7, key->expires);
    bind_limits(statement, 8, &key->limits);
    return store_finish(store, statement, err);
}

static hearth_status add(struct store *store, const struct stored_key *key, const char *id,
                         const char *text, hearth_error *err) {
    struct key_counts counts;
    RETURN_IF_ERROR(stored_keys_count(store, key->created, &counts, err));
    if (counts.all >= KEYS_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "there are %d keys: revoke some first", KEYS_MAX);
    RETURN_IF_ERROR(store_secret_make(store, err));
    return insert(store, key, id, text, err);
}

hearth_status stored_keys_add(struct store *store, const struct stored_key *key,
                              char id[STORE_ID_BYTES], char text[KEY_TEXT_BYTES],
                              hearth_error *err) {
    memcpy(text, beginning, sizeof beginning);
    store_random_token(text + sizeof beginning - 1);
    store_random_id(id);
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, add(store, key, id, text, err), err);
}

/* ---- checking ------------------------------------------------------------------------------- */

hearth_status key_row_take(struct store *store, sqlite3_stmt *statement, const char *missing,
                           struct key_holder *holder, hearth_error *err) {
    bool row;
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && !row) status = error_set(err, HEARTH_ERROR_NOT_FOUND, "%s", missing);
    if (status == HEARTH_OK) {
        const char *id = store_text_at(statement, 0), *name = store_text_at(statement, 1);
        snprintf(holder->id, sizeof holder->id, "%s", id ? id : "");
        snprintf(holder->name, sizeof holder->name, "%s", name ? name : "");
        holder->admin = sqlite3_column_int(statement, 2) != 0;
        holder->expires = sqlite3_column_int64(statement, 3);
        holder->limits = limits_at(statement, 4);
        status = store_check_row(store, id && name, err);
    }
    store_done(statement);
    return status;
}

hearth_status stored_keys_check(struct store *store, const char *text, int64_t now,
                                struct key_holder *holder, hearth_error *err) {
    static const char sql[] =
        "SELECT " KEY_HOLDER_COLUMNS " FROM keys WHERE hash = ?1 AND" KEY_IS_VALID_AT;
    static const char missing[] = "there is no such key, or it has expired or was revoked";
    uint8_t hash[STORE_HASH_BYTES];
    sqlite3_stmt *statement;
    bool there;
    RETURN_IF_ERROR(store_secret_load(store, &there, err));
    if (!there || strlen(text) != KEY_TEXT_BYTES - 1)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "%s", missing);
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_hash(store, STORE_HASH_KEY, text, hash);
    sqlite3_bind_blob(statement, 1, hash, sizeof hash, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, now);
    return key_row_take(store, statement, missing, holder, err);
}

/* ---- listing -------------------------------------------------------------------------------- */

static hearth_status visit_row(const struct store *store, sqlite3_stmt *row, stored_key_visit visit,
                               void *context, hearth_error *err) {
    const struct stored_key key = {.id = store_text_at(row, 0),
                                   .name = store_text_at(row, 1),
                                   .shown = store_text_at(row, 2),
                                   .admin = sqlite3_column_int(row, 3) != 0,
                                   .created = sqlite3_column_int64(row, 4),
                                   .expires = sqlite3_column_int64(row, 5),
                                   .last_used = sqlite3_column_int64(row, 6),
                                   .revoked = sqlite3_column_int64(row, 7),
                                   .limits = limits_at(row, 8)};
    RETURN_IF_ERROR(store_check_row(store, key.id && key.name && key.shown, err));
    return visit(context, &key, err);
}

hearth_status stored_keys_each(struct store *store, bool with_revoked, stored_key_visit visit,
                               void *context, hearth_error *err) {
    static const char sql[] =
        "SELECT id, name, shown, admin, created, expires, last_used, revoked, requests_per_minute,"
        " tokens_per_minute, concurrent FROM keys WHERE ?1 OR revoked IS NULL ORDER BY seq";
    sqlite3_stmt *statement;
    bool row;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int(statement, 1, with_revoked);
    hearth_status status;
    while ((status = store_step(store, statement, &row, err)) == HEARTH_OK && row)
        if ((status = visit_row(store, statement, visit, context, err)) != HEARTH_OK) break;
    store_done(statement);
    return status;
}

hearth_status stored_keys_count(struct store *store, int64_t now, struct key_counts *counts,
                                hearth_error *err) {
    static const char sql[] = "SELECT count(*), count(*) FILTER (WHERE admin AND"
                              " coalesce(expires > ?, 1)) FROM keys WHERE revoked IS NULL";
    sqlite3_stmt *statement;
    bool row;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, now);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK)
        *counts = (struct key_counts){sqlite3_column_int64(statement, 0),
                                      sqlite3_column_int64(statement, 1)};
    store_done(statement);
    return status;
}

/* ---- changing ------------------------------------------------------------------------------- */

static hearth_status revoke(struct store *store, const char *id, int64_t now, hearth_error *err) {
    static const char mark[] = "UPDATE keys SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
    static const char end_sessions[] =
        "DELETE FROM sessions WHERE key = (SELECT seq FROM keys WHERE id = ?)";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, mark, &statement, err));
    store_bind_text(statement, 1, id);
    sqlite3_bind_int64(statement, 2, now);
    RETURN_IF_ERROR(store_finish(store, statement, err));
    if (store_changes(store) == 0)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no key '%.40s'", id);
    RETURN_IF_ERROR(store_statement(store, end_sessions, &statement, err));
    store_bind_text(statement, 1, id);
    return store_finish(store, statement, err);
}

hearth_status stored_keys_revoke(struct store *store, const char *id, int64_t now,
                                 hearth_error *err) {
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, revoke(store, id, now, err), err);
}

hearth_status stored_keys_touch(struct store *store, const char *id, int64_t now,
                                hearth_error *err) {
    static const char sql[] =
        "UPDATE keys SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    sqlite3_bind_int64(statement, 2, now);
    return store_finish(store, statement, err);
}
