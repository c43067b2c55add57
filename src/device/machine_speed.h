/* machine_speed.h - how fast this machine reads memory and multiplies, measured: the
 * limits that a model's speed is judged against. */
#ifndef HEARTH_DEVICE_MACHINE_SPEED_H
#define HEARTH_DEVICE_MACHINE_SPEED_H

#include "base/cpu.h"
#include "base/pool.h"

/* Bytes a second that all threads together read from a buffer of `buffer_bytes`, which
 * should exceed the caches; the best of passes over about `seconds`. */
hearth_status machine_read_bandwidth(struct pool *pool, uint64_t buffer_bytes, double seconds,
                                     double *bytes_per_second, hearth_error *err);

/* Operations a second (a multiplication and an addition are two) on all threads: of linear
 * layers whose data stay in the caches, with the kernels of one level, and of the level's
 * matrix unit when it has nothing to load; 0: no such unit. */
struct machine_rates {
    double f32, int8; /* weights F32, and Q8_0 against 8-bit activations */
    double unit_bf16, unit_int8;
};
hearth_status machine_multiply_rates(struct pool *pool, enum cpu_level level, double seconds,
                                     struct machine_rates *rates, hearth_error *err);

#endif
