#include "store/database.h"

#include <sodium.h>

#include "base/mem.h"
#include "base/private_file.h"
#include "store/migrations.h"

hearth_status store_failure(const struct store *store, hearth_error *err) {
    const char *reason = sqlite3_errmsg(store->db), *path = store->path;
    switch (sqlite3_errcode(store->db)) {
    case SQLITE_NOMEM:
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the database '%s'", path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the database '%s' is damaged (%s): move it away, and a new one is begun",
                         path, reason);
    case SQLITE_BUSY:
        return error_set(err, HEARTH_ERROR_IO,
                         "another process has been writing to the database '%s' for %d seconds",
                         path, STORE_WAIT_S);
    case SQLITE_FULL:
        return error_set(err, HEARTH_ERROR_IO, "no room on the disk for the database '%s'", path);
    default:
        return error_set(err, HEARTH_ERROR_IO, "cannot use the database '%s': %s", path, reason);
    }
}

hearth_status store_execute(struct store *store, const char *sql, hearth_error *err) {
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? HEARTH_OK
                                                                       : store_failure(store, err);
}

hearth_status store_prepare(struct store *store, const char *sql, sqlite3_stmt **out,
                            hearth_error *err) {
    return sqlite3_prepare_v2(store->db, sql, -1, out, NULL) == SQLITE_OK
               ? HEARTH_OK
               : store_failure(store, err);
}

/* ---- statements that are kept ------------------------------------------------------- */

hearth_status store_statement(struct store *store, const char *sql, sqlite3_stmt **out,
                              hearth_error *err) {
    for (size_t i = 0; i < store->n_kept; i++) {
        if (store->kept[i].sql != sql) continue;
        *out = store->kept[i].statement;
        return HEARTH_OK;
    }
    *out = NULL;
    if (store->n_kept == STORE_MAX_KEPT)
        return error_set(err, HEARTH_ERROR_INTERNAL, "more than %d statements", STORE_MAX_KEPT);
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK)
        return store_failure(store, err);
    store->kept[store->n_kept].sql = sql;
    store->kept[store->n_kept++].statement = *out;
    return HEARTH_OK;
}

void store_done(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    if (statement) sqlite3_clear_bindings(statement);
}

hearth_status store_step(struct store *store, sqlite3_stmt *statement, bool *row,
                         hearth_error *err) {
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? HEARTH_OK : store_failure(store, err);
}

hearth_status store_finish(struct store *store, sqlite3_stmt *statement, hearth_error *err) {
    bool row;
    hearth_status status = store_step(store, statement, &row, err);
    store_done(statement);
    return status;
}

int64_t store_changes(const struct store *store) {
    return sqlite3_changes64(store->db);
}

void store_bind_text(sqlite3_stmt *statement, int place, const char *text) {
    sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

void store_bind_some(sqlite3_stmt *statement, int place, int64_t number) {
    if (number != 0) sqlite3_bind_int64(statement, place, number);
}

const char *store_text_at(sqlite3_stmt *row, int column) {
    return (const char *)sqlite3_column_text(row, column);
}

hearth_status store_check_row(const struct store *store, bool complete, hearth_error *err) {
    if (sqlite3_errcode(store->db) == SQLITE_NOMEM) return store_failure(store, err);
    return complete ? HEARTH_OK
                    : error_set(err, HEARTH_ERROR_FORMAT,
                                "the database '%s' is damaged: a row lacks what every row has",
                                store->path);
}

/* ---- transactions --------------------------------------------------------------------- */

/* A full disk, an error of the disk or of memory undoes everything at once. */
static bool is_undone(const struct store *store) {
    return sqlite3_get_autocommit(store->db) != 0;
}

static hearth_status undone(const struct store *store, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_IO, "the database '%s' undid what was written", store->path);
}

static hearth_status begin(struct store *store, const char *outermost, hearth_error *err) {
    if (store->depth > 0 && is_undone(store)) return undone(store, err);
    if (store->depth == 0 && store->is_stuck) {
        if (!is_undone(store)) RETURN_IF_ERROR(store_execute(store, "ROLLBACK", err));
        store->is_stuck = false;
    }
    RETURN_IF_ERROR(store_execute(store, store->depth == 0 ? outermost : "SAVEPOINT part", err));
    store->depth++;
    return HEARTH_OK;
}

hearth_status store_begin(struct store *store, hearth_error *err) {
    return begin(store, "BEGIN IMMEDIATE", err);
}

hearth_status store_begin_reading(struct store *store, hearth_error *err) {
    return begin(store, "BEGIN DEFERRED", err);
}

hearth_status store_end(struct store *store, hearth_status status, hearth_error *err) {
    bool outermost = --store->depth == 0;
    if (status == HEARTH_OK && (is_undone(store) || store->is_stuck)) status = undone(store, err);
    if (status == HEARTH_OK)
        status = store_execute(store, outermost ? "COMMIT" : "RELEASE part", err);
    /* Undoing takes memory, too, of which there may be none. */
    if (status != HEARTH_OK && !is_undone(store) &&
        store_execute(store, outermost ? "ROLLBACK" : "ROLLBACK TO part; RELEASE part", NULL) !=
            HEARTH_OK)
        store->is_stuck = true;
    return status;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Two processes that open a new database at once would both change its journal: SQLite then fails
 * one of them without waiting, as neither could give way. File systems without shared memory keep
 * their own journal mode, which is as safe. */
static hearth_status use_log(struct store *store, hearth_error *err) {
    enum { PAUSE_MS = 5 };
    hearth_status status;
    int waited_ms = 0;
    do {
        status = store_execute(store, "PRAGMA journal_mode = WAL", err);
    } while (status != HEARTH_OK && sqlite3_errcode(store->db) == SQLITE_BUSY &&
             (waited_ms += sqlite3_sleep(PAUSE_MS)) < STORE_WAIT_S * 1000);
    return status;
}

/* What a statement may have to undo is kept in memory: it is as large as what it changes. */
static hearth_status set_up(struct store *store, hearth_error *err) {
    sqlite3_busy_timeout(store->db, STORE_WAIT_S * 1000);
    RETURN_IF_ERROR(use_log(store, err));
    RETURN_IF_ERROR(store_execute(store,
                                  "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                                  "PRAGMA temp_store = MEMORY",
                                  err));
    return store_migrate(store, err);
}

static hearth_status open_database(struct store *store, const char *path, hearth_error *err) {
    store->path = mem_strdup(path);
    if (!store->path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    private_file_prepare(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (!store->db) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for '%s'", path);
    return code == SQLITE_OK ? set_up(store, err) : store_failure(store, err);
}

hearth_status store_open(struct store **out, const char *path, hearth_error *err) {
    struct store *store = mem_calloc(1, sizeof *store);
    *out = NULL;
    if (!store) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the database");
    hearth_status status = sodium_init() < 0
                               ? error_set(err, HEARTH_ERROR_INTERNAL, "libsodium cannot start")
                               : open_database(store, path, err);
    if (status != HEARTH_OK) {
        store_close(store);
        return status;
    }
    *out = store;
    return HEARTH_OK;
}

void store_close(struct store *store) {
    if (!store) return;
    for (size_t i = 0; i < store->n_kept; i++)
        sqlite3_finalize(store->kept[i].statement);
    sqlite3_close(store->db);
    sodium_memzero(store->secret, sizeof store->secret);
    mem_free(store->path);
    mem_free(store);
}
