#include "cli/interrupt.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static const int numbers[INTERRUPT_SIGNALS] = {SIGINT, SIGTERM};
static atomic_bool requested; /* lock-free, hence allowed in a signal handler */
static struct sigaction previous[INTERRUPT_SIGNALS];
static sem_t events; /* never destroyed: a handler on another thread may still post it */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_events(void) {
    sem_init(&events, 0, 0);
}

/* sigaction and sem_post are async-signal-safe (POSIX.1-2017 2.4.3). SIGTERM may come several times
 * for one reason (child_process.h). */
static void on_interrupt(int number) {
    atomic_store(&requested, true);
    if (number == SIGINT) sigaction(number, &previous[0], NULL);
    sem_post(&events);
}

static void begin(struct interrupt_guard *guard, size_t n) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    pthread_once(&once, open_events);
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
    for (size_t i = 0; i < guard->n_active && i < INTERRUPT_SIGNALS; i++)
        sigaction(numbers[i], &guard->before[i], NULL);
    guard->n_active = 0;
}

void interrupt_wait(void) {
    sem_wait(&events);
}

void interrupt_wake(void) {
    sem_post(&events);
}
