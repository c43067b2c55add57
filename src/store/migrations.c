#include "store/migrations.h"

#include "store/database.h"

/* Times are milliseconds since 1970 (UTC). */
static const char runs[] = /* to version 1 */
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
    ") STRICT";

static const char keys[] = /* to version 2 */
    "CREATE TABLE secret_mark ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " mark BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE keys ("
    " seq INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE,"
    " hash BLOB NOT NULL UNIQUE,"
    " shown TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " admin INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " expires INTEGER,"
    " last_used INTEGER,"
    " revoked INTEGER,"
    " requests_per_minute INTEGER,"
    " tokens_per_minute INTEGER,"
    " concurrent INTEGER"
    ") STRICT;"
    "CREATE TABLE sessions ("
    " hash BLOB PRIMARY KEY,"
    " key INTEGER NOT NULL REFERENCES keys,"
    " created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX sessions_of_key ON sessions (key, created);"
    "CREATE TABLE settings ("
    " name TEXT PRIMARY KEY,"
    " value TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID";

/* Bytes of the texts of a message, as seen by a trigger. */
#define TEXTS(row)                                                                                 \
    "length(CAST(" row ".content AS BLOB)) + coalesce(length(CAST(" row ".reasoning AS BLOB)), 0)" \
    " + coalesce(length(CAST(" row ".attachments AS BLOB)), 0)"                                    \
    " + coalesce(length(CAST(" row ".meta AS BLOB)), 0)"

/* The order of messages is that of seq; a parent comes before its children. Triggers keep the
 * index of words, and what a conversation knows of its size, in step with the messages. */
static const char conversations[] = /* to version 3 */
    "CREATE TABLE conversations ("
    " seq INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE,"
    " owner TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " settings TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL,"
    " n_messages INTEGER NOT NULL,"
    " n_bytes INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX conversations_of_owner ON conversations (owner, updated, seq);"
    "CREATE TABLE messages ("
    " seq INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE,"
    " conversation INTEGER NOT NULL REFERENCES conversations,"
    " parent INTEGER REFERENCES messages,"
    " role TEXT NOT NULL,"
    " content TEXT NOT NULL,"
    " reasoning TEXT,"
    " attachments TEXT,"
    " meta TEXT,"
    " created INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX messages_of_conversation ON messages (conversation);"
    "CREATE INDEX messages_of_parent ON messages (parent);"

    "CREATE VIRTUAL TABLE title_words USING fts5 (title, content = 'conversations',"
    " content_rowid = 'seq', prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2');"
    "CREATE TRIGGER title_added AFTER INSERT ON conversations BEGIN"
    " INSERT INTO title_words (rowid, title) VALUES (new.seq, new.title); END;"
    "CREATE TRIGGER title_removed AFTER DELETE ON conversations BEGIN"
    " INSERT INTO title_words (title_words, rowid, title) VALUES ('delete', old.seq, old.title);"
    " END;"
    "CREATE TRIGGER title_changed AFTER UPDATE OF title ON conversations BEGIN"
    " INSERT INTO title_words (title_words, rowid, title) VALUES ('delete', old.seq, old.title);"
    " INSERT INTO title_words (rowid, title) VALUES (new.seq, new.title); END;"

    "CREATE VIRTUAL TABLE message_words USING fts5 (content, content = 'messages',"
    " content_rowid = 'seq', prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2');"
    "CREATE TRIGGER message_added AFTER INSERT ON messages BEGIN"
    " INSERT INTO message_words (rowid, content) VALUES (new.seq, new.content);"
    " UPDATE conversations SET n_messages = n_messages + 1, n_bytes = n_bytes + " TEXTS(
        "new") "  WHERE seq = new.conversation; END;"
               "CREATE TRIGGER message_removed AFTER DELETE ON messages BEGIN"
               " INSERT INTO message_words (message_words, rowid, content)"
               "  VALUES ('delete', old.seq, old.content);"
               " UPDATE conversations SET n_messages = n_messages - 1, n_bytes = n_bytes - (" TEXTS(
                   "old") ") WHERE seq = old.conversation; END;"
                          "CREATE TRIGGER message_resized AFTER UPDATE ON messages BEGIN"
                          " UPDATE conversations SET n_bytes = n_bytes + " TEXTS(
                              "new") " - (" TEXTS("old") ")"
                                                         "  WHERE seq = new.conversation; END;"
                                                         "CREATE TRIGGER message_changed AFTER "
                                                         "UPDATE OF content ON messages BEGIN"
                                                         " INSERT INTO message_words "
                                                         "(message_words, rowid, content)"
                                                         "  VALUES ('delete', old.seq, "
                                                         "old.content);"
                                                         " INSERT INTO message_words (rowid, "
                                                         "content) VALUES (new.seq, new.content); "
                                                         "END";

static const char usage[] = /* to version 4 */
    "CREATE TABLE usage ("
    " seq INTEGER PRIMARY KEY,"
    " time INTEGER NOT NULL,"
    " key TEXT NOT NULL,"
    " model TEXT NOT NULL,"
    " endpoint TEXT NOT NULL,"
    " status INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL,"
    " answer_tokens INTEGER NOT NULL,"
    " queue_ms INTEGER NOT NULL,"
    " prompt_ms INTEGER NOT NULL,"
    " answer_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX usage_by_time ON usage (time);"
    "CREATE TABLE usage_days ("
    " day INTEGER NOT NULL," /* since 1970 */
    " key TEXT NOT NULL,"
    " model TEXT NOT NULL,"
    " requests INTEGER NOT NULL,"
    " failures INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL,"
    " answer_tokens INTEGER NOT NULL,"
    " busy_ms INTEGER NOT NULL,"
    " PRIMARY KEY (day, key, model)"
    ") STRICT, WITHOUT ROWID";

/* Step i brings version i of the tables to version i + 1 (PRAGMA user_version). A step that was
 * published never changes. */
static const char *const migrations[] = {runs, keys, conversations, usage};
enum { VERSION = sizeof migrations / sizeof migrations[0] };

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

hearth_status store_migrate(struct store *store, hearth_error *err) {
    int version;
    RETURN_IF_ERROR(read_version(store, &version, err));
    if (version == VERSION) return HEARTH_OK;
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, take_steps(store, err), err);
}
