/* hearth bench: prompt and generation speed, rows named as llama-bench names them, and
 * what it takes to get there: seconds and memory from opening the file to the end of the
 * first forward pass of one token, the tokenizer included. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/engine.h"

enum { MAX_REPETITIONS = 100 };

struct bench_options {
    struct engine_settings engine;
    int64_t n_prompt, n_generate, repetitions;
    bool json;
};

struct bench_row {
    char test[32];
    double median, least, most; /* tokens per second */
    double per_cpu_second;      /* median tokens for each second of processor time */
};

struct bench_load {
    double seconds, cpu_seconds;
    uint64_t cache_bytes;
    struct cpu_process_memory memory;
};

struct stopwatch {
    uint64_t start, cpu_start;
};

static struct stopwatch stopwatch_start(void) {
    return (struct stopwatch){clock_now_ns(), clock_process_ns()};
}

static void stopwatch_read(const struct stopwatch *watch, double *seconds, double *cpu_seconds) {
    *seconds = clock_seconds_since(watch->start);
    *cpu_seconds = (double)(clock_process_ns() - watch->cpu_start) * 1e-9;
}

static hearth_status decode(struct context *context, const int32_t *tokens, uint32_t n, bool prompt,
                            float *logits, hearth_error *err) {
    struct context_part part = {
        .tokens = tokens, .n_tokens = n, .last_logits = true, .prompt = prompt};
    return context_decode(context, &part, 1, logits, err);
}

/* Seconds for one prompt of n tokens, or for n tokens one after the other. */
static hearth_status run_once(struct context *context, const int32_t *tokens, uint32_t n,
                              bool one_by_one, float *logits, double *seconds, double *cpu_seconds,
                              hearth_error *err) {
    hearth_status status = HEARTH_OK;
    context_sequence_truncate(context, 0, 0);
    struct stopwatch watch = stopwatch_start();
    if (!one_by_one) status = decode(context, tokens, n, true, logits, err);
    for (uint32_t i = 0; one_by_one && status == HEARTH_OK && i < n; i++)
        status = decode(context, tokens + i, 1, false, logits, err);
    stopwatch_read(&watch, seconds, cpu_seconds);
    return status;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values. */
static double median(double *values, uint32_t n) {
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static hearth_status measure(struct context *context, const int32_t *tokens, uint32_t n,
                             bool one_by_one, uint32_t repetitions, float *logits,
                             struct bench_row *row, hearth_error *err) {
    double rates[MAX_REPETITIONS], cpu_rates[MAX_REPETITIONS], seconds, cpu;
    snprintf(row->test, sizeof row->test, "%s%u", one_by_one ? "tg" : "pp", n);
    RETURN_IF_ERROR(
        run_once(context, tokens, one_by_one ? 1 : n, one_by_one, logits, &seconds, &cpu, err));
    for (uint32_t i = 0; i < repetitions; i++) {
        RETURN_IF_ERROR(run_once(context, tokens, n, one_by_one, logits, &seconds, &cpu, err));
        rates[i] = n / seconds;
        cpu_rates[i] = n / cpu;
    }
    row->median = median(rates, repetitions);
    row->least = rates[0];
    row->most = rates[repetitions - 1];
    row->per_cpu_second = median(cpu_rates, repetitions);
    return HEARTH_OK;
}

static json_t *load_json(const struct bench_load *load) {
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:I}", "seconds", load->seconds, "cpu_seconds",
                     load->cpu_seconds, "cache_bytes", (json_int_t)load->cache_bytes,
                     "resident_bytes", (json_int_t)load->memory.resident, "unshared_bytes",
                     (json_int_t)load->memory.unshared, "peak_bytes",
                     (json_int_t)load->memory.peak);
}

static void print_json(const struct engine *engine, const struct bench_load *load,
                       const struct bench_row *rows, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:f}", "test", rows[i].test,
                                              "tokens_per_second", rows[i].median, "min",
                                              rows[i].least, "max", rows[i].most,
                                              "tokens_per_cpu_second", rows[i].per_cpu_second));
    json_t *result = json_pack(
        "{s:s, s:s, s:I, s:I, s:s, s:o, s:o}", "model", engine->model.directory.path, "family",
        engine->model.config.family, "parameters", (json_int_t)model_parameters(&engine->model),
        "weight_bytes", (json_int_t)directory_bytes(&engine->model.directory), "device",
        context_device(engine->context), "load", load_json(load), "rows", list);
    if (result) json_dumpf(result, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(result);
}

static void print_table(const struct engine *engine, const struct bench_load *load,
                        const struct bench_row *rows, size_t n) {
    char size[32], count[32], resident[32], cache[32];
    printf("%s, %s parameters, %s, %s\n", engine->model.config.family,
           units_format_count(model_parameters(&engine->model), count, sizeof count),
           units_format_bytes(directory_bytes(&engine->model.directory), size, sizeof size),
           context_device(engine->context));
    printf("first token after %.3f s, %s resident, %s of cache\n\n", load->seconds,
           units_format_bytes(load->memory.resident, resident, sizeof resident),
           units_format_bytes(load->cache_bytes, cache, sizeof cache));
    puts(
        "| test   | tokens/s | min      | max      |\n|--------|---------:|---------:|---------:|");
    for (size_t i = 0; i < n; i++)
        printf("| %-6s | %8.2f | %8.2f | %8.2f |\n", rows[i].test, rows[i].median, rows[i].least,
               rows[i].most);
}

