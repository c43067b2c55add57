#include "store/stored_conversations.h"

#include <string.h>

#include "base/buf.h"
#include "store/conversation_row.h"

static hearth_status not_found(const char *id, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no conversation '%.40s'", id);
}

hearth_status conversation_find(struct store *store, const char *owner, const char *id,
                                int64_t *seq, hearth_error *err) {
    static const char sql[] = "SELECT seq FROM conversations WHERE id = ? AND owner = ?";
    sqlite3_stmt *statement;
    bool row;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    store_bind_text(statement, 2, owner);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && !row) status = not_found(id, err);
    if (status == HEARTH_OK) *seq = sqlite3_column_int64(statement, 0);
    store_done(statement);
    return status;
}

hearth_status conversation_insert(struct store *store, const char *owner, const char *id,
                                  const struct stored_conversation *conversation, int64_t *seq,
                                  hearth_error *err) {
    static const char sql[] = "INSERT INTO conversations (id, owner, title, settings, created,"
                              " updated, n_messages, n_bytes) VALUES (?, ?, ?, ?, ?, ?, 0, 0)";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    store_bind_text(statement, 2, owner);
    store_bind_text(statement, 3, conversation->title);
    store_bind_text(statement, 4, conversation->settings);
    sqlite3_bind_int64(statement, 5, conversation->created);
    sqlite3_bind_int64(statement, 6, conversation->updated);
    RETURN_IF_ERROR(store_finish(store, statement, err));
    *seq = sqlite3_last_insert_rowid(store->db);
    return HEARTH_OK;
}

hearth_status stored_conversations_add(struct store *store, const char *owner,
                                       const struct stored_conversation *conversation,
                                       char id[STORE_ID_BYTES], hearth_error *err) {
    int64_t seq;
    store_random_id(id);
    return conversation_insert(store, owner, id, conversation, &seq, err);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Columns: id, title, created, updated, and a fifth that is the settings or a snippet. */
static hearth_status visit_row(const struct store *store, sqlite3_stmt *row, bool with_settings,
                               stored_conversation_visit visit, void *context, hearth_error *err) {
    const char *fifth = store_text_at(row, 4);
    const struct stored_conversation conversation = {.id = store_text_at(row, 0),
                                                     .title = store_text_at(row, 1),
                                                     .created = sqlite3_column_int64(row, 2),
                                                     .updated = sqlite3_column_int64(row, 3),
                                                     .settings = with_settings ? fifth : NULL,
                                                     .snippet = with_settings ? NULL : fifth};
    bool complete = conversation.id && conversation.title && (fifth || !with_settings);
    RETURN_IF_ERROR(store_check_row(store, complete, err));
    return visit(context, &conversation, err);
}

hearth_status stored_conversations_read(struct store *store, const char *owner, const char *id,
                                        stored_conversation_visit visit, void *context,
                                        hearth_error *err) {
    static const char sql[] = "SELECT id, title, created, updated, settings FROM conversations"
                              " WHERE id = ? AND owner = ?";
    sqlite3_stmt *statement;
    bool row;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    store_bind_text(statement, 2, owner);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && !row) status = not_found(id, err);
    if (status == HEARTH_OK) status = visit_row(store, statement, true, visit, context, err);
    store_done(statement);
    return status;
}

/* ---- lists and search ------------------------------------------------------------------- */

/* The place in the list after which it goes on. */
struct place {
    int64_t updated, seq;
};

