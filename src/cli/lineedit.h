/* lineedit.h - reads the messages of a chat, from a person or from a pipe.
 *
 * On a terminal: editing, history and pasting through libedit. Elsewhere, and where
 * TERM says that the terminal is dumb: plain lines; nothing but the prompt of a dumb
 * terminal is ever written.
 *
 * A message is one line, except that
 *  - a line that ends in '\' goes on with the next line, joined by a line break;
 *  - a line that begins with """ opens a block, which the first line that ends with
 *    """ closes; in between lines are taken as they are;
 *  - several lines pasted into a terminal are one message (bracketed paste, xterm's
 *    mode 2004; a terminal without it sends them one by one).
 *
 * Ctrl-C clears what was typed, and on an empty line leaves when pressed twice.
 * Ctrl-D on an empty line leaves. Invariants: a message has at most
 * LINEEDIT_MAX_BYTES and no NUL; one lineedit is open on a terminal at a time. */
#ifndef HEARTH_CLI_LINEEDIT_H
#define HEARTH_CLI_LINEEDIT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/status.h"

enum { LINEEDIT_MAX_BYTES = 16 << 20, LINEEDIT_HISTORY = 1000 };

struct lineedit;

struct lineedit_options {
    FILE *in, *out;           /* borrowed */
    const char *prompt;       /* "> "; copied */
    const char *continuation; /* prompt of further lines, ". "; copied */
    const char *history_path; /* NULL: no history is kept; copied */
};

hearth_status lineedit_open(struct lineedit **editor, const struct lineedit_options *options,
                            hearth_error *err);
/* Writes the history; without a place to write it, quietly keeps none. NULL is fine. */
void lineedit_close(struct lineedit *editor);
bool lineedit_is_interactive(const struct lineedit *editor); /* a person reads the output */

/* The next message, given (mem_free), without the line break at its end; NULL at the
 * end of the input or when the person leaves. Empty lines are messages too. After
 * HEARTH_ERROR_LIMIT the next read goes on in the middle of what was too long. */
hearth_status lineedit_read(struct lineedit *editor, char **message, hearth_error *err);

/* path_home(PATH_STATE)/history, given (mem_free); creates the folder. NULL when that
 * is impossible. */
char *lineedit_history_path(void);

/* ---- the joining of lines, without any terminal --------------------------- */

struct line_joiner {
    struct buf text;
    bool in_block, has_lines;
};

void line_joiner_init(struct line_joiner *joiner);
void line_joiner_release(struct line_joiner *joiner);
/* Adds a line without its line break; returns whether the message in text is whole. */
bool line_joiner_add(struct line_joiner *joiner, const char *line, size_t length);

#endif
