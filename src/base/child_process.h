/* child_process.h - a program that runs beside this one: started, signalled, its end found out.
 *
 * It has a process group of its own, an empty standard input, what it prints in a file, none of
 * this process's other files, no signal blocked or ignored, and the processor only as far as this
 * process and others leave it. It gets SIGTERM, perhaps several times, when the thread that
 * started it ends, however that ends (PR_SET_PDEATHSIG of Linux: a process that dies hands its
 * children from thread to thread), so nothing outlives a process that crashed unless it wants to.
 * No shell is involved. */
#ifndef HEARTH_BASE_CHILD_PROCESS_H
#define HEARTH_BASE_CHILD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct child_process {
    int64_t id; /* 0: none */
};

/* argv[0] is the path of the program; argv ends with NULL. `output`: the file for what it prints,
 * errors too, which is emptied first. */
hearth_status child_process_start(struct child_process *child, const char *const *argv,
                                  const char *output, hearth_error *err);
/* As Ctrl-C, for the program and whatever it has started. Nothing without a child. */
void child_process_interrupt(const struct child_process *child);
void child_process_kill(const struct child_process *child);
/* Whether it has ended, without waiting; then it is none any more, and the exit code is that of
 * a shell: 128 and the signal's number for a program that a signal ended. */
bool child_process_ended(struct child_process *child, int *exit_code);

#endif
