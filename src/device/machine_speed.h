/* machine_speed.h - how fast this machine reads memory and multiplies, measured: the
 * limits that a model's speed is judged against.
 *
 * Time is cut into short slices with a rate each, and the ninth decile counts: programs
 * that disturb most slices do not change it, nor do the bursts in which a virtual machine
 * gets more than it can keep. */
#ifndef HEARTH_DEVICE_MACHINE_SPEED_H
#define HEARTH_DEVICE_MACHINE_SPEED_H

#include "base/pool.h"
#include "kernels/peak.h"

struct machine_reader;

/* A buffer that should exceed the caches, filled by the threads that will read it.
 * The pool is borrowed. */
hearth_status machine_reader_open(struct machine_reader **out, struct pool *pool,
                                  uint64_t buffer_bytes, hearth_error *err);
void machine_reader_close(struct machine_reader *reader); /* NULL is fine */
/* Bytes a second that all threads read together, measured for about `seconds`; at least
 * once through the buffer. */
double machine_read_rate(struct machine_reader *reader, double seconds);
/* The same of the whole measurement before, good slices and bad ones: what reading alone, at
 * length, makes of that rate. */
double machine_read_mean(const struct machine_reader *reader);

/* Operations a second (a multiplication and an addition are two) on all threads with the
 * instructions of one level, measured for about `seconds` for each kind of number; 0: the
 * level has no such instructions. Seconds of the threads' own time, so that other
 * programs do not count. */
struct machine_rates {
    double of[PEAK_KINDS];
};
hearth_status machine_multiply_rates(struct pool *pool, enum cpu_level level, double seconds,
                                     struct machine_rates *rates, hearth_error *err);

#endif
