#include "cli/bench_measure.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"

enum { LOADS = 3 };
#define READ_SECONDS 0.03
#define MULTIPLY_SECONDS 0.005 /* each kind of number */
#define MOST_BUFFER_BYTES (UINT64_C(1) << 30)
#define LEAST_BUFFER_BYTES (UINT64_C(1) << 20)

struct bench {
    const struct bench_settings *settings;
    struct bench_result *result;
    struct context *context;
    struct pool *pool;
    struct machine_reader *reader;
    enum cpu_level level;
    int32_t *tokens; /* [n_tokens] any; sequences start at different ones */
    uint32_t n_tokens, n_vocab;
    float *logits; /* [most sequences][n_vocab] */
    struct context_part *parts;
    int32_t choice; /* of a first token; keeps it from being left out */
};

/* ---- seconds -------------------------------------------------------------------------------- */

struct stopwatch {
    uint64_t start, cpu_start;
};

static struct stopwatch stopwatch_start(void) {
    return (struct stopwatch){clock_now_ns(), clock_process_ns()};
}

/* Adds what has passed to the repetition that is under way. */
static void stopwatch_add(const struct stopwatch *watch, struct bench_times *times) {
    times->seconds[times->count] += clock_seconds_since(watch->start);
    times->cpu_seconds[times->count] += (double)(clock_process_ns() - watch->cpu_start) * 1e-9;
}

/* ---- limits --------------------------------------------------------------------------------- */

static void keep(double *best, double value, bool most) {
    if (*best == 0 || (most ? value > *best : value < *best)) *best = value;
}

static void keep_limits(struct bench_limits *best, const struct bench_limits *now, bool most) {
    keep(&best->read, now->read, most);
    for (int kind = 0; kind < PEAK_KINDS; kind++)
        keep(&best->multiply.of[kind], now->multiply.of[kind], most);
}

static hearth_status measure_limits(struct bench *b, struct bench_row *row,
                                    struct bench_limits *now, hearth_error *err) {
    RETURN_IF_ERROR(
        machine_multiply_rates(b->pool, b->level, MULTIPLY_SECONDS, &now->multiply, err));
    now->read = machine_read_rate(b->reader, READ_SECONDS);
    row->reading += machine_read_mean(b->reader) / now->read;
    row->n_readings++;
    if (!kernels_for(b->level)->prompt) now->multiply.of[PEAK_BF16] = 0; /* training alone */
    keep_limits(&row->limits, now, true);
    keep_limits(&b->result->fastest, now, true);
    keep_limits(&b->result->slowest, now, false);
    b->result->n_limits++;
    return HEARTH_OK;
}

/* ---- experts -------------------------------------------------------------------------------- */

/* How many experts the layers use, on average over the layers of a pass. */
struct expert_count {
    double in_use, layers;
};

