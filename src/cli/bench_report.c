#include "cli/bench_report.h"

#include <jansson.h>
#include <stdio.h>

#include "base/units.h"

/* Rates of a row: its sorted seconds turned round. */
struct rates {
    double median, least, most; /* tokens a second */
    double per_cpu_second;
    double seconds, bytes_per_second, ops_per_second, fraction;
};

static struct rates rates_of(const struct bench_row *row) {
    const struct bench_times *times = &row->times;
    double tokens = (double)bench_row_tokens(row);
    double seconds = bench_median(times->seconds, times->count);
    return (struct rates){.median = tokens / seconds,
                          .least = tokens / times->seconds[times->count - 1],
                          .most = tokens / times->seconds[0],
                          .per_cpu_second = tokens / bench_median(times->cpu_seconds, times->count),
                          .seconds = seconds,
                          .bytes_per_second = bench_row_bytes(row) / seconds,
                          .ops_per_second = bench_row_ops(row) / seconds,
                          .fraction = bench_median(row->fractions, times->count)};
}

/* Tokens a second of the single sequence. */
static double single_rate(const struct bench_row *row) {
    const struct bench_times *times = &row->single.times;
    return row->test->n_generate / bench_median(times->seconds, times->count);
}

static const char *limit_of(const struct bench_row *row) {
    return bench_row_reads(row) ? "memory" : "arithmetic";
}

/* ---- Markdown ------------------------------------------------------------------------------- */

static void print_head(const struct bench_result *result) {
    const struct engine *engine = &result->engine;
    char size[32], count[32], resident[32], cache[32];
    printf("%s, %s parameters, %s, %s\n", engine->model.config.family,
           units_format_count(model_parameters(&engine->model), count, sizeof count),
           units_format_bytes(directory_bytes(&engine->model.directory), size, sizeof size),
           context_device(engine->context));
    printf("%s resident after the first token, %s of cache\n",
           units_format_bytes(result->load.memory.resident, resident, sizeof resident),
           units_format_bytes(result->load.cache_bytes, cache, sizeof cache));
}

static void print_limits(const struct bench_result *result) {
    const struct bench_limits *slow = &result->slowest, *fast = &result->fastest;
    if (result->n_limits == 0) return;
    printf("limits, measured %u times between: read %.1f GB/s (%.1f to %.1f)", result->n_limits,
           fast->read * 1e-9, slow->read * 1e-9, fast->read * 1e-9);
    for (int kind = 0; kind < PEAK_KINDS; kind++)
        if (fast->multiply.of[kind] > 0)
            printf(", %s %.0f GFLOP/s (%.0f to %.0f)", peak_name((enum peak_kind)kind),
                   fast->multiply.of[kind] * 1e-9, slow->multiply.of[kind] * 1e-9,
                   fast->multiply.of[kind] * 1e-9);
    putchar('\n');
}

/* What tests show beside one sequence with nothing before it. */
static void print_singles(const struct bench_result *result) {
    for (size_t i = 0; i < result->n_rows; i++) {
        const struct bench_row *row = &result->rows[i];
        double added;
        if (!bench_test_has_single(row->test)) continue;
        printf("\n%s: %.2f times the tokens/s of one sequence from nothing in turn with it (%.2f)",
               row->test->name, bench_row_ratio(row), single_rate(row));
        if (bench_row_added(row, &added))
            printf(";\nthe time it adds is %.2f of what its bytes add at that one's speed", added);
        putchar('\n');
    }
}

