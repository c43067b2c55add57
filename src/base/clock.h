/* clock.h - monotonic time, and the processor's time this process used. */
#ifndef HEARTH_BASE_CLOCK_H
#define HEARTH_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ns(void);
uint64_t clock_process_ns(void); /* of all threads together */
uint64_t clock_thread_ns(void);  /* of the calling thread */
static inline double clock_seconds_since(uint64_t start_ns) {
    return (double)(clock_now_ns() - start_ns) * 1e-9;
}

#endif
