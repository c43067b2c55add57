/* Databases of every earlier version are brought up to date, and keep what they hold. */
#include "store/opened.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/stored_messages.h"
#include "store/stored_runs.h"
#include "store/stored_usage.h"

/* What version 1 made, word by word, with something in it. */
static const char version_1[] =
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, folder TEXT NOT NULL, began TEXT NOT NULL,"
    " ended TEXT, name TEXT NOT NULL, model TEXT, data TEXT, method TEXT, state TEXT NOT NULL,"
    " step INTEGER NOT NULL, steps INTEGER NOT NULL, tokens INTEGER NOT NULL, loss REAL,"
    " best_loss REAL, UNIQUE (folder, began)) STRICT;"
    "INSERT INTO runs (folder, began, name, state, step, steps, tokens)"
    " VALUES ('/a', '2026-01-01T00:00:00Z', 'old', 'finished', 7, 7, 70);"
    "PRAGMA user_version = 1";
/* Each of what the later ones added is dropped again, the last first. */
static const char *const back[] = {
    [3] = "DROP TABLE usage; DROP TABLE usage_days; PRAGMA user_version = 3",
    [2] = "DROP TABLE messages; DROP TABLE conversations; DROP TABLE title_words;"
          "DROP TABLE message_words; PRAGMA user_version = 2",
    [1] = "DROP TABLE sessions; DROP TABLE keys; DROP TABLE secret_mark; DROP TABLE settings;"
          "PRAGMA user_version = 1",
};

static void carry_out(const char *name, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(scratch(name), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The tables as the database describes them. */
static void describe(const char *name, char *out, size_t size) {
    sqlite3 *db;
    sqlite3_stmt *row;
    out[0] = '\0';
    assert_int_equal(sqlite3_open(scratch(name), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT group_concat(type || name || tbl_name, ' '),"
                                        " (SELECT user_version FROM pragma_user_version),"
                                        " sum(length(sql)) FROM"
                                        " (SELECT * FROM sqlite_schema WHERE name <> 'runs'"
                                        "  ORDER BY name)",
                                        -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    snprintf(out, size, "%s %s %s", (const char *)sqlite3_column_text(row, 0),
             (const char *)sqlite3_column_text(row, 1), (const char *)sqlite3_column_text(row, 2));
    sqlite3_finalize(row);
    sqlite3_close(db);
}

static hearth_status count_message(void *context, const struct stored_message *message,
                                   hearth_error *err) {
    (void)err;
    *(int *)context += strcmp(message->content, "kept") == 0;
    return HEARTH_OK;
}

/* Everything works, and the run is still there. */
static void use(const char *name) {
    const struct stored_conversation empty = {.title = "t", .settings = "{}"};
    const struct stored_message message = {.role = "user", .content = "kept"};
    const struct usage_row row = {.model = "m"};
    struct stored_run_list runs;
    char conversation[STORE_ID_BYTES], id[STORE_ID_BYTES];
    int seen = 0;
    struct store *store = open_store(name);
    assert_int_equal(stored_conversations_add(store, "", &empty, conversation, NULL), HEARTH_OK);
    assert_int_equal(stored_messages_add(store, "", conversation, &message, id, NULL), HEARTH_OK);
    assert_int_equal(stored_messages_each(store, "", conversation, count_message, &seen, NULL),
                     HEARTH_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(stored_usage_add(store, &row, 1, NULL), HEARTH_OK);
    assert_int_equal(stored_runs_read(store, &runs, NULL), HEARTH_OK);
    assert_int_equal(runs.count, 1);
    assert_string_equal(runs.runs[0].name, "old");
    stored_runs_release(&runs);
    store_close(store);
}

static void every_earlier_version_becomes_the_present_one(void **state) {
    char fresh[4096], migrated[4096];
    (void)state;
    store_close(open_store("fresh.db"));
    describe("fresh.db", fresh, sizeof fresh);
    for (int version = 1; version <= 3; version++) {
        carry_out("old.db", version_1);
        if (version > 1) store_close(open_store("old.db"));
        for (int step = 3; step >= version && version > 1; step--)
            carry_out("old.db", back[step]);
        store_close(open_store("old.db"));
        describe("old.db", migrated, sizeof migrated);
        assert_string_equal(migrated, fresh);
        use("old.db");
        assert_int_equal(remove(scratch("old.db")), 0);
    }
    scratch_clear();
}

/* One that everybody could read is private once it holds more than runs. */
static void an_old_database_becomes_private(void **state) {
    struct stat info;
    (void)state;
    carry_out("old.db", version_1);
    assert_int_equal(chmod(scratch("old.db"), 0644), 0);
    store_close(open_store("old.db"));
    assert_int_equal(stat(scratch("old.db"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    scratch_clear();
}

static void processes_may_migrate_at_once(void **state) {
    enum { PROCESSES = 4 };
    pid_t children[PROCESSES];
    int how;
    (void)state;
    carry_out("old.db", version_1);
    for (int i = 0; i < PROCESSES; i++) {
        struct store *store;
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0) continue;
        _exit(store_open(&store, scratch("old.db"), NULL) == HEARTH_OK ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    use("old.db");
    scratch_clear();
}

/* A step that cannot be taken leaves the database as it was. */
static void a_failed_migration_changes_nothing(void **state) {
    struct store *store;
    hearth_error err = {0};
    char before[4096], after[4096];
    (void)state;
    carry_out("old.db", version_1);
    carry_out("old.db", "CREATE TABLE messages (x)");
    describe("old.db", before, sizeof before);
    assert_int_equal(store_open(&store, scratch("old.db"), &err), HEARTH_ERROR_IO);
    assert_contains(err.message, "already exists");
    describe("old.db", after, sizeof after);
    assert_string_equal(after, before);
    carry_out("old.db", "DROP TABLE messages");
    use("old.db");
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_earlier_version_becomes_the_present_one),
        cmocka_unit_test(an_old_database_becomes_private),
        cmocka_unit_test(processes_may_migrate_at_once),
        cmocka_unit_test(a_failed_migration_changes_nothing),
    };
    return cmocka_run_group_tests_name("store/migrations", tests, scratch_open, scratch_close);
}
