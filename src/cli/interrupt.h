/* interrupt.h - Ctrl-C during an answer stops the answer, not the program.
 *
 * Between begin and end the first SIGINT only sets a flag, which generation polls; a
 * second one has the effect it had before, so a program that hangs can still be ended.
 * One guard at a time. */
#ifndef HEARTH_CLI_INTERRUPT_H
#define HEARTH_CLI_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

struct interrupt_guard {
    struct sigaction before;
    bool active;
};

void interrupt_begin(struct interrupt_guard *guard); /* forgets earlier interrupts */
bool interrupt_requested(void);                      /* safe on any thread */
void interrupt_end(struct interrupt_guard *guard);   /* restores what was there */

#endif
