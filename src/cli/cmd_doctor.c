/* hearth doctor: what this machine is, how fast, and which models suit it. */
#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/numa.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "device/machine_speed.h"
#include "hub/hub.h"
#include "model/synth.h"

#define MOST_BUFFER_BYTES (UINT64_C(1) << 30)
#define RUNNING_BYTES (UINT64_C(512) << 20) /* cache and work space beside the weights */
#define READ_SECONDS 0.8
#define MULTIPLY_SECONDS 0.1 /* each level, each kind of number */

static const char *const shapes[] = {"qwen3-0.6b",   "llama-3.2-1b", "llama-3.2-3b", "qwen3-4b",
                                     "llama-3.1-8b", "gpt-oss-20b",  "qwen3-30b-a3b"};
static const char *const recipes[] = {"Q4_0", "Q4_K_M", "Q8_0", "BF16"};
enum {
    N_SHAPES = sizeof shapes / sizeof shapes[0],
    N_RECIPES = sizeof recipes / sizeof recipes[0]
};

struct fit {
    uint64_t size_bytes;
    double tokens_per_second;
    bool fits;
};

struct diagnosis {
    unsigned cores, logical;
    struct topology_nodes nodes;
    enum cpu_level level;
    struct machine_rates rates[CPU_LEVELS];
    uint64_t memory_total, memory_available, disk_free;
    char *folder; /* of models; may be NULL */
    double bandwidth;
    struct fit fits[N_SHAPES][N_RECIPES];
};

/* ---- measuring ------------------------------------------------------------------------------ */

static hearth_status judge_models(struct diagnosis *d, hearth_error *err) {
    for (int i = 0; i < N_SHAPES; i++)
        for (int j = 0; j < N_RECIPES; j++) {
            struct synth_options options = {
                .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}};
            struct synth_size size;
            struct fit *fit = &d->fits[i][j];
            RETURN_IF_ERROR(shape_find(&options.shape, shapes[i], err));
            RETURN_IF_ERROR(quant_recipe_find(&options.quant.recipe, recipes[j], err));
            RETURN_IF_ERROR(synth_measure(&options, &size, err));
            fit->size_bytes = size.total_bytes;
            fit->fits = size.total_bytes + RUNNING_BYTES <= d->memory_available;
            fit->tokens_per_second = d->bandwidth / (double)size.token_bytes;
        }
    return HEARTH_OK;
}

static hearth_status measure(struct diagnosis *d, struct pool *pool, hearth_error *err) {
    struct machine_reader *reader;
    uint64_t buffer = d->memory_available / 4;
    if (buffer > MOST_BUFFER_BYTES) buffer = MOST_BUFFER_BYTES;
    RETURN_IF_ERROR(machine_reader_open(&reader, pool, buffer, err));
    d->bandwidth = machine_read_rate(reader, READ_SECONDS);
    machine_reader_close(reader);
    for (int level = 0; level < CPU_LEVELS; level++)
        if (cpu_has((enum cpu_level)level))
            RETURN_IF_ERROR(machine_multiply_rates(pool, (enum cpu_level)level, MULTIPLY_SECONDS,
                                                   &d->rates[level], err));
    return judge_models(d, err);
}

static void find_folder(struct diagnosis *d) {
    struct hub *hub;
    if (hub_open(&hub, NULL) != HEARTH_OK) return;
    d->folder = mem_strdup(hub_folder(hub));
    hub_close(hub);
    /* The folder may not exist before the first pull: the disk is that of a parent. */
    char *at = d->folder ? mem_strdup(d->folder) : NULL;
    while (at && !file_is_folder(at)) {
        char *parent = path_folder(at);
        mem_free(at);
        at = parent;
    }
    if (at) d->disk_free = file_disk_free(at);
    mem_free(at);
}

static hearth_status diagnose(struct diagnosis *d, unsigned n_threads, hearth_error *err) {
    struct pool *pool;
    *d = (struct diagnosis){.logical = cpu_logical_threads(),
                            .memory_total = cpu_memory_total(),
                            .memory_available = cpu_memory_available()};
    RETURN_IF_ERROR(cpu_choose(&d->level, err));
    RETURN_IF_ERROR(pool_open(&pool, n_threads, err));
    d->cores = pool_threads(pool);
    numa_read_nodes(&d->nodes);
    pool_tie(pool, &d->nodes);
    find_folder(d);
    hearth_status status = measure(d, pool, err);
    pool_close(pool);
    return status;
}

/* ---- telling -------------------------------------------------------------------------------- */

