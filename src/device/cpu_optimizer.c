#include "device/optimizer_step.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "device/cpu_device.h"

/* A chunk is long enough that handing it out costs nothing, and a whole number of blocks of
 * 8-bit moments. */
enum { CHUNK_VALUES = 1 << 16 };

struct chunk {
    const struct trained_tensor *tensor;
    uint64_t first, n; /* of the tensor's n values */
};

static uint64_t chunk_count(const struct trained_tensor *tensor) {
    return (tensor->n + CHUNK_VALUES - 1) / CHUNK_VALUES;
}

static size_t total_chunks(const struct trained_tensor *tensors, size_t n_tensors) {
    uint64_t total = 0;
    for (size_t i = 0; i < n_tensors; i++)
        total += chunk_count(&tensors[i]);
    return (size_t)total;
}

typedef void (*chunk_function)(void *job, const struct device *device, size_t number,
                               const struct chunk *chunk);

struct walk {
    struct device *device;
    const struct trained_tensor *tensors;
    size_t n_tensors, n_chunks;
    chunk_function visit;
    void *job;
};

/* Chunks [begin, end) of the list of all tensors' chunks. */
static void visit_chunks(const struct walk *w, size_t begin, size_t end) {
    size_t number = 0;
    for (size_t i = 0; i < w->n_tensors && number < end; i++) {
        size_t count = (size_t)chunk_count(&w->tensors[i]);
        for (size_t j = number < begin ? begin - number : 0; j < count && number + j < end; j++) {
            struct chunk chunk = {&w->tensors[i], (uint64_t)j * CHUNK_VALUES, CHUNK_VALUES};
            if (chunk.n > chunk.tensor->n - chunk.first) chunk.n = chunk.tensor->n - chunk.first;
            w->visit(w->job, w->device, number + j, &chunk);
        }
        number += count;
    }
}

static void walk_chunks(void *context, unsigned thread, unsigned n_threads) {
    const struct walk *w = context;
    (void)n_threads;
    size_t begin, end;
    while (pool_take(w->device->pool, thread, w->n_chunks, 1, &begin, &end))
        visit_chunks(w, begin, end);
}

static void for_chunks(struct device *device, const struct trained_tensor *tensors,
                       size_t n_tensors, chunk_function visit, void *job) {
    struct walk w = {device, tensors, n_tensors, total_chunks(tensors, n_tensors), visit, job};
    pool_run(device->pool, walk_chunks, &w);
}

static float *floats_at(const struct device *device, device_buffer buffer, uint64_t first) {
    return (float *)buffer_data(device, buffer) + first;
}

uint64_t moment_bytes(enum moment_format format, uint64_t n) {
    if (format == MOMENTS_F32) return n * sizeof(float);
    return (n + MOMENT8_VALUES - 1) / MOMENT8_VALUES * sizeof(struct moment8);
}

/* Sums of floats are short enough to keep their digits. */
enum { SUM_VALUES = 256 };

static void add_squares(void *job, const struct device *device, size_t number,
                        const struct chunk *chunk) {
    const struct trained_tensor *t = chunk->tensor;
    const float *g = floats_at(device, t->gradient, t->first + chunk->first);
    double sum = 0;
    for (uint64_t i = 0; i < chunk->n; i += SUM_VALUES) {
        uint64_t n = chunk->n - i < SUM_VALUES ? chunk->n - i : SUM_VALUES;
        sum += (double)device->kernels->sum_squares(g + i, (size_t)n);
    }
    ((double *)job)[number] = sum;
}

hearth_status device_gradient_norm(struct device *device, const struct trained_tensor *tensors,
                                   size_t n_tensors, double *norm, hearth_error *err) {
    size_t n_chunks = total_chunks(tensors, n_tensors);
    double *sums = mem_calloc(n_chunks ? n_chunks : 1, sizeof *sums);
    if (!sums)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the sums of %zu chunks",
                         n_chunks);
    for_chunks(device, tensors, n_tensors, add_squares, sums);
    double total = 0;
    for (size_t i = 0; i < n_chunks; i++)
        total += sums[i];
    *norm = sqrt(total);
    mem_free(sums);
    return HEARTH_OK;
}

struct adamw_job {
    const struct adamw *step;
    enum moment_format format;
    bool clear;
};

static void step_8bit(const struct device *device, const struct adamw *step,
                      const struct chunk *chunk, float *value, const float *gradient) {
    const struct trained_tensor *t = chunk->tensor;
    uint64_t first = chunk->first / MOMENT8_VALUES;
    struct moment8 *m8 = (struct moment8 *)buffer_data(device, t->m) + first;
    struct moment8 *v8 = (struct moment8 *)buffer_data(device, t->v) + first;
    for (uint64_t i = 0; i < chunk->n; i += MOMENT8_VALUES, m8++, v8++) {
        float m[MOMENT8_VALUES], v[MOMENT8_VALUES];
        size_t n = chunk->n - i < MOMENT8_VALUES ? (size_t)(chunk->n - i) : MOMENT8_VALUES;
        moment8_get_signed(m8, m, n);
        moment8_get_root(v8, v, n);
        device->kernels->adamw(step, value + i, gradient + i, m, v, n);
        moment8_put_signed(m, n, m8);
        moment8_put_root(v, n, v8);
    }
}

static void step_chunk(void *context, const struct device *device, size_t number,
                       const struct chunk *chunk) {
    const struct adamw_job *job = context;
    const struct trained_tensor *t = chunk->tensor;
    (void)number;
    struct adamw step = *job->step;
    if (!t->decay) step.decay = 0;
    float *value = floats_at(device, t->value, t->first + chunk->first);
    float *gradient = floats_at(device, t->gradient, t->first + chunk->first);
    if (job->format == MOMENTS_8BIT)
        step_8bit(device, &step, chunk, value, gradient);
    else
        device->kernels->adamw(&step, value, gradient, floats_at(device, t->m, chunk->first),
                               floats_at(device, t->v, chunk->first), (size_t)chunk->n);
    if (job->clear) memset(gradient, 0, (size_t)chunk->n * sizeof *gradient);
}

void device_adamw(struct device *device, const struct trained_tensor *tensors, size_t n_tensors,
                  enum moment_format format, const struct adamw *step, bool clear) {
    struct adamw_job job = {step, format, clear};
    for_chunks(device, tensors, n_tensors, step_chunk, &job);
}

static void clear_chunk(void *job, const struct device *device, size_t number,
                        const struct chunk *chunk) {
    const struct trained_tensor *t = chunk->tensor;
    (void)job;
    (void)number;
    memset(floats_at(device, t->gradient, t->first + chunk->first), 0,
           (size_t)chunk->n * sizeof(float));
}

void device_clear_gradients(struct device *device, const struct trained_tensor *tensors,
                            size_t n_tensors) {
    for_chunks(device, tensors, n_tensors, clear_chunk, NULL);
}
