/* stored_conversations.h - conversations, found by their owner and by words in them; what is said
 * in them is in stored_messages.h.
 *
 * An owner is any text: one sees nothing of another's, and what belongs to another is not found.
 * Times are milliseconds since 1970; settings are JSON text that the store does not look into.
 * Lengths of texts are the caller's to check. */
#ifndef HEARTH_STORE_STORED_CONVERSATIONS_H
#define HEARTH_STORE_STORED_CONVERSATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store_secret.h"

enum {
    STORED_MESSAGES_MAX = 100000,
    STORED_MESSAGES_MAX_BYTES = 64 << 20, /* of the texts of all messages */
    CONVERSATION_WORDS_MAX = 16           /* that are looked for at once */
};

struct stored_conversation {
    const char *id, *title, *settings;
    int64_t created, updated;
    const char *snippet; /* where words were found in a message: some text around; else NULL */
};

/* Takes all but id and snippet. */
hearth_status stored_conversations_add(struct store *store, const char *owner,
                                       const struct stored_conversation *conversation,
                                       char id[STORE_ID_BYTES], hearth_error *err);

/* A failure of the visitor ends it, and is returned. */
typedef hearth_status (*stored_conversation_visit)(void *context,
                                                   const struct stored_conversation *conversation,
                                                   hearth_error *err);
/* HEARTH_ERROR_NOT_FOUND: there is none of that owner's. */
hearth_status stored_conversations_read(struct store *store, const char *owner, const char *id,
                                        stored_conversation_visit visit, void *context,
                                        hearth_error *err);

struct conversation_query {
    const char *words;     /* all in the title, or all in one message; the beginnings of words
                              suffice; NULL or blank: every conversation */
    const char *before_id; /* those that were changed before this one was; or NULL */
    int64_t before;        /* those that were changed before this time; 0: any */
    int limit;
};
/* The one changed last first; without settings. HEARTH_ERROR_NOT_FOUND: no `before_id`. */
hearth_status stored_conversations_each(struct store *store, const char *owner,
                                        const struct conversation_query *query,
                                        stored_conversation_visit visit, void *context,
                                        hearth_error *err);

/* NULL leaves title or settings as they are. */
hearth_status stored_conversations_change(struct store *store, const char *owner, const char *id,
                                          const char *title, const char *settings, int64_t now,
                                          hearth_error *err);
hearth_status stored_conversations_remove(struct store *store, const char *owner, const char *id,
                                          hearth_error *err);

#endif
