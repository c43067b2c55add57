#include "store/stored_runs.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "store/database.h"

enum { TEXTS_MAX_BYTES = 1 << 28 };

/* The columns, in the order of bind and take. */
#define COLUMNS                                                                                    \
    "folder, began, ended, name, model, data, method, state, step, steps, tokens, loss, best_loss"
enum { TEXTS = 8 };

static const char **text_of(struct stored_run *run, int column) {
    const char **texts[TEXTS] = {&run->folder, &run->began, &run->ended,  &run->name,
                                 &run->model,  &run->data,  &run->method, &run->state};
    return texts[column];
}

static void bind_number(sqlite3_stmt *statement, int place, double number) {
    if (isfinite(number))
        sqlite3_bind_double(statement, place, number);
    else
        sqlite3_bind_null(statement, place);
}

/* A place that could not be bound is NULL, which the table then refuses or shows as unknown. */
static void bind(sqlite3_stmt *statement, const struct stored_run *run) {
    struct stored_run copy = *run;
    int place = 1;
    for (; place <= TEXTS; place++)
        sqlite3_bind_text(statement, place, *text_of(&copy, place - 1), -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, place++, (sqlite3_int64)run->step);
    sqlite3_bind_int64(statement, place++, (sqlite3_int64)run->steps);
    sqlite3_bind_int64(statement, place++, (sqlite3_int64)run->tokens);
    bind_number(statement, place++, run->loss);
    bind_number(statement, place, run->best_loss);
}

hearth_status stored_runs_put(struct store *store, const struct stored_run *run,
                              hearth_error *err) {
    static const char sql[] =
        "INSERT INTO runs (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (folder, began) DO UPDATE SET ended = excluded.ended, name = excluded.name,"
        " model = excluded.model, data = excluded.data, method = excluded.method,"
        " state = excluded.state, step = excluded.step, steps = excluded.steps,"
        " tokens = excluded.tokens, loss = excluded.loss, best_loss = excluded.best_loss";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_prepare(store, sql, &statement, err));
    bind(statement, run);
    hearth_status status =
        sqlite3_step(statement) == SQLITE_DONE ? HEARTH_OK : store_failure(store, err);
    sqlite3_finalize(statement);
    return status;
}

hearth_status stored_runs_forget(struct store *store, const char *folder, hearth_error *err) {
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_prepare(store, "DELETE FROM runs WHERE folder = ?", &statement, err));
    sqlite3_bind_text(statement, 1, folder, -1, SQLITE_STATIC);
    hearth_status status =
        sqlite3_step(statement) == SQLITE_DONE ? HEARTH_OK : store_failure(store, err);
    sqlite3_finalize(statement);
    return status;
}

static double number_at(sqlite3_stmt *row, int column) {
    return sqlite3_column_type(row, column) == SQLITE_NULL ? (double)NAN
                                                           : sqlite3_column_double(row, column);
}

static bool take_texts(struct stored_run_list *list, sqlite3_stmt *row, struct stored_run *run) {
    for (int i = 0; i < TEXTS; i++) {
        const char *text = (const char *)sqlite3_column_text(row, 1 + i);
        if (!text) continue;
        *text_of(run, i) = arena_strndup(&list->strings, text, strlen(text));
        if (!*text_of(run, i)) return false;
    }
    return true;
}

static hearth_status take(struct stored_run_list *list, sqlite3_stmt *row, hearth_error *err) {
    struct stored_run run = {.id = sqlite3_column_int64(row, 0)};
    struct stored_run *grown = mem_realloc_array(list->runs, list->count + 1, sizeof *grown);
    if (grown) list->runs = grown;
    if (!grown || !take_texts(list, row, &run))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of runs");
    run.step = (uint64_t)sqlite3_column_int64(row, TEXTS + 1);
    run.steps = (uint64_t)sqlite3_column_int64(row, TEXTS + 2);
    run.tokens = (uint64_t)sqlite3_column_int64(row, TEXTS + 3);
    run.loss = number_at(row, TEXTS + 4);
    run.best_loss = number_at(row, TEXTS + 5);
    list->runs[list->count++] = run;
    return HEARTH_OK;
}

hearth_status stored_runs_read(struct store *store, struct stored_run_list *list,
                               hearth_error *err) {
    static const char sql[] = "SELECT id, " COLUMNS " FROM runs ORDER BY began DESC, id DESC";
    sqlite3_stmt *statement;
    int code;
    hearth_status status = HEARTH_OK;
    *list = (struct stored_run_list){0};
    arena_init(&list->strings, TEXTS_MAX_BYTES);
    RETURN_IF_ERROR(store_prepare(store, sql, &statement, err));
    while (status == HEARTH_OK && (code = sqlite3_step(statement)) != SQLITE_DONE)
        status = code == SQLITE_ROW ? take(list, statement, err) : store_failure(store, err);
    sqlite3_finalize(statement);
    return status;
}

void stored_runs_release(struct stored_run_list *list) {
    arena_release(&list->strings);
    mem_free(list->runs);
    *list = (struct stored_run_list){0};
}
