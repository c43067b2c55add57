#include "base/clock.h"

#include <sched.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_process_ns(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t clock_thread_ns(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void clock_rest(uint64_t duration_ns) {
    struct timespec rest = {(time_t)(duration_ns / 1000000000u), (long)(duration_ns % 1000000000u)};
    if (duration_ns == 0)
        sched_yield();
    else
        nanosleep(&rest, NULL);
}