static void print_rates(const struct diagnosis *d) {
    printf("\nBillions of operations a second, at most\n%-10s", "level");
    for (int kind = 0; kind < PEAK_KINDS; kind++)
        printf(" %8s", peak_name((enum peak_kind)kind));
    putchar('\n');
    for (int i = 0; i < CPU_LEVELS; i++) {
        if (!cpu_has((enum cpu_level)i)) continue;
        printf("%-10s", cpu_level_name((enum cpu_level)i));
        for (int kind = 0; kind < PEAK_KINDS; kind++)
            if (d->rates[i].of[kind] > 0)
                printf(" %8.0f", d->rates[i].of[kind] * 1e-9);
            else
                printf(" %8s", "-");
        puts((enum cpu_level)i == d->level ? "  in use" : "");
    }
}

static void print_fits(const struct diagnosis *d) {
    char size[32];
    printf("\nTokens a second that memory allows at most when generating, and size\n%-14s", "");
    for (int j = 0; j < N_RECIPES; j++)
        printf(" %19s", recipes[j]);
    putchar('\n');
    for (int i = 0; i < N_SHAPES; i++) {
        printf("%-14s", shapes[i]);
        for (int j = 0; j < N_RECIPES; j++) {
            const struct fit *fit = &d->fits[i][j];
            units_format_bytes(fit->size_bytes, size, sizeof size);
            if (fit->fits)
                printf(" %8.1f %10s", fit->tokens_per_second, size);
            else
                printf(" %8s %10s", "too big", size);
        }
        putchar('\n');
    }
}

static void print_text(const struct diagnosis *d) {
    char total[32], available[32], disk[32];
    printf("processor   %s\n", cpu_model_name());
    printf("threads     %u used, %u logical processors\n", d->cores, d->logical);
    printf("memory      %s, %s available\n",
           units_format_bytes(d->memory_total, total, sizeof total),
           units_format_bytes(d->memory_available, available, sizeof available));
    printf("nodes       %u of memory%s\n", d->nodes.count,
           d->nodes.count > 1 ? "; models are spread over them while memory allows it (--numa)"
                              : "");
    printf("bandwidth   %.1f GB/s read by %u threads\n", d->bandwidth * 1e-9, d->cores);
    if (d->folder)
        printf("models      %s, %s free\n", d->folder,
               units_format_bytes(d->disk_free, disk, sizeof disk));
    print_rates(d);
    print_fits(d);
}

static json_t *rates_json(const struct diagnosis *d) {
    json_t *list = json_array();
    for (int i = 0; i < CPU_LEVELS; i++)
        if (cpu_has((enum cpu_level)i))
            json_array_append_new(list, json_pack("{s:s, s:b, s:f, s:f, s:f}", "level",
                                                  cpu_level_name((enum cpu_level)i), "in_use",
                                                  (enum cpu_level)i == d->level, "f32_flops",
                                                  d->rates[i].of[PEAK_F32], "int8_ops",
                                                  d->rates[i].of[PEAK_INT8], "bf16_flops",
                                                  d->rates[i].of[PEAK_BF16]));
    return list;
}

static json_t *fits_json(const struct diagnosis *d) {
    json_t *list = json_array();
    for (int i = 0; i < N_SHAPES; i++)
        for (int j = 0; j < N_RECIPES; j++)
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b, s:f}", "shape", shapes[i],
                                                  "type", recipes[j], "size_bytes",
                                                  (json_int_t)d->fits[i][j].size_bytes, "fits",
                                                  d->fits[i][j].fits, "tokens_per_second",
                                                  d->fits[i][j].tokens_per_second));
    return list;
}

static void print_json(const struct diagnosis *d) {
    json_t *result = json_pack(
        "{s:s, s:i, s:i, s:i, s:I, s:I, s:f, s:s?, s:I, s:o, s:o}", "cpu", cpu_model_name(),
        "threads", (int)d->cores, "logical_processors", (int)d->logical, "memory_nodes",
        (int)d->nodes.count, "memory_total_bytes", (json_int_t)d->memory_total,
        "memory_available_bytes", (json_int_t)d->memory_available, "read_bytes_per_second",
        d->bandwidth, "model_folder", d->folder, "disk_free_bytes", (json_int_t)d->disk_free,
        "levels", rates_json(d), "models", fits_json(d));
    if (result) json_dumpf(result, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(result);
}

int cmd_doctor(int argc, char **argv) {
    bool json = false;
    int64_t n_threads = 0;
    const struct option_spec specs[] = {
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: one per core)",
         .environment = "HEARTH_THREADS",
         .type = OPTION_INT,
         .most = 512,
         .integer = &n_threads},
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json},
    };
    const struct option_table table = {
        .command = "hearth doctor",
        .summary = "Says what this machine is and how fast, and which models suit it.\n"
                   "Measures for a few seconds.",
        .specs = specs,
        .n_specs = 2};
    struct option_arguments arguments;
    struct diagnosis d;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    hearth_status status = diagnose(&d, (unsigned)n_threads, &err);
    if (status == HEARTH_OK) {
        if (json)
            print_json(&d);
        else
            print_text(&d);
    }
    mem_free(d.folder);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
