#include "device/machine_speed.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/kernels.h"

/* The fastest passes, in order. */
enum { CONFIRMED = 3 };

struct fastest {
    double rates[CONFIRMED];
    unsigned n_passes;
};

static void add_pass(struct fastest *f, double rate) {
    f->n_passes++;
    for (int i = 0; i < CONFIRMED; i++)
        if (rate > f->rates[i]) {
            double slower = f->rates[i];
            f->rates[i] = rate;
            rate = slower;
        }
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A pass reads one window, so that it is short and no window is still in a cache when
 * its turn comes again. */
enum { PAGE = 4096, PIECE_FLOATS = 4096, WINDOWS = 16 };

struct machine_reader {
    const struct kernels *kernels;
    struct pool *pool;
    float *data;
    size_t window_floats, window;
    float *sums; /* [threads] keeps the reads from being left out */
    bool fill;
};

static void read_share(void *context, unsigned thread, unsigned n_threads) {
    struct machine_reader *r = context;
    size_t begin, end;
    float *data = r->data + r->window * r->window_floats, sum = 0;
    pool_share(r->window_floats, PAGE / sizeof(float), thread, n_threads, &begin, &end);
    if (r->fill) {
        memset(data + begin, 0, (end - begin) * sizeof *data);
        return;
    }
    for (size_t i = begin; i < end; i += PIECE_FLOATS)
        sum += r->kernels->sum_squares(data + i, end - i < PIECE_FLOATS ? end - i : PIECE_FLOATS);
    r->sums[thread] = sum;
}

hearth_status machine_reader_open(struct machine_reader **out, struct pool *pool,
                                  uint64_t buffer_bytes, hearth_error *err) {
    *out = NULL;
    struct machine_reader *r = mem_calloc(1, sizeof *r);
    if (!r) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to measure with");
    *r = (struct machine_reader){.kernels = kernels_for(cpu_best()), .pool = pool, .fill = true};
    size_t window_bytes = (size_t)(buffer_bytes / (WINDOWS * PAGE) * PAGE);
    r->window_floats = window_bytes / sizeof *r->data;
    r->data = window_bytes ? mem_alloc_aligned(PAGE, window_bytes * WINDOWS) : NULL;
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
    mem_free(r->data);
    mem_free(r->sums);
    mem_free(r);
}

double machine_read_rate(struct machine_reader *r, double seconds) {
    struct fastest fastest = {0};
    uint64_t start = clock_now_ns();
    while (fastest.n_passes < CONFIRMED || clock_seconds_since(start) < seconds) {
        uint64_t pass = clock_now_ns();
        pool_run(r->pool, read_share, r);
        add_pass(&fastest,
                 (double)(r->window_floats * sizeof *r->data) / clock_seconds_since(pass));
        r->window = (r->window + 1) % WINDOWS;
    }
    return fastest.rates[CONFIRMED - 1];
}

/* ---- multiplying ---------------------------------------------------------------------------- */

struct multiplying {
    struct peak_loop loop;
    uint64_t rounds;
};

static void multiply_share(void *context, unsigned thread, unsigned n_threads) {
    const struct multiplying *m = context;
    (void)thread;
    (void)n_threads;
    m->loop.run(m->rounds);
}

static double multiply_rate(struct pool *pool, struct peak_loop loop, double seconds) {
    struct multiplying m = {loop, 256};
    struct fastest fastest = {0};
    if (!loop.run) return 0;
    uint64_t start = clock_now_ns();
    while (fastest.n_passes < CONFIRMED || clock_seconds_since(start) < seconds) {
        uint64_t pass = clock_now_ns();
        pool_run(pool, multiply_share, &m);
        double time = clock_seconds_since(pass);
        add_pass(&fastest, 2.0 * (double)(loop.products * m.rounds) * pool_threads(pool) / time);
        if (time < seconds / 64 && m.rounds < PEAK_MAX_ROUNDS / 2) m.rounds *= 2;
    }
    return fastest.rates[CONFIRMED - 1];
}

struct machine_rates machine_multiply_rates(struct pool *pool, enum cpu_level level,
                                            double seconds) {
    struct machine_rates rates;
    for (int kind = 0; kind < PEAK_KINDS; kind++)
        rates.of[kind] = multiply_rate(pool, peak_loop(level, (enum peak_kind)kind), seconds);
    return rates;
}
