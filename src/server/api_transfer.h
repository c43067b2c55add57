/* api_transfer.h - a conversation as a file: {"format":"hearth-conversation", "version":1,
 * "title", "settings", "created", "updated", "messages":[{"id", "parent", "role", "content", …}]},
 * in which a parent stands before what follows it. */
#ifndef HEARTH_SERVER_API_TRANSFER_H
#define HEARTH_SERVER_API_TRANSFER_H

#include "server/api.h"

/* POST /conversations/import: a new conversation with ids of its own. */
void api_import(struct store *store, const struct api_request *request, struct api_answer *answer);
/* What every file begins with, added to a conversation as GET gives it; false: no memory. */
bool api_export_mark(json_t *conversation);

#endif
