/* row_norm.h - the lengths of the rows of adapted weights, by which weight-decomposed adapters
 * (DoRA: Liu et al., arXiv 2402.09353, equation 5) divide them. */
#ifndef HEARTH_DEVICE_ROW_NORM_H
#define HEARTH_DEVICE_ROW_NORM_H

#include "device/device.h"

struct row_norm {
    struct weight w;    /* [rows][cols], of any type */
    device_buffer a, b; /* float [rank][cols] and [rows][rank] */
    device_buffer
        inverse; /* float [rows], written: 1 / |w_r + scale b_r a|; 0 for a row of zeros */
    uint32_t rank;
    float scale;
};

/* Device memory must be free of running plans. A row's result does not depend on the number of
 * threads. */
void device_invert_norms(struct device *device, const struct row_norm *norms, size_t n);

#endif
