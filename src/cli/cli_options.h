/* cli_options.h - what every command does alike with its arguments. Exit codes: 0
 * done, 1 failed, 2 used wrongly. Errors go to stderr as "hearth: message". */
#ifndef HEARTH_CLI_CLI_OPTIONS_H
#define HEARTH_CLI_CLI_OPTIONS_H

#include <getopt.h>
#include <stdatomic.h>

#include "base/status.h"

/* CLI_HELP: the help was printed and there is nothing more to do. */
enum { EXIT_USAGE = 2, CLI_HELP = -1 };

/* The next option as getopt_long gives it; an unknown one is told and returns '?'. */
int cli_next_option(int argc, char **argv, const char *letters, const struct option *options);
/* Begins a new command line; call before the first cli_next_option. */
void cli_begin_options(void);

/* Prints "hearth: command: ..." and where to read more; returns EXIT_USAGE. */
int cli_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int cli_exit_code(int parsed);         /* CLI_HELP becomes 0 */
int cli_fail(const hearth_error *err); /* prints the message; returns 1 */

/* A flag that Ctrl-C sets; a second Ctrl-C ends the program. */
const atomic_bool *cli_cancel_on_interrupt(void);

#endif