void bench_print_table(const struct bench_result *result) {
    const struct bench_times *load = &result->load.times;
    print_head(result);
    print_limits(result);
    puts("\n| test             | tokens/s |      min |      max |        s |   GB/s | GFLOP/s | of "
         "limit |\n"
         "|------------------|---------:|---------:|---------:|---------:|-------:|--------:|----"
         "-------------:|");
    for (size_t i = 0; i < result->n_rows; i++) {
        const struct bench_row *row = &result->rows[i];
        struct rates r = rates_of(row);
        printf("| %-16s | %8.2f | %8.2f | %8.2f | %8.4f | %6.2f | %7.1f | %4.2f %-10s |\n",
               row->test->name, r.median, r.least, r.most, r.seconds, r.bytes_per_second * 1e-9,
               r.ops_per_second * 1e-9, r.fraction, limit_of(row));
    }
    printf("| %-16s | %8s | %8s | %8s | %8.4f | %6s | %7s | %15s |\n", "load", "", "", "",
           bench_median(load->seconds, load->count), "", "", "");
    print_singles(result);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *limits_json(const struct bench_limits *limits) {
    json_t *object = json_pack("{s:f}", "read_bytes_per_second", limits->read);
    for (int kind = 0; object && kind < PEAK_KINDS; kind++) {
        char key[32];
        snprintf(key, sizeof key, "%s_ops_per_second", peak_name((enum peak_kind)kind));
        if (limits->multiply.of[kind] > 0)
            json_object_set_new(object, key, json_real(limits->multiply.of[kind]));
    }
    return object;
}

static json_t *load_json(const struct bench_load *load) {
    const struct bench_times *times = &load->times;
    return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "seconds",
                     bench_median(times->seconds, times->count), "min", times->seconds[0], "max",
                     times->seconds[times->count - 1], "cpu_seconds",
                     bench_median(times->cpu_seconds, times->count), "cache_bytes",
                     (json_int_t)load->cache_bytes, "resident_bytes",
                     (json_int_t)load->memory.resident, "unshared_bytes",
                     (json_int_t)load->memory.unshared, "peak_bytes",
                     (json_int_t)load->memory.peak);
}

/* NULL: it has none. */
static json_t *single_json(const struct bench_row *row) {
    double added;
    if (!bench_test_has_single(row->test)) return NULL;
    json_t *object = json_pack("{s:f, s:f}", "tokens_per_second", single_rate(row), "ratio",
                               bench_row_ratio(row));
    if (object && bench_row_added(row, &added))
        json_object_set_new(object, "added_seconds_over_bytes", json_real(added));
    return object;
}

static json_t *row_json(const struct bench_row *row) {
    struct rates r = rates_of(row);
    const struct bench_test *t = row->test;
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, "
                     "s:f, s:f, s:o, s:o*}",
                     "test", t->name, "n_prompt", (int)t->n_prompt, "n_gen", (int)t->n_generate,
                     "depth", (int)t->depth, "sequences", (int)t->n_sequences, "tokens_per_second",
                     r.median, "min", r.least, "max", r.most, "tokens_per_cpu_second",
                     r.per_cpu_second, "seconds", r.seconds, "bytes", bench_row_bytes(row),
                     "operations", bench_row_ops(row), "bytes_per_second", r.bytes_per_second,
                     "operations_per_second", r.ops_per_second, "limit", limit_of(row),
                     "fraction_of_limit", r.fraction, "reading_of_limit", bench_row_reading(row),
                     "limits", limits_json(&row->limits), "single", single_json(row));
}

void bench_print_json(const struct bench_result *result) {
    const struct engine *engine = &result->engine;
    json_t *list = json_array();
    for (size_t i = 0; i < result->n_rows; i++)
        json_array_append_new(list, row_json(&result->rows[i]));
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:I, s:s, s:o, s:o, s:o, s:o}", "model",
                  engine->model.directory.path, "family", engine->model.config.family, "parameters",
                  (json_int_t)model_parameters(&engine->model), "weight_bytes",
                  (json_int_t)directory_bytes(&engine->model.directory), "device",
                  context_device(engine->context), "load", load_json(&result->load),
                  "fastest_limits", limits_json(&result->fastest), "slowest_limits",
                  limits_json(&result->slowest), "rows", list);
    if (object) json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

/* ---- CSV ------------------------------------------------------------------------------------ */

void bench_print_csv(const struct bench_result *result) {
    const struct bench_times *load = &result->load.times;
    puts("test,n_prompt,n_gen,depth,sequences,tokens_per_second,min,max,seconds,bytes_per_second,"
         "operations_per_second,limit,fraction_of_limit,single_tokens_per_second,ratio");
    for (size_t i = 0; i < result->n_rows; i++) {
        const struct bench_row *row = &result->rows[i];
        const struct bench_test *t = row->test;
        struct rates r = rates_of(row);
        printf("%s,%u,%u,%u,%u,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%s,%.4f", t->name, t->n_prompt,
               t->n_generate, t->depth, t->n_sequences, r.median, r.least, r.most, r.seconds,
               r.bytes_per_second, r.ops_per_second, limit_of(row), r.fraction);
        if (bench_test_has_single(t))
            printf(",%.6g,%.6g\n", single_rate(row), bench_row_ratio(row));
        else
            puts(",,");
    }
    printf("load,,,,,,,,%.6g,,,,,,\n", bench_median(load->seconds, load->count));
}
