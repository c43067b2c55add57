/* parameter.h - what training changes: the values of a tensor and their gradient.
 *
 * Whoever computes gradients (graph.h) and whoever applies them (optimizer.h) know each
 * other only through this list. */
#ifndef HEARTH_TRAIN_PARAMETER_H
#define HEARTH_TRAIN_PARAMETER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/plan.h"

struct parameter {
    const char *name;              /* as in a model or adapter file; borrowed */
    uint32_t rows, cols;           /* a vector has 1 row */
    device_buffer value, gradient; /* float [rows][cols] each; the gradient is a sum since it
                                      was last cleared */
    bool decay;                    /* weight decay applies: matrices, not norms and biases */
};

/* Some of a list of parameters, by their positions in it. */
struct parameter_list {
    const uint32_t *numbers;
    size_t n;
};

#endif
