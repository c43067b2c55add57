/* database.h - what the files of the store share: SQL, and what its failures are called.
 *
 * A statement is prepared once and kept. Between store_statement and store_done it is the
 * caller's: values are bound, rows taken. What was not bound is NULL. */
#ifndef HEARTH_STORE_DATABASE_H
#define HEARTH_STORE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum { STORE_MAX_KEPT = 96, STORE_SECRET_BYTES = 32 };

struct store {
    sqlite3 *db;
    char *path;
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } kept[STORE_MAX_KEPT];
    size_t n_kept;
    unsigned depth; /* of transactions inside each other */
    bool is_stuck;  /* a part could not be undone: the whole must be */
    bool has_secret;
    uint8_t secret[STORE_SECRET_BYTES]; /* store_secret.h */
};

/* What the last call on the database failed for. */
hearth_status store_failure(const struct store *store, hearth_error *err);
/* Statements without results. */
hearth_status store_execute(struct store *store, const char *sql, hearth_error *err);
/* `*out` is given: sqlite3_finalize. */
hearth_status store_prepare(struct store *store, const char *sql, sqlite3_stmt **out,
                            hearth_error *err);

/* `sql` is a constant, known by its address; `*out` is NULL on failure, and else goes back with
 * store_done. */
hearth_status store_statement(struct store *store, const char *sql, sqlite3_stmt **out,
                              hearth_error *err);
void store_done(sqlite3_stmt *statement); /* NULL is fine */
/* The next row, if there is one. */
hearth_status store_step(struct store *store, sqlite3_stmt *statement, bool *row,
                         hearth_error *err);
/* Carries out a statement without rows, and is done with it. */
hearth_status store_finish(struct store *store, sqlite3_stmt *statement, hearth_error *err);
/* Rows that the last finished statement changed. */
int64_t store_changes(const struct store *store);

/* The text, which lives until the statement is done; NULL is NULL. */
void store_bind_text(sqlite3_stmt *statement, int place, const char *text);
/* 0 is NULL, as in columns where nothing is none. */
void store_bind_some(sqlite3_stmt *statement, int place, int64_t number);
/* Borrowed until the next row; NULL where the column is, or memory was short. */
const char *store_text_at(sqlite3_stmt *row, int column);
/* After the texts of a row were taken; `complete`: those are there that every row has. */
hearth_status store_check_row(const struct store *store, bool complete, hearth_error *err);

/* Everything up to store_end is there whole or not at all, also within a larger such stretch.
 * Writing waits for other writers here, and not in the middle; reading sees one moment. */
hearth_status store_begin(struct store *store, hearth_error *err);
hearth_status store_begin_reading(struct store *store, hearth_error *err);
/* Commits if `status` is HEARTH_OK, else undoes; returns what became of it. */
hearth_status store_end(struct store *store, hearth_status status, hearth_error *err);

#endif