static hearth_status find_place(struct store *store, const char *owner,
                                const struct conversation_query *query, struct place *place,
                                hearth_error *err) {
    static const char sql[] = "SELECT updated, seq FROM conversations WHERE id = ? AND owner = ?";
    sqlite3_stmt *statement;
    bool row;
    *place = (struct place){query->before ? query->before : INT64_MAX, INT64_MIN};
    if (!query->before_id) return HEARTH_OK;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, query->before_id);
    store_bind_text(statement, 2, owner);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && !row) status = not_found(query->before_id, err);
    if (status == HEARTH_OK)
        *place =
            (struct place){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
    store_done(statement);
    return status;
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Every word as a quoted beginning, so that nothing in it is an operator of the search language
 * (SQLite FTS5, section 3.1); a row must have them all. */
static bool write_match(struct buf *out, const char *words) {
    size_t n_words = 0;
    while (*words && n_words < CONVERSATION_WORDS_MAX) {
        for (; is_blank(*words); words++) {
        }
        if (!*words) break;
        buf_append_char(out, '"');
        for (; *words && !is_blank(*words); words++)
            if (*words == '"')
                buf_append_text(out, "\"\"");
            else
                buf_append_char(out, *words);
        buf_append_text(out, "\"* ");
        n_words++;
    }
    return !out->failed;
}

static const char list_sql[] = "SELECT id, title, created, updated, NULL FROM conversations"
                               " WHERE owner = ?1 AND (updated, seq) < (?2, ?3)"
                               " ORDER BY updated DESC, seq DESC LIMIT ?4";
/* The text around the words is found only for what is shown. */
static const char search_sql[] =
    "WITH hits (conversation, message) AS ("
    "  SELECT rowid, NULL FROM title_words WHERE title_words MATCH ?5"
    "  UNION ALL SELECT messages.conversation, max(messages.seq) FROM message_words"
    "  JOIN messages ON messages.seq = message_words.rowid"
    "  WHERE message_words MATCH ?5 GROUP BY messages.conversation),"
    " page AS MATERIALIZED ("
    "  SELECT c.id, c.title, c.created, c.updated, c.seq, max(hits.message) AS message"
    "  FROM hits JOIN conversations AS c ON c.seq = hits.conversation"
    "  WHERE c.owner = ?1 AND (c.updated, c.seq) < (?2, ?3)"
    "  GROUP BY c.seq ORDER BY c.updated DESC, c.seq DESC LIMIT ?4)"
    " SELECT id, title, created, updated, (SELECT snippet(message_words, 0, '', '', '…', 24)"
    "  FROM message_words WHERE message_words MATCH ?5 AND rowid = page.message)"
    " FROM page ORDER BY updated DESC, seq DESC";

static hearth_status list(struct store *store, const char *owner, const struct place *place,
                          const struct conversation_query *query, const char *match,
                          stored_conversation_visit visit, void *context, hearth_error *err) {
    sqlite3_stmt *statement;
    bool row;
    hearth_status status;
    RETURN_IF_ERROR(store_statement(store, *match ? search_sql : list_sql, &statement, err));
    store_bind_text(statement, 1, owner);
    sqlite3_bind_int64(statement, 2, place->updated);
    sqlite3_bind_int64(statement, 3, place->seq);
    sqlite3_bind_int(statement, 4, query->limit);
    if (*match) store_bind_text(statement, 5, match);
    while ((status = store_step(store, statement, &row, err)) == HEARTH_OK && row)
        if ((status = visit_row(store, statement, false, visit, context, err)) != HEARTH_OK) break;
    store_done(statement);
    return status;
}

hearth_status stored_conversations_each(struct store *store, const char *owner,
                                        const struct conversation_query *query,
                                        stored_conversation_visit visit, void *context,
                                        hearth_error *err) {
    struct place place;
    struct buf match;
    RETURN_IF_ERROR(find_place(store, owner, query, &place, err));
    size_t length = query->words ? strlen(query->words) : 0;
    buf_init(&match, 2 * length + 5 * (size_t)CONVERSATION_WORDS_MAX);
    hearth_status status = HEARTH_OK;
    if (query->words && !write_match(&match, query->words))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a search");
    if (status == HEARTH_OK)
        status = list(store, owner, &place, query, buf_text(&match), visit, context, err);
    buf_release(&match);
    return status;
}

/* ---- changing ----------------------------------------------------------------------------- */

hearth_status stored_conversations_change(struct store *store, const char *owner, const char *id,
                                          const char *title, const char *settings, int64_t now,
                                          hearth_error *err) {
    static const char sql[] =
        "UPDATE conversations SET title = coalesce(?3, title), settings = coalesce(?4, settings),"
        " updated = max(updated, ?5) WHERE id = ?1 AND owner = ?2";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    store_bind_text(statement, 2, owner);
    store_bind_text(statement, 3, title);
    store_bind_text(statement, 4, settings);
    sqlite3_bind_int64(statement, 5, now);
    RETURN_IF_ERROR(store_finish(store, statement, err));
    return store_changes(store) == 1 ? HEARTH_OK : not_found(id, err);
}

static hearth_status delete_rows(struct store *store, const char *sql, int64_t seq,
                                 hearth_error *err) {
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, seq);
    return store_finish(store, statement, err);
}

static hearth_status remove_all(struct store *store, const char *owner, const char *id,
                                hearth_error *err) {
    static const char messages[] = "DELETE FROM messages WHERE conversation = ?";
    static const char conversation[] = "DELETE FROM conversations WHERE seq = ?";
    int64_t seq;
    RETURN_IF_ERROR(conversation_find(store, owner, id, &seq, err));
    RETURN_IF_ERROR(delete_rows(store, messages, seq, err));
    return delete_rows(store, conversation, seq, err);
}

hearth_status stored_conversations_remove(struct store *store, const char *owner, const char *id,
                                          hearth_error *err) {
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, remove_all(store, owner, id, err), err);
}
