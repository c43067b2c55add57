/* api_conversations.h - /conversations: conversations and what was said in them.
 *
 * GET /conversations?q=&limit=&before=      list, search; before: an id or a time of the list
 * POST /conversations                       {title?, settings?}
 * GET, PATCH, DELETE /conversations/{id}
 * POST /conversations/{id}/messages         {parent, role, content, reasoning?, attachments?,
 * meta?} PATCH, DELETE /conversations/{id}/messages/{id} GET /conversations/{id}/export, POST
 * /conversations/import */
#ifndef HEARTH_SERVER_API_CONVERSATIONS_H
#define HEARTH_SERVER_API_CONVERSATIONS_H

#include "server/api.h"

enum {
    TITLE_MAX_BYTES = 1024,
    MESSAGE_MAX_BYTES = 4 << 20, /* of content; of reasoning; of attachments as JSON */
    MESSAGE_META_MAX_BYTES = 1 << 20,
    CONVERSATION_SETTINGS_MAX_BYTES = 1 << 18,
    QUERY_MAX_BYTES = 1024,
    LIST_DEFAULT = 50,
    LIST_MAX = 200
};

void api_conversations(struct store *store, const struct api_request *request,
                       struct api_answer *answer);

#endif
