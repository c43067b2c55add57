/* Speed of attention alone, on all threads: bytes of the cache per second for one row at
 * the end of 8192 positions, against the speed of reading memory, and floating
 * operations per second for 512 rows of a prompt at its start and at its end.
 *
 *   bench_attention [threads]
 *
 * The layers of a plan have caches of their own, so that one row reads them from memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "device/device.h"
#include "device/machine_speed.h"
#include "kernels/quantize.h"

enum { POSITIONS = 8192, PAGE = 32, PAGES = POSITIONS / PAGE, GROUP = 8, ROWS = 512, REPEATS = 3 };

struct shape {
    const char *name;
    enum elem type;
    uint32_t n_head, n_head_kv, d, n_layers;
};

static const struct shape shapes[] = {
    {"32 heads, 8 kv heads of 64, f16", ELEM_F16, 32, 8, 64, 8},
    {"32 heads, 8 kv heads of 64, q8_0", ELEM_Q8_0, 32, 8, 64, 8},
    {"32 heads, 8 kv heads of 64, f32", ELEM_F32, 32, 8, 64, 4},
    {"8 heads, 1 kv head of 128, f16", ELEM_F16, 8, 1, 128, 32},
    {"16 heads, 16 kv heads of 64, f16", ELEM_F16, 16, 16, 64, 4},
    {"32 heads, 8 kv heads of 128, f16", ELEM_F16, 32, 8, 128, 4},
};

struct scene {
    struct device *device;
    struct plan plan;
    struct batch_run part;
    uint32_t pages[PAGES], positions[ROWS], row_run[ROWS];
    uint64_t cache_bytes; /* of all layers */
};

static void stop(const hearth_error *err) {
    fprintf(stderr, "bench_attention: %s\n", err->message);
    exit(1);
}

static void need(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) stop(err);
}

static float *random_floats(size_t n) {
    struct rng rng;
    float *x = mem_alloc_array(n, sizeof *x);
    if (!x) exit(1);
    rng_seed(&rng, 5);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&rng);
    return x;
}

/* Keys or values of a page, in all layers the same. */
static char *random_rows(const struct shape *shape) {
    size_t rows = (size_t)shape->n_head_kv * PAGE;
    float *x = random_floats(rows * shape->d);
    char *packed = mem_alloc_array(rows, elem_row_bytes(shape->type, shape->d));
    if (!packed) exit(1);
    quantize_rows(shape->type, x, packed, rows, shape->d, NULL, NULL);
    mem_free(x);
    return packed;
}

/* Pages of all layers in one buffer, in groups as in the cache (model/cache.h). */
static device_buffer random_cache(struct device *device, const struct shape *shape) {
    hearth_error err = {0};
    device_buffer buffer;
    size_t size = (size_t)shape->n_head_kv * PAGE * elem_row_bytes(shape->type, shape->d);
    size_t n = (size_t)PAGES * shape->n_layers * 2;
    char *packed = random_rows(shape);
    need(device_alloc_huge(device, n * size, &buffer, &err), &err);
    for (size_t i = 0; i < n; i++)
        need(device_write(device, buffer, i * size, packed, size, &err), &err);
    mem_free(packed);
    return buffer;
}

static struct kv_layout layer_of(struct device *device, const struct shape *shape,
                                 device_buffer cache, uint32_t layer) {
    uint64_t size = (uint64_t)shape->n_head_kv * PAGE * elem_row_bytes(shape->type, shape->d);
    struct kv_layout kv = {.group_bytes = 2 * shape->n_layers * GROUP * size,
                           .k_type = shape->type,
                           .v_type = shape->type,
                           .n_head_kv = shape->n_head_kv,
                           .d_k = shape->d,
                           .d_v = shape->d,
                           .page_tokens = PAGE,
                           .group_pages = GROUP};
    uint64_t part = GROUP * size, at = 2 * layer * part;
    uint64_t all = (PAGES / GROUP - 1) * kv.group_bytes + part;
    hearth_error err = {0};
    need(device_part(device, cache, at, all, &kv.k, &err), &err);
    need(device_part(device, cache, at + part, all, &kv.v, &err), &err);
    return kv;
}

