#include "device/machine_speed.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

/* Short passes, so that one of them is likely to be undisturbed by other programs. */
enum { PAGE = 4096, PIECE_FLOATS = 4096, WINDOWS = 16 };

/* ---- reading ------------------------------------------------------------------------------ */

struct reading {
    const struct kernels *kernels;
    float *data;
    size_t n_floats, window; /* the pass reads window `window` of WINDOWS */
    float *sums;             /* [threads] keeps the reads from being left out */
    bool fill;
};

static void read_share(void *context, unsigned thread, unsigned n_threads) {
    struct reading *r = context;
    size_t n = r->n_floats / WINDOWS, begin, end;
    float *data = r->data + r->window * n, sum = 0;
    pool_share(n, PAGE / sizeof(float), thread, n_threads, &begin, &end);
    if (r->fill) { /* by the thread that reads it, so that memory is near */
        memset(data + begin, 0, (end - begin) * sizeof *data);
        return;
    }
    for (size_t i = begin; i < end; i += PIECE_FLOATS)
        sum += r->kernels->sum_squares(data + i, end - i < PIECE_FLOATS ? end - i : PIECE_FLOATS);
    r->sums[thread] = sum;
}

static double best_pass(struct pool *pool, struct reading *r, double seconds) {
    double best = 0;
    r->fill = true;
    for (r->window = 0; r->window < WINDOWS; r->window++)
        pool_run(pool, read_share, r);
    r->fill = false;
    uint64_t start = clock_now_ns();
    for (size_t i = 0; i < WINDOWS || clock_seconds_since(start) < seconds; i++) {
        r->window = i % WINDOWS;
        uint64_t pass = clock_now_ns();
        pool_run(pool, read_share, r);
        double bytes = (double)(r->n_floats / WINDOWS * sizeof *r->data);
        double rate = bytes / clock_seconds_since(pass);
        if (rate > best) best = rate;
    }
    return best;
}

hearth_status machine_read_bandwidth(struct pool *pool, uint64_t buffer_bytes, double seconds,
                                     double *bytes_per_second, hearth_error *err) {
    struct reading r = {.kernels = kernels_for(cpu_best()),
                        .n_floats =
                            buffer_bytes / (WINDOWS * PAGE) * (WINDOWS * PAGE) / sizeof(float)};
    r.data = mem_alloc_aligned(PAGE, r.n_floats * sizeof *r.data);
    r.sums = mem_calloc(pool_threads(pool), sizeof *r.sums);
    bool enough = r.data && r.sums && r.n_floats > 0;
    if (enough) *bytes_per_second = best_pass(pool, &r, seconds);
    mem_free(r.sums);
    mem_free(r.data);
    if (enough) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a buffer to read");
}

/* ---- multiplying ---------------------------------------------------------------------------- */

enum { COLS = 512, ROWS = 64, TOKENS = 32 };

struct multiplying {
    const struct kernels *kernels;
    enum elem type;
    const void *weights, *inputs;
    float *outputs; /* [threads][TOKENS][ROWS] */
    size_t input_stride;
    unsigned repetitions;
};

static void multiply_share(void *context, unsigned thread, unsigned n_threads) {
    const struct multiplying *m = context;
    (void)n_threads;
    for (unsigned i = 0; i < m->repetitions; i++)
        m->kernels->linear[m->type](COLS, m->weights, elem_row_bytes(m->type, COLS), ROWS,
                                    m->inputs, m->input_stride, TOKENS,
                                    m->outputs + (size_t)thread * TOKENS * ROWS, ROWS);
}

static double rate_of(struct pool *pool, struct multiplying *m, double seconds) {
    double best = 0, flops = 2.0 * COLS * ROWS * TOKENS * pool_threads(pool);
    uint64_t start = clock_now_ns();
    m->repetitions = 1;
    do {
        uint64_t pass = clock_now_ns();
        pool_run(pool, multiply_share, m);
        double time = clock_seconds_since(pass), rate = flops * m->repetitions / time;
        if (rate > best) best = rate;
        if (time < seconds / 8) m->repetitions *= 2;
    } while (clock_seconds_since(start) < seconds);
    return best;
}

static double measure_type(struct pool *pool, const struct kernels *k, enum elem type,
                           double seconds, void *memory) {
    float *values = memory;
    enum act act = k->linear_act[type];
    size_t in_bytes = act_row_bytes(act, COLS), w_bytes = elem_row_bytes(type, COLS);
    char *inputs = (char *)(values + COLS), *weights = inputs + TOKENS * in_bytes;
    if (!k->linear[type]) return 0;
    for (int i = 0; i < COLS; i++)
        values[i] = (float)(i % 17 - 8) / 8;
    for (int i = 0; i < ROWS; i++)
        quantize_rows(type, values, weights + (size_t)i * w_bytes, 1, COLS, NULL, NULL);
    for (int i = 0; i < TOKENS; i++)
        k->quantize_act[act](values, inputs + (size_t)i * in_bytes, COLS);
    struct multiplying m = {.kernels = k,
                            .type = type,
                            .weights = weights,
                            .inputs = inputs,
                            .outputs = (float *)(void *)(weights + ROWS * w_bytes),
                            .input_stride = in_bytes};
    return rate_of(pool, &m, seconds);
}

/* ---- the matrix unit ------------------------------------------------------------------------ */

enum { LEAST_ROUNDS = 1000 };

struct spinning {
    double (*limit)(size_t rounds);
    size_t rounds;
    double *operations; /* [threads] */
};

static void spin_share(void *context, unsigned thread, unsigned n_threads) {
    const struct spinning *s = context;
    (void)n_threads;
    s->operations[thread] = s->limit(s->rounds);
}

static double unit_rate(struct pool *pool, double (*limit)(size_t rounds), double seconds,
                        double *operations) {
    struct spinning s = {limit, LEAST_ROUNDS, operations};
    double best = 0;
    uint64_t start = clock_now_ns();
    do {
        uint64_t pass = clock_now_ns();
        double sum = 0;
        pool_run(pool, spin_share, &s);
        double time = clock_seconds_since(pass);
        for (unsigned i = 0; i < pool_threads(pool); i++)
            sum += operations[i];
        if (sum / time > best) best = sum / time;
        if (time < seconds / 8) s.rounds *= 2;
    } while (clock_seconds_since(start) < seconds);
    return best;
}

hearth_status machine_multiply_rates(struct pool *pool, enum cpu_level level, double seconds,
                                     struct machine_rates *rates, hearth_error *err) {
    size_t floats = COLS * (1 + TOKENS + ROWS) * 2 + (size_t)pool_threads(pool) * TOKENS * ROWS;
    void *memory = mem_alloc_aligned(PAGE, floats * sizeof(float));
    if (!memory) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to measure with");
    rates->f32 = measure_type(pool, kernels_for(level), ELEM_F32, seconds / 2, memory);
    rates->int8 = measure_type(pool, kernels_for(level), ELEM_Q8_0, seconds / 2, memory);
    rates->unit_bf16 = rates->unit_int8 = 0;
    const struct prompt_kernels *unit = kernels_for(level)->prompt;
    if (unit && unit->limit_bf16) {
        rates->unit_bf16 = unit_rate(pool, unit->limit_bf16, seconds / 2, memory);
        rates->unit_int8 = unit_rate(pool, unit->limit_int8, seconds / 2, memory);
    }
    mem_free(memory);
    return HEARTH_OK;
}
