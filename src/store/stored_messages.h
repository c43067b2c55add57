/* stored_messages.h - the messages of a conversation: a tree, because a question may be asked
 * again in other words, and answered again.
 *
 * Messages stand in the order in which they were added; a parent comes before what follows it.
 * Owners, times and the checks of texts are as in stored_conversations.h. Whatever changes a
 * message changes the time at which its conversation was changed. */
#ifndef HEARTH_STORE_STORED_MESSAGES_H
#define HEARTH_STORE_STORED_MESSAGES_H

#include "store/stored_conversations.h"

struct stored_message {
    const char *id, *parent; /* no parent: NULL, it begins the conversation */
    const char *role, *content;
    const char *reasoning, *attachments, *meta; /* NULL: none; the last two are JSON */
    int64_t created;
};

/* Takes all but the id. HEARTH_ERROR_NOT_FOUND: no such conversation; HEARTH_ERROR_ARGUMENT: it
 * has no such parent; HEARTH_ERROR_LIMIT: it would have more than STORED_MESSAGES_MAX or
 * STORED_MESSAGES_MAX_BYTES. */
hearth_status stored_messages_add(struct store *store, const char *owner, const char *conversation,
                                  const struct stored_message *message, char id[STORE_ID_BYTES],
                                  hearth_error *err);

/* A failure of the visitor ends it, and is returned. */
typedef hearth_status (*stored_message_visit)(void *context, const struct stored_message *message,
                                              hearth_error *err);
/* In their order. */
hearth_status stored_messages_each(struct store *store, const char *owner, const char *conversation,
                                   stored_message_visit visit, void *context, hearth_error *err);
/* HEARTH_ERROR_NOT_FOUND: no such conversation, or no such message in it. */
hearth_status stored_messages_read(struct store *store, const char *owner, const char *conversation,
                                   const char *id, stored_message_visit visit, void *context,
                                   hearth_error *err);

struct message_change {
    const char *content; /* NULL: stays */
    bool set_reasoning, set_meta;
    const char *reasoning, *meta; /* where they are set; NULL: none */
};
hearth_status stored_messages_change(struct store *store, const char *owner,
                                     const char *conversation, const char *id,
                                     const struct message_change *change, int64_t now,
                                     hearth_error *err);
/* With all that follows it. */
hearth_status stored_messages_remove(struct store *store, const char *owner,
                                     const char *conversation, const char *id, int64_t now,
                                     hearth_error *err);

/* A new conversation and `count` messages, whole or not at all; limits as in stored_messages_add.
 * Ids and parents of the messages are not looked at: parents[i] is the number of the message that
 * message i follows, less than i, or SIZE_MAX. */
hearth_status stored_messages_import(struct store *store, const char *owner,
                                     const struct stored_conversation *conversation,
                                     const struct stored_message *messages, const size_t *parents,
                                     size_t count, char id[STORE_ID_BYTES], hearth_error *err);

#endif
