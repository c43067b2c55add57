/* process.h - other programs: started, waited for, what they print.
 *
 * argv ends with NULL; argv[0] is looked for in PATH unless it has a '/'. No shell is involved.
 * HEARTH_ERROR_NOT_FOUND: there is no such program. Exit codes are those of a shell: 128 and
 * the signal's number for a program that a signal ended. */
#ifndef HEARTH_BASE_PROCESS_H
#define HEARTH_BASE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* With this process's standard streams. Ctrl-C is for the program. */
hearth_status process_run(const char *const *argv, int *exit_code, hearth_error *err);
/* Standard input is empty; what the program prints, errors too, up to max_bytes (the rest is
 * dropped), is given as text (mem_free). Killed after `limit_s` seconds: HEARTH_ERROR_LIMIT. */
hearth_status process_capture(const char *const *argv, size_t max_bytes, unsigned limit_s,
                              char **output, int *exit_code, hearth_error *err);

/* Lets this process have so many files and sockets open, or as many as the system allows it. */
void process_allow_files(uint64_t count);

/* The path of this process's program, given; NULL when it cannot be told. */
char *process_program(void);

#endif
