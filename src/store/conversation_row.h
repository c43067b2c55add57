/* conversation_row.h - what the two files about conversations share. */
#ifndef HEARTH_STORE_CONVERSATION_ROW_H
#define HEARTH_STORE_CONVERSATION_ROW_H

#include "store/database.h"
#include "store/stored_conversations.h"

/* The row of a conversation. HEARTH_ERROR_NOT_FOUND: the owner has none of that id. */
hearth_status conversation_find(struct store *store, const char *owner, const char *id,
                                int64_t *seq, hearth_error *err);
hearth_status conversation_insert(struct store *store, const char *owner, const char *id,
                                  const struct stored_conversation *conversation, int64_t *seq,
                                  hearth_error *err);

#endif
