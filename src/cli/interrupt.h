/* interrupt.h - Ctrl-C during an answer stops the answer, not the program.
 *
 * Between begin and end the first SIGINT only sets a flag, which generation polls or whoever waits
 * for it is woken by; a second one has the effect it had before, so a program that hangs can still
 * be ended. One guard at a time. */
#ifndef HEARTH_CLI_INTERRUPT_H
#define HEARTH_CLI_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum { INTERRUPT_SIGNALS = 2 };

struct interrupt_guard {
    struct sigaction before[INTERRUPT_SIGNALS];
    size_t n_active;
};

void interrupt_begin(struct interrupt_guard *guard); /* forgets earlier interrupts */
/* The same, and SIGTERM counts as the first SIGINT does, however often it comes: for work that has
 * something to save. */
void interrupt_begin_work(struct interrupt_guard *guard);
bool interrupt_requested(void);                    /* safe on any thread */
void interrupt_end(struct interrupt_guard *guard); /* restores what was there */

/* Waits, between begin and end, for an interrupt or for interrupt_wake by any thread; returns at
 * once for each of them that came before, and may return without any. */
void interrupt_wait(void);
void interrupt_wake(void);

#endif
