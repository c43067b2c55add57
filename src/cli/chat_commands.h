/* chat_commands.h - the lines of a chat that are meant for Hearth, not for the model.
 *
 * A line whose first character is '/' is a command; anything else is a message. To
 * send a message that begins with '/', begin it with a space. */
#ifndef HEARTH_CLI_CHAT_COMMANDS_H
#define HEARTH_CLI_CHAT_COMMANDS_H

#include "base/status.h"

enum chat_command_kind {
    CHAT_MESSAGE, /* text = the whole line */
    CHAT_HELP,
    CHAT_SYSTEM, /* text = the system prompt; "" asks for the current one */
    CHAT_SAVE,   /* text = file */
    CHAT_LOAD,   /* text = file */
    CHAT_STATS,
    CHAT_CLEAR,
    CHAT_REGEN,
    CHAT_SET, /* name and text = value; both "" asks for the list */
    CHAT_EXIT
};

struct chat_command {
    enum chat_command_kind kind;
    const char *name, *text; /* borrow from the line, never NULL */
};

/* Cuts up `line` in place. HEARTH_ERROR_NOT_FOUND: no such command, the message names
 * the nearest; HEARTH_ERROR_ARGUMENT: something is missing or too much. */
hearth_status chat_command_parse(char *line, struct chat_command *command, hearth_error *err);
const char *chat_command_help(void); /* several lines */

#endif