/* The end of what `load` measures. */
static hearth_status first_pass(struct engine *engine, const int32_t *tokens, float *logits,
                                const struct stopwatch *opened, struct bench_load *load,
                                hearth_error *err) {
    RETURN_IF_ERROR(decode(engine->context, tokens, 1, true, logits, err));
    stopwatch_read(opened, &load->seconds, &load->cpu_seconds);
    load->memory = cpu_process_memory();
    load->cache_bytes = context_cache_bytes(engine->context);
    return HEARTH_OK;
}

static hearth_status bench_engine(const struct bench_options *o, struct engine *engine,
                                  const struct stopwatch *opened, hearth_error *err) {
    struct bench_row rows[2];
    struct bench_load load;
    size_t n_rows = 0;
    uint32_t n_vocab = engine->model.config.n_vocab, repetitions = (uint32_t)o->repetitions;
    int64_t most = o->n_prompt > o->n_generate ? o->n_prompt : o->n_generate;
    int32_t *tokens = mem_alloc_array((size_t)most, sizeof *tokens);
    float *logits = mem_alloc_array(n_vocab, sizeof *logits);
    hearth_status status = HEARTH_OK;
    struct rng rng;
    if (!tokens || !logits) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    rng_seed(&rng, 1);
    for (int64_t i = 0; status == HEARTH_OK && i < most; i++)
        tokens[i] = (int32_t)(rng_u64(&rng) % n_vocab);
    if (status == HEARTH_OK) status = first_pass(engine, tokens, logits, opened, &load, err);
    if (status == HEARTH_OK && o->n_prompt > 0)
        status = measure(engine->context, tokens, (uint32_t)o->n_prompt, false, repetitions, logits,
                         &rows[n_rows++], err);
    if (status == HEARTH_OK && o->n_generate > 0)
        status = measure(engine->context, tokens, (uint32_t)o->n_generate, true, repetitions,
                         logits, &rows[n_rows++], err);
    if (status == HEARTH_OK && o->json)
        print_json(engine, &load, rows, n_rows);
    else if (status == HEARTH_OK)
        print_table(engine, &load, rows, n_rows);
    mem_free(tokens);
    mem_free(logits);
    return status;
}

static hearth_status bench_run(const struct bench_options *o, hearth_error *err) {
    struct engine engine;
    struct context_options base = context_defaults();
    int64_t most = o->n_prompt > o->n_generate ? o->n_prompt : o->n_generate;
    base.n_ctx = (uint32_t)most;
    if (most == 0) return error_set(err, HEARTH_ERROR_ARGUMENT, "nothing to measure: -p 0 -n 0");
    struct stopwatch opened = stopwatch_start();
    RETURN_IF_ERROR(engine_open(&engine, &o->engine, base, err));
    hearth_status status = bench_engine(o, &engine, &opened, err);
    engine_close(&engine);
    return status;
}

int cmd_bench(int argc, char **argv) {
    struct bench_options o = {.n_prompt = 512, .n_generate = 128, .repetitions = 5};
    struct option_spec specs[ENGINE_SPECS + 5];
    size_t n = engine_specs(&o.engine, specs);
    specs[n++] = (struct option_spec){.type = OPTION_HEADING, .help = "Measure"};
    specs[n++] = (struct option_spec){.name = "n-prompt",
                                      .letter = 'p',
                                      .argument = "N",
                                      .help = "tokens of the prompt test (default: 512; 0: none)",
                                      .type = OPTION_INT,
                                      .most = 1 << 20,
                                      .integer = &o.n_prompt};
    specs[n++] =
        (struct option_spec){.name = "n-gen",
                             .letter = 'n',
                             .argument = "N",
                             .help = "tokens of the generation test (default: 128; 0: none)",
                             .type = OPTION_INT,
                             .most = 1 << 20,
                             .integer = &o.n_generate};
    specs[n++] = (struct option_spec){.name = "repetitions",
                                      .letter = 'r',
                                      .argument = "N",
                                      .help = "times each test is run (default: 5)",
                                      .type = OPTION_INT,
                                      .least = 1,
                                      .most = MAX_REPETITIONS,
                                      .integer = &o.repetitions};
    specs[n++] = (struct option_spec){
        .name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &o.json};
    const struct option_table table = {
        .command = "hearth bench",
        .summary = "Measures prompt (pp) and generation (tg) speed; the median counts.",
        .examples = "hearth bench -m model.gguf -p 512 -n 64 -t 2 -r 3 --json",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    return bench_run(&o, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
