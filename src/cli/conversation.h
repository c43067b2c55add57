/* conversation.h - the messages of a chat, and their file.
 *
 * The file is JSON: {"messages": [{"role": …, "content": …}, …]} with messages as in
 * the OpenAI chat completions API; a bare array is read too. Fields that Hearth does
 * not know stay with their message. Loading replaces the conversation only when the
 * whole file is good; saving is atomic. */
#ifndef HEARTH_CLI_CONVERSATION_H
#define HEARTH_CLI_CONVERSATION_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

enum { CONVERSATION_MAX_MESSAGES = 100000 };
#define CONVERSATION_MAX_BYTES ((size_t)64 << 20)

struct conversation {
    json_t *messages; /* array of objects; every one has a known role */
};

hearth_status conversation_init(struct conversation *c, hearth_error *err);
void conversation_release(struct conversation *c); /* a zeroed one is fine */

size_t conversation_count(const struct conversation *c);
const char *conversation_role(const struct conversation *c, size_t i);    /* borrowed */
const char *conversation_content(const struct conversation *c, size_t i); /* borrowed; "" */
hearth_status conversation_add(struct conversation *c, const char *role, const char *content,
                               hearth_error *err);
void conversation_truncate(struct conversation *c, size_t count); /* drops later messages */
/* Sets the first system message, puts one in front, or removes it when text is "". */
hearth_status conversation_set_system(struct conversation *c, const char *text, hearth_error *err);
const char *conversation_system(const struct conversation *c); /* borrowed; "" without */

hearth_status conversation_save(const struct conversation *c, const char *path, hearth_error *err);
hearth_status conversation_load(struct conversation *c, const char *path, hearth_error *err);

#endif
