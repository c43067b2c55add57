#include "device/machine_speed.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/kernels.h"

enum { LEAST_SLICES = 16, MOST_SLICES = 2048 };
#define SLICE_SECONDS 0.0004

/* Works for SLICE_SECONDS or little more; returns the units of work a second. */
typedef double (*slice)(void *context);

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double ninth_decile(slice work, void *context, double seconds) {
    double rates[MOST_SLICES];
    size_t n = 0;
    uint64_t start = clock_now_ns();
    while (n < LEAST_SLICES || (n < MOST_SLICES && clock_seconds_since(start) < seconds))
        rates[n++] = work(context);
    qsort(rates, n, sizeof *rates, compare_doubles);
    return rates[n * 9 / 10];
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A slice reads a few windows and the next slice the next ones, so that none is still in
 * a cache when its turn comes again. As with weights, pages are huge where the system has such,
 * and whichever thread is free reads the next piece. */
enum { PAGE = 4096, PIECE_FLOATS = 16384, WINDOWS = LEAST_SLICES };

struct machine_reader {
    const struct kernels *kernels;
    struct pool *pool;
    float *data;
    size_t window_floats, window;
    float *sums;           /* [threads] keeps the reads from being left out */
    double bytes, seconds; /* of the slices of a measurement */
    bool fill;
};

static void read_share(void *context, unsigned thread, unsigned n_threads) {
    struct machine_reader *r = context;
    size_t begin, end;
    float *data = r->data + r->window * r->window_floats, sum = 0;
    if (r->fill) {
        pool_share(r->window_floats, PAGE / sizeof(float), thread, n_threads, &begin, &end);
        memset(data + begin, 0, (end - begin) * sizeof *data);
        return;
    }
    while (pool_take(r->pool, thread, r->window_floats, PIECE_FLOATS, &begin, &end))
        sum += r->kernels->sum_squares(data + begin, end - begin);
    r->sums[thread] = sum;
}

static size_t buffer_size(const struct machine_reader *r) {
    return r->window_floats * sizeof *r->data * WINDOWS;
}

hearth_status machine_reader_open(struct machine_reader **out, struct pool *pool,
                                  uint64_t buffer_bytes, hearth_error *err) {
    *out = NULL;
    struct machine_reader *r = mem_calloc(1, sizeof *r);
    if (!r) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to measure with");
    *r = (struct machine_reader){.kernels = kernels_for(cpu_best()), .pool = pool, .fill = true};
    size_t window_bytes = (size_t)(buffer_bytes / (WINDOWS * PAGE) * PAGE);
    r->window_floats = window_bytes / sizeof *r->data;
    r->data = window_bytes ? mem_huge_pages_alloc(buffer_size(r)) : NULL;
    r->sums = mem_calloc(pool_threads(pool), sizeof *r->sums);
    if (!r->data || !r->sums) {
        machine_reader_close(r);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a buffer to read");
    }
    for (r->window = 0; r->window < WINDOWS; r->window++)
        pool_run(pool, read_share, r);
    r->window = 0;
    r->fill = false;
    *out = r;
    return HEARTH_OK;
}

void machine_reader_close(struct machine_reader *r) {
    if (!r) return;
    mem_pages_free(r->data, buffer_size(r));
    mem_free(r->sums);
    mem_free(r);
}

static double read_slice(void *context) {
    struct machine_reader *r = context;
    uint64_t start = clock_now_ns();
    double bytes = 0, time;
    do {
        pool_run(r->pool, read_share, r);
        r->window = (r->window + 1) % WINDOWS;
        bytes += (double)(r->window_floats * sizeof *r->data);
        time = clock_seconds_since(start);
    } while (time < SLICE_SECONDS);
    r->bytes += bytes;
    r->seconds += time;
    return bytes / time;
}

double machine_read_rate(struct machine_reader *r, double seconds) {
    r->bytes = r->seconds = 0;
    return ninth_decile(read_slice, r, seconds);
}

double machine_read_mean(const struct machine_reader *r) {
    return r->seconds > 0 ? r->bytes / r->seconds : 0;
}

/* ---- multiplying ---------------------------------------------------------------------------- */

enum { ROUNDS = 1024 }; /* microseconds: long beside the start of the threads */

struct multiplying {
    struct pool *pool;
    struct peak_loop loop;
    uint64_t rounds;
    double *rates; /* [threads] operations for each second of the thread's own time */
};

static void multiply_share(void *context, unsigned thread, unsigned n_threads) {
    const struct multiplying *m = context;
    uint64_t start = clock_thread_ns();
    (void)n_threads;
    m->loop.run(m->rounds);
    double seconds = (double)(clock_thread_ns() - start) * 1e-9;
    m->rates[thread] = 2.0 * (double)(m->loop.products * m->rounds) / seconds;
}

static double multiply_slice(void *context) {
    struct multiplying *m = context;
    uint64_t start = clock_now_ns();
    double sum = 0;
    pool_run(m->pool, multiply_share, m);
    if (clock_seconds_since(start) < SLICE_SECONDS && m->rounds < PEAK_MAX_ROUNDS / 2)
        m->rounds *= 2;
    for (unsigned i = 0; i < pool_threads(m->pool); i++)
        sum += m->rates[i];
    return sum;
}

hearth_status machine_multiply_rates(struct pool *pool, enum cpu_level level, double seconds,
                                     struct machine_rates *rates, hearth_error *err) {
    struct multiplying m = {.pool = pool};
    m.rates = mem_calloc(pool_threads(pool), sizeof *m.rates);
    if (!m.rates) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to measure with");
    for (int kind = 0; kind < PEAK_KINDS; kind++) {
        m.loop = peak_loop(level, (enum peak_kind)kind);
        m.rounds = ROUNDS;
        rates->of[kind] = m.loop.run ? ninth_decile(multiply_slice, &m, seconds) : 0;
    }
    mem_free(m.rates);
    return HEARTH_OK;
}
