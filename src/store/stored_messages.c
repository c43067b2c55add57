#include "store/stored_messages.h"

#include "base/mem.h"
#include "store/conversation_row.h"

/* ---- adding --------------------------------------------------------------------------------- */

/* A parent of 0: none. */
static hearth_status insert(struct store *store, int64_t conversation, int64_t parent,
                            const struct stored_message *message, const char *id,
                            hearth_error *err) {
    static const char sql[] =
        "INSERT INTO messages (id, conversation, parent, role, content, reasoning, attachments,"
        " meta, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    sqlite3_bind_int64(statement, 2, conversation);
    store_bind_some(statement, 3, parent);
    store_bind_text(statement, 4, message->role);
    store_bind_text(statement, 5, message->content);
    store_bind_text(statement, 6, message->reasoning);
    store_bind_text(statement, 7, message->attachments);
    store_bind_text(statement, 8, message->meta);
    sqlite3_bind_int64(statement, 9, message->created);
    return store_finish(store, statement, err);
}

static hearth_status too_large(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "a conversation has at most %d messages and %d bytes of text",
                     STORED_MESSAGES_MAX, STORED_MESSAGES_MAX_BYTES);
}

/* Notes the time, and looks at what the triggers have counted. */
static hearth_status note_change(struct store *store, int64_t conversation, int64_t now,
                                 hearth_error *err) {
    static const char sql[] = "UPDATE conversations SET updated = max(updated, ?2)"
                              " WHERE seq = ?1 RETURNING n_messages, n_bytes";
    sqlite3_stmt *statement;
    bool row;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, conversation);
    sqlite3_bind_int64(statement, 2, now);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && row &&
        (sqlite3_column_int64(statement, 0) > STORED_MESSAGES_MAX ||
         sqlite3_column_int64(statement, 1) > STORED_MESSAGES_MAX_BYTES))
        status = too_large(err);
    store_done(statement);
    return status;
}

static hearth_status find_message(struct store *store, int64_t conversation, const char *id,
                                  int64_t *seq, bool *there, hearth_error *err) {
    static const char sql[] = "SELECT seq FROM messages WHERE id = ? AND conversation = ?";
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    store_bind_text(statement, 1, id);
    sqlite3_bind_int64(statement, 2, conversation);
    hearth_status status = store_step(store, statement, there, err);
    *seq = *there ? sqlite3_column_int64(statement, 0) : 0;
    store_done(statement);
    return status;
}

static hearth_status add(struct store *store, const char *owner, const char *conversation,
                         const struct stored_message *message, const char *id, hearth_error *err) {
    int64_t seq, parent = 0;
    bool there = true;
    RETURN_IF_ERROR(conversation_find(store, owner, conversation, &seq, err));
    if (message->parent)
        RETURN_IF_ERROR(find_message(store, seq, message->parent, &parent, &there, err));
    if (!there)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the conversation has no message '%.40s'",
                         message->parent);
    RETURN_IF_ERROR(insert(store, seq, parent, message, id, err));
    return note_change(store, seq, message->created, err);
}

hearth_status stored_messages_add(struct store *store, const char *owner, const char *conversation,
                                  const struct stored_message *message, char id[STORE_ID_BYTES],
                                  hearth_error *err) {
    store_random_id(id);
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, add(store, owner, conversation, message, id, err), err);
}

static hearth_status insert_all(struct store *store, int64_t conversation,
                                const struct stored_message *messages, const size_t *parents,
                                size_t count, int64_t *seqs, hearth_error *err) {
    char id[STORE_ID_BYTES];
    for (size_t i = 0; i < count; i++) {
        int64_t parent = parents[i] < i ? seqs[parents[i]] : 0;
        store_random_id(id);
        RETURN_IF_ERROR(insert(store, conversation, parent, &messages[i], id, err));
        seqs[i] = sqlite3_last_insert_rowid(store->db);
    }
    return HEARTH_OK;
}

