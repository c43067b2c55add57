/* api_messages.h - messages between JSON and the store, for api_conversations.h and
 * api_transfer.h. */
#ifndef HEARTH_SERVER_API_MESSAGES_H
#define HEARTH_SERVER_API_MESSAGES_H

#include "server/api_fields.h"
#include "store/stored_messages.h"

/* The fields of a message that comes in; those behind MESSAGE_META only in files. */
enum message_field {
    MESSAGE_PARENT,
    MESSAGE_ROLE,
    MESSAGE_CONTENT,
    MESSAGE_REASONING,
    MESSAGE_ATTACHMENTS,
    MESSAGE_META,
    MESSAGE_ID,
    MESSAGE_CREATED,
    MESSAGE_FIELDS
};
/* False, and the answer says what is wrong; api_fields_release follows in every case.
 * `message` borrows from the fields. */
bool api_message_take(const json_t *object, const char *where, bool of_file, int64_t now,
                      struct api_field fields[MESSAGE_FIELDS], struct stored_message *message,
                      struct api_answer *answer);

/* A stored_message_visit that appends it to `context`, a JSON array. */
hearth_status api_message_append(void *context, const struct stored_message *message,
                                 hearth_error *err);
/* What is stored as JSON; NULL and *status on failure. A text of NULL gives null. */
json_t *api_stored_json(const char *text, hearth_status *status, hearth_error *err);

/* POST /conversations/{id}/messages, and those of one message. */
void api_messages(struct store *store, const struct api_request *request,
                  struct api_answer *answer);

#endif