static void open_scene(struct scene *s, const struct shape *shape, unsigned n_threads) {
    hearth_error err = {0};
    struct device_options options = {.n_threads = n_threads, .max_tokens = ROWS};
    device_buffer q, out;
    uint32_t width = shape->n_head * shape->d;
    *s = (struct scene){0};
    need(device_open_cpu(&s->device, &options, &err), &err);
    need(device_alloc(s->device, (uint64_t)ROWS * width * sizeof(float), &q, &err), &err);
    need(device_alloc(s->device, (uint64_t)ROWS * width * sizeof(float), &out, &err), &err);
    float *x = random_floats((size_t)ROWS * width);
    need(device_write(s->device, q, 0, x, (uint64_t)ROWS * width * sizeof(float), &err), &err);
    mem_free(x);
    device_buffer cache = random_cache(s->device, shape);
    plan_init(&s->plan);
    for (uint32_t layer = 0; layer < shape->n_layers; layer++) {
        struct op op = {.kind = OP_ATTENTION,
                        .in = {q, 0, width},
                        .out = {out, 0, width},
                        .scale = 0.125f,
                        .attention = {.layout = layer_of(s->device, shape, cache, layer),
                                      .n_head = shape->n_head,
                                      .causal = true}};
        need(plan_append(&s->plan, &op, &err), &err);
    }
    need(device_prepare(s->device, &s->plan, &err), &err);
    for (uint32_t i = 0; i < PAGES; i++)
        s->pages[i] = i;
    s->cache_bytes = (uint64_t)shape->n_layers * 2 * POSITIONS * shape->n_head_kv *
                     elem_row_bytes(shape->type, shape->d);
}

static void close_scene(struct scene *s) {
    plan_release(&s->plan);
    device_close(s->device);
}

/* Best seconds of the first n_layers for n_rows rows from `position` on. */
static double seconds_of(struct scene *s, size_t n_layers, uint32_t position, uint32_t n_rows) {
    double best = 1e30;
    struct plan plan = {.ops = s->plan.ops, .n_ops = n_layers};
    s->part = (struct batch_run){.n_rows = n_rows, .position = position, .pages = s->pages};
    for (uint32_t i = 0; i < n_rows; i++)
        s->positions[i] = position + i;
    struct batch batch = {.n_rows = n_rows,
                          .positions = s->positions,
                          .row_run = s->row_run,
                          .runs = &s->part,
                          .n_runs = 1};
    for (int i = 0; i < REPEATS; i++) {
        hearth_error err = {0};
        uint64_t start = clock_now_ns();
        need(device_run(s->device, &plan, &batch, &err), &err);
        double seconds = clock_seconds_since(start);
        if (seconds < best) best = seconds;
    }
    return best;
}

/* Operations of a layer for n_rows rows from `position` on: 4 d for each pair. */
static double operations(const struct shape *shape, uint32_t position, uint32_t n_rows) {
    double seen = (double)n_rows * (position + (n_rows + 1) / 2.0);
    return 4.0 * shape->d * shape->n_head * seen;
}

static double read_bandwidth(unsigned n_threads) {
    struct pool *pool;
    struct machine_reader *reader;
    hearth_error err = {0};
    need(pool_open(&pool, n_threads, &err), &err);
    need(machine_reader_open(&reader, pool, (uint64_t)256 << 20, &err), &err);
    double rate = machine_read_rate(reader, 0.5);
    machine_reader_close(reader);
    pool_close(pool);
    return rate;
}

int main(int argc, char **argv) {
    unsigned n_threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    double rate = read_bandwidth(n_threads);
    printf("reading memory: %.2f GB/s\n", 1e-9 * rate);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct scene s;
        open_scene(&s, &shapes[i], n_threads);
        double one = seconds_of(&s, shapes[i].n_layers, POSITIONS - 1, 1);
        double start = seconds_of(&s, 1, 0, ROWS);
        double end = seconds_of(&s, 1, POSITIONS - ROWS, ROWS);
        printf("%-34s %s: one row %6.2f GB/s (%.2f of memory), prompt %7.2f and %7.2f GFLOP/s\n",
               shapes[i].name, device_description(s.device), 1e-9 * (double)s.cache_bytes / one,
               (double)s.cache_bytes / one / rate, 1e-9 * operations(&shapes[i], 0, ROWS) / start,
               1e-9 * operations(&shapes[i], POSITIONS - ROWS, ROWS) / end);
        fflush(stdout);
        close_scene(&s);
    }
    return 0;
}