hearth_status stored_messages_import(struct store *store, const char *owner,
                                     const struct stored_conversation *conversation,
                                     const struct stored_message *messages, const size_t *parents,
                                     size_t count, char id[STORE_ID_BYTES], hearth_error *err) {
    if (count > STORED_MESSAGES_MAX) return too_large(err);
    int64_t seq = 0, *seqs = mem_alloc_array(count, sizeof *seqs);
    if (!seqs) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu messages", count);
    store_random_id(id);
    hearth_status status = store_begin(store, err);
    if (status == HEARTH_OK) {
        status = conversation_insert(store, owner, id, conversation, &seq, err);
        if (status == HEARTH_OK)
            status = insert_all(store, seq, messages, parents, count, seqs, err);
        if (status == HEARTH_OK) status = note_change(store, seq, conversation->updated, err);
        status = store_end(store, status, err);
    }
    mem_free(seqs);
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "m.id, parents.id, m.role, m.content, m.reasoning, m.attachments, m.meta, m.created"           \
    " FROM messages AS m LEFT JOIN messages AS parents ON parents.seq = m.parent"

static hearth_status visit_row(const struct store *store, sqlite3_stmt *row,
                               stored_message_visit visit, void *context, hearth_error *err) {
    const struct stored_message message = {.id = store_text_at(row, 0),
                                           .parent = store_text_at(row, 1),
                                           .role = store_text_at(row, 2),
                                           .content = store_text_at(row, 3),
                                           .reasoning = store_text_at(row, 4),
                                           .attachments = store_text_at(row, 5),
                                           .meta = store_text_at(row, 6),
                                           .created = sqlite3_column_int64(row, 7)};
    RETURN_IF_ERROR(store_check_row(store, message.id && message.role && message.content, err));
    return visit(context, &message, err);
}

static hearth_status visit_all(struct store *store, int64_t conversation,
                               stored_message_visit visit, void *context, hearth_error *err) {
    static const char sql[] = "SELECT " COLUMNS " WHERE m.conversation = ? ORDER BY m.seq";
    sqlite3_stmt *statement;
    bool row;
    hearth_status status;
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, conversation);
    while ((status = store_step(store, statement, &row, err)) == HEARTH_OK && row)
        if ((status = visit_row(store, statement, visit, context, err)) != HEARTH_OK) break;
    store_done(statement);
    return status;
}

hearth_status stored_messages_each(struct store *store, const char *owner, const char *conversation,
                                   stored_message_visit visit, void *context, hearth_error *err) {
    int64_t seq;
    RETURN_IF_ERROR(conversation_find(store, owner, conversation, &seq, err));
    return visit_all(store, seq, visit, context, err);
}

/* The message's row, which must be there. */
static hearth_status need_message(struct store *store, const char *owner, const char *conversation,
                                  const char *id, int64_t *conversation_seq, int64_t *seq,
                                  hearth_error *err) {
    bool there;
    RETURN_IF_ERROR(conversation_find(store, owner, conversation, conversation_seq, err));
    RETURN_IF_ERROR(find_message(store, *conversation_seq, id, seq, &there, err));
    return there ? HEARTH_OK
                 : error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no message '%.40s'", id);
}

hearth_status stored_messages_read(struct store *store, const char *owner, const char *conversation,
                                   const char *id, stored_message_visit visit, void *context,
                                   hearth_error *err) {
    static const char sql[] = "SELECT " COLUMNS " WHERE m.seq = ?";
    int64_t conversation_seq, seq;
    sqlite3_stmt *statement;
    bool row;
    RETURN_IF_ERROR(need_message(store, owner, conversation, id, &conversation_seq, &seq, err));
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, seq);
    hearth_status status = store_step(store, statement, &row, err);
    if (status == HEARTH_OK && row) status = visit_row(store, statement, visit, context, err);
    store_done(statement);
    return status;
}

/* ---- changing ------------------------------------------------------------------------------- */

static hearth_status change_row(struct store *store, const char *owner, const char *conversation,
                                const char *id, const struct message_change *change, int64_t now,
                                hearth_error *err) {
    static const char sql[] = "UPDATE messages SET content = coalesce(?2, content),"
                              " reasoning = iif(?3, ?4, reasoning), meta = iif(?5, ?6, meta)"
                              " WHERE seq = ?1";
    int64_t conversation_seq, seq;
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(need_message(store, owner, conversation, id, &conversation_seq, &seq, err));
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, seq);
    store_bind_text(statement, 2, change->content);
    sqlite3_bind_int(statement, 3, change->set_reasoning);
    store_bind_text(statement, 4, change->reasoning);
    sqlite3_bind_int(statement, 5, change->set_meta);
    store_bind_text(statement, 6, change->meta);
    RETURN_IF_ERROR(store_finish(store, statement, err));
    return note_change(store, conversation_seq, now, err);
}

hearth_status stored_messages_change(struct store *store, const char *owner,
                                     const char *conversation, const char *id,
                                     const struct message_change *change, int64_t now,
                                     hearth_error *err) {
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, change_row(store, owner, conversation, id, change, now, err), err);
}

/* Not by the database's own cascades, which end at a depth of 1,000. */
static hearth_status remove_branch(struct store *store, const char *owner, const char *conversation,
                                   const char *id, int64_t now, hearth_error *err) {
    static const char sql[] =
        "WITH RECURSIVE branch (seq) AS (SELECT ? UNION ALL SELECT messages.seq FROM branch"
        " JOIN messages ON messages.parent = branch.seq)"
        " DELETE FROM messages WHERE seq IN branch";
    int64_t conversation_seq, seq;
    sqlite3_stmt *statement;
    RETURN_IF_ERROR(need_message(store, owner, conversation, id, &conversation_seq, &seq, err));
    RETURN_IF_ERROR(store_statement(store, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, seq);
    RETURN_IF_ERROR(store_finish(store, statement, err));
    return note_change(store, conversation_seq, now, err);
}

hearth_status stored_messages_remove(struct store *store, const char *owner,
                                     const char *conversation, const char *id, int64_t now,
                                     hearth_error *err) {
    RETURN_IF_ERROR(store_begin(store, err));
    return store_end(store, remove_branch(store, owner, conversation, id, now, err), err);
}
