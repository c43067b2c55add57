#include "store/database.h"

#include "base/mem.h"

/* Step i brings version i of the tables to version i + 1 (PRAGMA user_version). A step that was
 * published never changes. */
static const char *const migrations[] = {
    "CREATE TABLE runs ("
    " id INTEGER PRIMARY KEY,"
    " folder TEXT NOT NULL,"
    " began TEXT NOT NULL,"
    " ended TEXT,"
    " name TEXT NOT NULL,"
    " model TEXT,"
    " data TEXT,"
    " method TEXT,"
    " state TEXT NOT NULL,"
    " step INTEGER NOT NULL,"
    " steps INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL,"
    " loss REAL,"
    " best_loss REAL,"
    " UNIQUE (folder, began)"
    ") STRICT",
};
enum { VERSION = sizeof migrations / sizeof migrations[0] };

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

static hearth_status read_version(struct store *store, int *version, hearth_error *err) {
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_prepare(store, "PRAGMA user_version", &statement, err));
    bool there = sqlite3_step(statement) == SQLITE_ROW;
    *version = there ? sqlite3_column_int(statement, 0) : 0;
    hearth_status status = there ? HEARTH_OK : store_failure(store, err);
    sqlite3_finalize(statement);
    if (status == HEARTH_OK && (*version < 0 || *version > VERSION))
        status = error_set(err, HEARTH_ERROR_UNSUPPORTED,
                           "the database '%s' has version %d; this Hearth knows %d: a newer one "
                           "has used it",
                           store->path, *version, VERSION);
    return status;
}

/* Inside a transaction: another process may have done it since the version was read. */
static hearth_status take_steps(struct store *store, hearth_error *err) {
    char mark[48];
    int version;
    RETURN_IF_ERROR(read_version(store, &version, err));
    for (int step = version; step < VERSION; step++)
        RETURN_IF_ERROR(store_execute(store, migrations[step], err));
    sqlite3_snprintf((int)sizeof mark, mark, "PRAGMA user_version = %d", VERSION);
    return store_execute(store, mark, err);
}

static hearth_status migrate(struct store *store, hearth_error *err) {
    int version;
    RETURN_IF_ERROR(read_version(store, &version, err));
    if (version == VERSION) return HEARTH_OK;
    RETURN_IF_ERROR(store_execute(store, "BEGIN IMMEDIATE", err));
    hearth_status status = take_steps(store, err);
    if (status == HEARTH_OK) status = store_execute(store, "COMMIT", err);
    if (status != HEARTH_OK) store_execute(store, "ROLLBACK", NULL);
    return status;
}

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

static hearth_status open_database(struct store *store, const char *path, hearth_error *err) {
    store->path = mem_strdup(path);
    if (!store->path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (!store->db) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for '%s'", path);
    if (code != SQLITE_OK) return store_failure(store, err);
    sqlite3_busy_timeout(store->db, STORE_WAIT_S * 1000);
    RETURN_IF_ERROR(use_log(store, err));
    return migrate(store, err);
}

hearth_status store_open(struct store **out, const char *path, hearth_error *err) {
    struct store *store = mem_calloc(1, sizeof *store);
    *out = NULL;
    if (!store) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the database");
    hearth_status status = open_database(store, path, err);
    if (status != HEARTH_OK) {
        store_close(store);
        return status;
    }
    *out = store;
    return HEARTH_OK;
}

void store_close(struct store *store) {
    if (!store) return;
    sqlite3_close(store->db);
    mem_free(store->path);
    mem_free(store);
}
