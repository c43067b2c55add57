/* optimizer_step.h - what a device does for an optimiser: the norm of all gradients, one
 * step of AdamW, clearing.
 *
 * Tensors are cut into chunks of fixed size, which any thread may take; sums of chunks are
 * added up in their order. So nothing depends on the number of threads. */
#ifndef HEARTH_DEVICE_OPTIMIZER_STEP_H
#define HEARTH_DEVICE_OPTIMIZER_STEP_H

#include "device/device.h"
#include "kernels/adamw.h"

enum moment_format {
    MOMENTS_F32, /* m and v: float [n] */
    MOMENTS_8BIT /* m and v: struct moment8 [ceil(n / MOMENT8_VALUES)] */
};

/* n values that are trained: those from `first` on of a tensor. */
struct trained_tensor {
    device_buffer value, gradient; /* float [first + n] or longer */
    device_buffer m, v;            /* of the n values only */
    uint64_t first, n;             /* first: a multiple of MOMENT8_VALUES */
    bool decay;                    /* weight decay applies */
};

/* The bytes of one of the two moments of n values. */
uint64_t moment_bytes(enum moment_format format, uint64_t n);

/* Device memory must be free of running plans. `norm` = sqrt of the sum of the squares of all
 * gradients. Fails only when memory for the chunks' sums is exhausted. */
hearth_status device_gradient_norm(struct device *device, const struct trained_tensor *tensors,
                                   size_t n_tensors, double *norm, hearth_error *err);
/* `step->decay` counts for tensors with decay only. Clears the gradients when `clear`. */
void device_adamw(struct device *device, const struct trained_tensor *tensors, size_t n_tensors,
                  enum moment_format format, const struct adamw *step, bool clear);
void device_clear_gradients(struct device *device, const struct trained_tensor *tensors,
                            size_t n_tensors);

#endif
