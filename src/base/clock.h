/* clock.h - monotonic time, the processor's time this process used, and waiting. */
#ifndef HEARTH_BASE_CLOCK_H
#define HEARTH_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ns(void);
uint64_t clock_process_ns(void); /* of all threads together */
uint64_t clock_thread_ns(void);  /* of the calling thread */
/* Lets others have the processor for about so long; 0: if they want it at all. */
void clock_rest(uint64_t duration_ns);
static inline double clock_seconds_since(uint64_t start_ns) {
    return (double)(clock_now_ns() - start_ns) * 1e-9;
}

#endif
