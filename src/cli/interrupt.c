#include "cli/interrupt.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static atomic_bool requested; /* lock-free, hence allowed in a signal handler */
static struct sigaction previous;
static sem_t events; /* never destroyed: a handler on another thread may still post it */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_events(void) {
    sem_init(&events, 0, 0);
}

/* sigaction and sem_post are async-signal-safe (POSIX.1-2017 2.4.3). */
static void on_interrupt(int number) {
    atomic_store(&requested, true);
    sigaction(number, &previous, NULL);
    sem_post(&events);
}

void interrupt_begin(struct interrupt_guard *guard) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    pthread_once(&once, open_events);
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

void interrupt_wait(void) {
    sem_wait(&events);
}

void interrupt_wake(void) {
    sem_post(&events);
}
