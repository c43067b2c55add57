#include "cli/interrupt.h"

#include <stdatomic.h>

static atomic_bool requested; /* lock-free, hence allowed in a signal handler */
static struct sigaction previous;

static void on_interrupt(int number) {
    atomic_store(&requested, true);
    sigaction(number, &previous, NULL); /* async-signal-safe, POSIX.1-2017 2.4.3 */
}

void interrupt_begin(struct interrupt_guard *guard) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&requested, false);
    sigaction(SIGINT, NULL, &previous);
    guard->before = previous;
    guard->active = sigaction(SIGINT, &action, NULL) == 0;
}

bool interrupt_requested(void) {
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

void interrupt_end(struct interrupt_guard *guard) {
    if (guard->active) sigaction(SIGINT, &guard->before, NULL);
    guard->active = false;
}
