#include "device/row_norm.h"

#include <math.h>

#include "device/cpu_device.h"

/* Values at a time: whole blocks of every type; rows are taken some together. */
enum { PIECE = 256, GRANULE = 16 };

static const float *floats_of(const struct device *device, device_buffer buffer) {
    return buffer_data(device, buffer);
}

static double squares(const struct device *device, const struct row_norm *n, size_t row) {
    const struct kernels *k = device->kernels;
    const uint8_t *w = buffer_data(device, n->w.buffer);
    const float *a = floats_of(device, n->a);
    const float *b = floats_of(device, n->b) + row * n->rank;
    double sum = 0;
    w += row * elem_row_bytes(n->w.type, n->w.cols);
    for (size_t c = 0; c < n->w.cols; c += PIECE) {
        float values[PIECE];
        size_t count = n->w.cols - c < PIECE ? n->w.cols - c : PIECE;
        k->dequantize[n->w.type](w + elem_row_bytes(n->w.type, c), values, count);
        for (uint32_t r = 0; r < n->rank; r++)
            k->axpy(values, n->scale * b[r], a + (size_t)r * n->w.cols + c, count);
        sum += (double)k->sum_squares(values, count);
    }
    return sum;
}

struct job {
    struct device *device;
    const struct row_norm *norm;
};

static void invert_rows(void *context, unsigned thread, unsigned n_threads) {
    const struct job *job = context;
    const struct row_norm *norm = job->norm;
    float *inverse = buffer_data(job->device, norm->inverse);
    size_t begin, end;
    (void)n_threads;
    while (pool_take(job->device->pool, thread, norm->w.rows, GRANULE, &begin, &end))
        for (size_t row = begin; row < end; row++) {
            double sum = squares(job->device, norm, row);
            inverse[row] = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
        }
}

void device_invert_norms(struct device *device, const struct row_norm *norms, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct job job = {device, &norms[i]};
        pool_run(device->pool, invert_rows, &job);
    }
}
