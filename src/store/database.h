/* database.h - what the files of the store share: SQL, and what its failures are called. */
#ifndef HEARTH_STORE_DATABASE_H
#define HEARTH_STORE_DATABASE_H

#include <sqlite3.h>

#include "store/store.h"

struct store {
    sqlite3 *db;
    char *path;
};

/* What the last call on the database failed for. */
hearth_status store_failure(const struct store *store, hearth_error *err);
/* Statements without results. */
hearth_status store_execute(struct store *store, const char *sql, hearth_error *err);
/* `*out` is given: sqlite3_finalize. */
hearth_status store_prepare(struct store *store, const char *sql, sqlite3_stmt **out,
                            hearth_error *err);

#endif
