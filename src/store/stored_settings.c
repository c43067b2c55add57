#include "store/stored_settings.h"

#include "base/mem.h"
#include "store/database.h"

static hearth_status take(const struct store *store, sqlite3_stmt *row, char **value,
                          hearth_error *err) {
    const char *text = store_text_at(row, 0);
    RETURN_IF_ERROR(store_check_row(store, text != NULL, err));
    *value = mem_strdup(text);
    return *value ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a setting");
}

hearth_status stored_settings_get(struct store *store, const char *name, char **value,
                                  hearth_error *err) {
    static const char sql[] = "SELECT value FROM settings WHERE name = ?";
    sqlite3_stmt *statement;
    bool row;
    *value = NULL;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, name);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && row) status = take(store, statement, value, err);
    store_done(statement);
    return status;
}

hearth_status stored_settings_put(struct store *store, const char *name, const char *value,
                                  hearth_error *err) {
    static const char sql[] = "INSERT INTO settings (name, value) VALUES (?, ?)"
                              " ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, name);
    store_bind_text(statement, 2, value);
    return store_finish(store, statement, err);
}
