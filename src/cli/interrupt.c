#include "cli/interrupt.h"

#include <stdatomic.h>

static const int numbers[INTERRUPT_SIGNALS] = {SIGINT, SIGTERM};
static atomic_bool requested; /* lock-free, hence allowed in a signal handler */
static struct sigaction previous[INTERRUPT_SIGNALS];

/* SIGTERM may come several times for one reason (child_process.h). */
static void on_interrupt(int number) {
    atomic_store(&requested, true);
    if (number == SIGINT)
        sigaction(number, &previous[0], NULL); /* async-signal-safe, POSIX.1-2017 2.4.3 */
}

static void begin(struct interrupt_guard *guard, size_t n) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&requested, false);
    *guard = (struct interrupt_guard){.n_active = n};
    for (size_t i = 0; i < n; i++) {
        sigaction(numbers[i], NULL, &previous[i]);
        guard->before[i] = previous[i];
        sigaction(numbers[i], &action, NULL);
    }
}

void interrupt_begin(struct interrupt_guard *guard) {
    begin(guard, 1);
}

void interrupt_begin_work(struct interrupt_guard *guard) {
    begin(guard, INTERRUPT_SIGNALS);
}

bool interrupt_requested(void) {
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

void interrupt_end(struct interrupt_guard *guard) {
    for (size_t i = 0; i < guard->n_active; i++)
        sigaction(numbers[i], &guard->before[i], NULL);
    guard->n_active = 0;
}
