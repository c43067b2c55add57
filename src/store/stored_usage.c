#include "store/stored_usage.h"

#include "base/date.h"
#include "store/database.h"
#include "store/stored_keys.h"

static hearth_status insert(struct store *store, const struct usage_row *row, hearth_error *err) {
    static const char sql[] =
        "INSERT INTO usage (time, key, model, endpoint, status, prompt_tokens, answer_tokens,"
        " queue_ms, prompt_ms, answer_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const int64_t numbers[] = {row->status,   row->prompt_tokens, row->answer_tokens,
                               row->queue_ms, row->prompt_ms,     row->answer_ms};
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, row->time);
    store_bind_text(statement, 2, row->key);
    store_bind_text(statement, 3, row->model);
    store_bind_text(statement, 4, row->endpoint);
    for (int i = 0; i < (int)(sizeof numbers / sizeof *numbers); i++)
        sqlite3_bind_int64(statement, 5 + i, numbers[i]);
    return store_finish(store, statement, err);
}

static hearth_status insert_all(struct store *store, const struct usage_row *rows, size_t count,
                                hearth_error *err) {
    for (size_t i = 0; i < count; i++) {
        RETURN_IF_ERROR(insert(store, &rows[i], err));
        if (*rows[i].key) RETURN_IF_ERROR(stored_keys_touch(store, rows[i].key, rows[i].time, err));
    }
    return HEARTH_OK;
}

hearth_status stored_usage_add(struct store *store, const struct usage_row *rows, size_t count,
                               hearth_error *err) {
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, insert_all(store, rows, count, err), err);
}

/* ---- days ----------------------------------------------------------------------------------- */

static hearth_status run_before(struct store *store, const char *sql, int64_t before,
                                hearth_error *err) {
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, before);
    return store_finish(store, statement, err);
}

hearth_status stored_usage_fold(struct store *store, int64_t before, hearth_error *err) {
    static const char fold[] =
        "INSERT INTO usage_days (day, key, model, requests, failures, prompt_tokens,"
        " answer_tokens, busy_ms) SELECT time / 86400000, key, model, count(*),"
        " sum(status >= 400), sum(prompt_tokens), sum(answer_tokens), sum(prompt_ms + answer_ms)"
        " FROM usage WHERE time < ? GROUP BY 1, 2, 3 ON CONFLICT (day, key, model) DO UPDATE SET"
        " requests = requests + excluded.requests, failures = failures + excluded.failures,"
        " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
        " answer_tokens = answer_tokens + excluded.answer_tokens,"
        " busy_ms = busy_ms + excluded.busy_ms";
    static const char forget[] = "DELETE FROM usage WHERE time < ?";
    int64_t first_kept = before / DATE_DAY_MS * DATE_DAY_MS;
    RETURN_IF_ERROR(store_begin(store, err));
    hearth_status status = run_before(store, fold, first_kept, err);
    if (status == HEARTH_OK) status = run_before(store, forget, first_kept, err);
    return store_end(store, status, err);
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* ?1: a key or NULL; ?2: the first day. */
#define ROWS                                                                                       \
    "WITH rows (day, key, model, requests, failures, prompt, answer, busy) AS ("                   \
    " SELECT time / 86400000, key, model, 1, status >= 400, prompt_tokens, answer_tokens,"         \
    "  prompt_ms + answer_ms FROM usage WHERE time >= ?2 * 86400000 AND coalesce(key = ?1, 1)"     \
    " UNION ALL SELECT day, key, model, requests, failures, prompt_tokens, answer_tokens, busy_ms" \
    "  FROM usage_days WHERE day >= ?2 AND coalesce(key = ?1, 1)) "
#define SUMS " sum(requests), sum(failures), sum(prompt), sum(answer), sum(busy) FROM rows"

static const char *const sums_sql[] = {
    [USAGE_BY_DAY] = ROWS "SELECT day, NULL, NULL," SUMS " GROUP BY day ORDER BY day DESC",
    [USAGE_BY_KEY] = ROWS "SELECT 0, key, (SELECT name FROM keys WHERE id = key)," SUMS
                          " GROUP BY key ORDER BY sum(answer) DESC, key",
    [USAGE_BY_MODEL] =
        ROWS "SELECT 0, model, NULL," SUMS " GROUP BY model ORDER BY sum(answer) DESC, model",
};

static hearth_status visit_row(const struct store *store, sqlite3_stmt *row, enum usage_by by,
                               usage_visit visit, void *context, hearth_error *err) {
    const struct usage_sum sum = {.day = sqlite3_column_int64(row, 0),
                                  .name = store_text_at(row, 1),
                                  .title = store_text_at(row, 2),
                                  .requests = sqlite3_column_int64(row, 3),
                                  .failures = sqlite3_column_int64(row, 4),
                                  .prompt_tokens = sqlite3_column_int64(row, 5),
                                  .answer_tokens = sqlite3_column_int64(row, 6),
                                  .busy_ms = sqlite3_column_int64(row, 7)};
    RETURN_IF_ERROR(store_check_row(store, by == USAGE_BY_DAY || sum.name, err));
    return visit(context, &sum, err);
}

hearth_status stored_usage_sum(struct store *store, enum usage_by by, const char *key,
                               int64_t since, usage_visit visit, void *context, hearth_error *err) {
    sqlite3_stmt *statement;
    bool row;
    hearth_status status;
    RETURN_IF_ERROR(store_statement(store, sums_sql[by], &statement, err));
    store_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, since / DATE_DAY_MS);
    while ((status = store_step(store, statement, &row, err)) == HEARTH_OK && row)
        if ((status = visit_row(store, statement, by, visit, context, err)) != HEARTH_OK) break;
    store_done(statement);
    return status;
}