static void count_experts(void *context, const struct tensor *weight,
                          const struct device_input *input, unsigned thread, unsigned n_threads) {
    struct expert_count *count = context;
    bool seen[CONFIG_MAX_EXPERTS] = {false};
    (void)weight;
    (void)n_threads;
    if (thread != 0 || !input->experts) return;
    count->layers++;
    for (size_t i = 0; i < input->n_pairs; i++) {
        count->in_use += !seen[input->experts[i]];
        seen[input->experts[i]] = true;
    }
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* The next n tokens of `n_sequences` sequences from `first` on. */
static hearth_status advance(struct bench *b, uint32_t first, uint32_t n_sequences, uint32_t n,
                             bool prompt, hearth_error *err) {
    for (uint32_t i = 0; i < n_sequences; i++) {
        uint32_t s = first + i, at = context_sequence_length(b->context, s) + s;
        b->parts[i] = (struct context_part){.sequence = s,
                                            .tokens = b->tokens + at,
                                            .n_tokens = n,
                                            .last_logits = true,
                                            .prompt = prompt};
    }
    return context_decode(b->context, b->parts, n_sequences, b->logits, err);
}

static int32_t likeliest(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

static hearth_status run_prompt(struct bench *b, const struct bench_test *t, hearth_error *err) {
    if (t->n_prompt == 0) return HEARTH_OK;
    RETURN_IF_ERROR(advance(b, 0, t->n_sequences, t->n_prompt, true, err));
    if (t->first_token) b->choice = likeliest(b->logits, b->n_vocab);
    return HEARTH_OK;
}

static hearth_status run_step(struct bench *b, const struct bench_test *t, hearth_error *err) {
    return advance(b, 0, t->n_sequences, 1, false, err);
}

/* The sequence behind those of the test, which set_depth leaves empty. */
static hearth_status run_single_step(struct bench *b, const struct bench_test *t,
                                     hearth_error *err) {
    return advance(b, t->n_sequences, 1, 1, false, err);
}

/* Every sequence of the test as long as its depth, the others empty. A recurrent model
 * cannot go back and starts again. */
static hearth_status set_depth(struct bench *b, const struct bench_test *t, hearth_error *err) {
    uint32_t most = bench_tests_sequences(b->settings->tests);
    for (uint32_t s = 0; s < most; s++) /* pages are free before others want them */
        context_sequence_truncate(b->context, s, s < t->n_sequences ? t->depth : 0);
    for (uint32_t s = 0; s < t->n_sequences; s++) {
        uint32_t length = context_sequence_length(b->context, s);
        struct context_part part = {.sequence = s,
                                    .tokens = b->tokens + s + length,
                                    .n_tokens = t->depth - length,
                                    .prompt = true};
        if (length < t->depth) RETURN_IF_ERROR(context_decode(b->context, &part, 1, NULL, err));
    }
    return HEARTH_OK;
}

/* Pages are touched, tables are warm, and the experts in use are counted. */
static hearth_status warm_up(struct bench *b, struct bench_row *row, hearth_error *err) {
    const struct bench_test *t = row->test;
    struct expert_count prompt = {0}, generate = {0};
    bool experts = b->result->engine.model.config.experts.n_expert > 0;
    RETURN_IF_ERROR(set_depth(b, t, err));
    if (experts) context_observe(b->context, count_experts, &prompt);
    hearth_status status = run_prompt(b, t, err);
    if (experts) context_observe(b->context, count_experts, &generate);
    if (status == HEARTH_OK && t->n_generate > 0) status = run_step(b, t, err);
    context_observe(b->context, NULL, NULL);
    if (status == HEARTH_OK && bench_test_has_single(t)) status = run_single_step(b, t, err);
    if (prompt.layers > 0) row->prompt.experts_in_use = prompt.in_use / prompt.layers;
    if (generate.layers > 0) row->generate.experts_in_use = generate.in_use / generate.layers;
    return status;
}

/* What lies between two measurements of the limits: the prompt, or a few steps of
 * generation, as the memory of a shared machine gives more and less from moment to moment. */
enum { PROMPT = 0, STRETCH_STEPS = 8 };

struct repetition {
    struct bench_limits before;
    double least_seconds; /* so far, at the limits around each stretch */
};

static void add_cost(struct plan_cost *sum, const struct plan_cost *cost) {
    sum->weight_bytes += cost->weight_bytes;
    sum->cache_bytes += cost->cache_bytes;
    sum->linear_ops += cost->linear_ops;
    sum->mixing_ops += cost->mixing_ops;
}

typedef hearth_status (*pass)(struct bench *b, const struct bench_test *t, hearth_error *err);

/* Adds a pass to what the repetition takes, and its cost. Counting takes microseconds. */
static hearth_status run_timed(struct bench *b, pass run, const struct bench_test *t,
                               struct bench_times *times, struct plan_cost *cost,
                               hearth_error *err) {
    struct stopwatch watch = stopwatch_start();
    context_count(b->context, cost);
    hearth_status status = run(b, t, err);
    context_count(b->context, NULL);
    stopwatch_add(&watch, times);
    return status;
}

static hearth_status run_steps(struct bench *b, struct bench_row *row, uint32_t steps,
                               struct plan_cost *cost, hearth_error *err) {
    struct bench_single *single = &row->single;
    struct plan_cost uncounted = {0};
    bool first = row->times.count == 0, paired = bench_test_has_single(row->test);
    for (uint32_t i = 0; i < steps; i++) {
        RETURN_IF_ERROR(run_timed(b, run_step, row->test, &row->times, cost, err));
        if (paired)
            RETURN_IF_ERROR(run_timed(b, run_single_step, row->test, &single->times,
                                      first ? &single->cost : &uncounted, err));
    }
    return HEARTH_OK;
}

static hearth_status run_stretch(struct bench *b, struct bench_row *row, uint32_t steps,
                                 struct repetition *r, hearth_error *err) {
    struct plan_cost *sum = steps == PROMPT ? &row->prompt : &row->generate;
    struct plan_cost cost = {.experts_in_use = sum->experts_in_use};
    struct bench_limits after;
    RETURN_IF_ERROR(steps == PROMPT ? run_timed(b, run_prompt, row->test, &row->times, &cost, err)
                                    : run_steps(b, row, steps, &cost, err));
    RETURN_IF_ERROR(measure_limits(b, row, &after, err));
    struct bench_limits around = bench_mean_limits(&r->before, &after);
    r->least_seconds += bench_least_seconds(&around, &cost);
    r->before = after;
    if (row->times.count == 0) add_cost(sum, &cost);
    return HEARTH_OK;
}

/* Ends a repetition. */
static void judge(struct bench_row *row, const struct repetition *r) {
    struct bench_single *single = &row->single;
    double seconds = row->times.seconds[row->times.count];
    row->fractions[row->times.count++] = r->least_seconds / seconds;
    if (!bench_test_has_single(row->test)) return;
    single->ratios[single->times.count] = seconds / single->times.seconds[single->times.count];
    single->times.count++;
}

static hearth_status repeat(struct bench *b, struct bench_row *row, hearth_error *err) {
    const struct bench_test *t = row->test;
    struct repetition r = {0};
    RETURN_IF_ERROR(set_depth(b, t, err));
    RETURN_IF_ERROR(measure_limits(b, row, &r.before, err));
    if (t->n_prompt > 0) RETURN_IF_ERROR(run_stretch(b, row, PROMPT, &r, err));
    for (uint32_t left = t->n_generate, n; left > 0; left -= n) {
        n = left < STRETCH_STEPS ? left : STRETCH_STEPS;
        RETURN_IF_ERROR(run_stretch(b, row, n, &r, err));
    }
    judge(row, &r);
    return HEARTH_OK;
}

static hearth_status run_test(struct bench *b, struct bench_row *row, hearth_error *err) {
    RETURN_IF_ERROR(warm_up(b, row, err));
    for (unsigned i = 0; i < b->settings->repetitions; i++)
        RETURN_IF_ERROR(repeat(b, row, err));
    bench_times_sort(&row->times);
    bench_sort(row->fractions, row->times.count);
    bench_times_sort(&row->single.times);
    bench_sort(row->single.ratios, row->single.times.count);
    return HEARTH_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static hearth_status open_once(struct bench_result *result, const struct bench_settings *settings,
                               bool last, hearth_error *err) {
    struct context_options base = context_defaults();
    int32_t token = 0;
    struct context_part part = {.tokens = &token, .n_tokens = 1, .last_logits = true};
    struct engine *engine = &result->engine;
    base.n_ctx = bench_tests_context(settings->tests);
    base.n_sequences = bench_tests_sequences(settings->tests);
    base.n_pages = bench_tests_pages(settings->tests);
    struct stopwatch watch = stopwatch_start();
    RETURN_IF_ERROR(engine_open(engine, settings->engine, base, err));
    float *logits = mem_alloc_array(engine->model.config.n_vocab, sizeof *logits);
    hearth_status status = logits ? context_decode(engine->context, &part, 1, logits, err)
                                  : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for logits");
    stopwatch_add(&watch, &result->load.times);
    result->load.times.count++;
    mem_free(logits);
    if (result->load.times.count == 1) {
        result->load.memory = cpu_process_memory();
        result->load.cache_bytes = context_cache_bytes(engine->context);
    }
    if (!last || status != HEARTH_OK) engine_close(engine);
    return status;
}

static hearth_status measure_load(struct bench_result *result,
                                  const struct bench_settings *settings, hearth_error *err) {
    unsigned n = settings->repetitions < LOADS ? settings->repetitions : LOADS;
    for (unsigned i = 1; i <= n; i++)
        RETURN_IF_ERROR(open_once(result, settings, i == n, err));
    bench_times_sort(&result->load.times);
    return HEARTH_OK;
}

static hearth_status check_context(const struct bench *b, hearth_error *err) {
    const struct bench_tests *tests = b->settings->tests;
    uint32_t have = context_length(b->context);
    for (size_t i = 0; i < tests->count; i++) {
        const struct bench_test *t = &tests->items[i];
        uint32_t need = bench_test_positions(t);
        if (need > have)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "test %s needs a context of %u tokens, -c says %u", t->name, need,
                             have);
    }
    return HEARTH_OK;
}

static hearth_status open_bench(struct bench *b, hearth_error *err) {
    const struct engine *engine = &b->result->engine;
    uint32_t n_sequences = bench_tests_sequences(b->settings->tests);
    uint64_t buffer = directory_bytes(&engine->model.directory), free = cpu_memory_available();
    if (buffer > free / 4) buffer = free / 4;
    if (buffer > MOST_BUFFER_BYTES) buffer = MOST_BUFFER_BYTES;
    if (buffer < LEAST_BUFFER_BYTES) buffer = LEAST_BUFFER_BYTES;
    struct rng rng;
    RETURN_IF_ERROR(check_context(b, err));
    b->n_vocab = engine->model.config.n_vocab;
    b->n_tokens = bench_tests_context(b->settings->tests) + n_sequences;
    b->tokens = mem_alloc_array(b->n_tokens, sizeof *b->tokens);
    b->logits = mem_alloc_array((size_t)n_sequences * b->n_vocab, sizeof *b->logits);
    b->parts = mem_alloc_array(n_sequences, sizeof *b->parts);
    b->result->rows = mem_calloc(b->settings->tests->count, sizeof *b->result->rows);
    if (!b->tokens || !b->logits || !b->parts || !b->result->rows)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to measure with");
    rng_seed(&rng, 1);
    for (uint32_t i = 0; i < b->n_tokens; i++)
        b->tokens[i] = (int32_t)(rng_u64(&rng) % b->n_vocab);
    RETURN_IF_ERROR(cpu_choose(&b->level, err));
    RETURN_IF_ERROR(pool_open(&b->pool, (unsigned)b->settings->engine->n_threads, err));
    pool_tie(b->pool, context_settings(b->context)->nodes);
    return machine_reader_open(&b->reader, b->pool, buffer, err);
}

static hearth_status run_tests(struct bench *b, hearth_error *err) {
    const struct bench_tests *tests = b->settings->tests;
    RETURN_IF_ERROR(open_bench(b, err));
    for (size_t i = 0; i < tests->count; i++) {
        struct bench_row *row = &b->result->rows[b->result->n_rows++];
        row->test = &tests->items[i];
        RETURN_IF_ERROR(run_test(b, row, err));
    }
    return HEARTH_OK;
}

hearth_status bench_measure(struct bench_result *result, const struct bench_settings *settings,
                            hearth_error *err) {
    *result = (struct bench_result){0};
    RETURN_IF_ERROR(measure_load(result, settings, err));
    struct bench bench = {
        .settings = settings, .result = result, .context = result->engine.context};
    hearth_status status = run_tests(&bench, err);
    machine_reader_close(bench.reader);
    pool_close(bench.pool);
    mem_free(bench.tokens);
    mem_free(bench.logits);
    mem_free(bench.parts);
    if (status != HEARTH_OK) bench_result_release(result);
    return status;
}

void bench_result_release(struct bench_result *result) {
    engine_close(&result->engine);
    mem_free(result->rows);
    *result = (struct bench_result){0};
}
