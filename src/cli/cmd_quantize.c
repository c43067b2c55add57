/* hearth quantize: a GGUF model in another element type; or raw floats to raw blocks. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/term.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "kernels/quantize.h"
#include "model/quantization.h"

struct quantize_command {
    const char *input, *output, *type;
    const char *importance, *output_type, *embedding_type;
    struct option_list rules;    /* NAME=TYPE */
    struct option_list adapters; /* FILE[:SCALE] */
    uint64_t max_part_bytes;
    int64_t n_threads, n_cols;
    bool blocks, allow_requantize, pure, keep_split, dry_run, json;
};

/* ---- raw blocks -------------------------------------------------------------------------- */

static hearth_status find_type(const char *name, enum elem *type, hearth_error *err) {
    const char *names[ELEM_TYPES];
    *type = elem_by_name(name);
    if (*type != ELEM_TYPES && quantize_supported(*type)) return HEARTH_OK;
    for (int i = 0; i < ELEM_TYPES; i++)
        names[i] = quantize_supported((enum elem)i) ? elem_name((enum elem)i) : NULL;
    const char *nearest = nearest_name(name, names, ELEM_TYPES);
    return error_set(err, HEARTH_ERROR_ARGUMENT, "no element type '%.40s' that can be made%s%s%s",
                     name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

static hearth_status write_blocks(const struct quantize_command *c, enum elem type,
                                  const struct file_map *map, hearth_error *err) {
    struct file_writer writer;
    size_t n_cols = (size_t)c->n_cols, in_bytes = n_cols * sizeof(float);
    size_t out_bytes = elem_row_bytes(type, n_cols);
    void *row = mem_alloc(out_bytes);
    if (!row) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a row");
    hearth_status status = file_writer_open(&writer, c->output, err);
    if (status == HEARTH_OK) {
        for (size_t at = 0; status == HEARTH_OK && at < map->size; at += in_bytes) {
            const float *values = (const float *)(const void *)(map->data + at);
            status = quantize_rows(type, values, row, 1, n_cols, NULL, err);
            if (status == HEARTH_OK) status = file_writer_put(&writer, row, out_bytes, err);
        }
        if (status == HEARTH_OK)
            status = file_writer_commit(&writer, err);
        else
            file_writer_discard(&writer);
    }
    mem_free(row);
    return status;
}

static hearth_status quantize_blocks(const struct quantize_command *c, hearth_error *err) {
    struct file_map map;
    enum elem type;
    RETURN_IF_ERROR(find_type(c->type, &type, err));
    if (c->n_cols % elem_table[type].block_values != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "--cols %lld is no multiple of %u, the block of %s", (long long)c->n_cols,
                         elem_table[type].block_values, elem_name(type));
    RETURN_IF_ERROR(file_map_open(&map, c->input, err));
    size_t row_bytes = (size_t)c->n_cols * sizeof(float);
    hearth_status status;
    if (map.size % row_bytes != 0)
        status = error_set(err, HEARTH_ERROR_FORMAT,
                           "'%s' has %zu bytes, which is no multiple of %zu: rows of %lld floats "
                           "were expected",
                           c->input, map.size, row_bytes, (long long)c->n_cols);
    else
        status = write_blocks(c, type, &map, err);
    file_map_close(&map);
    return status;
}

/* ---- models ------------------------------------------------------------------------------- */

static hearth_status parse_rules(const struct quantize_command *c, struct tensor_rule *rules,
                                 char **copies, hearth_error *err) {
    for (size_t i = 0; i < c->rules.count; i++) {
        const char *item = c->rules.items[i], *equals = strrchr(item, '=');
        if (!equals || equals == item)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "--tensor-type '%s' is not NAME=TYPE, such as ffn_down=q6_K", item);
        RETURN_IF_ERROR(find_type(equals + 1, &rules[i].type, err));
        copies[i] = mem_strndup(item, (size_t)(equals - item));
        if (!copies[i]) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
        rules[i].pattern = copies[i];
    }
    return HEARTH_OK;
}

static hearth_status choose(const struct quantize_command *c, struct quant_choice *choice,
                            hearth_error *err) {
    RETURN_IF_ERROR(quant_recipe_find(&choice->recipe, c->type, err));
    choice->pure = c->pure;
    choice->output_type = choice->embedding_type = ELEM_TYPES;
    if (c->output_type) RETURN_IF_ERROR(find_type(c->output_type, &choice->output_type, err));
    if (!c->embedding_type) return HEARTH_OK;
    return find_type(c->embedding_type, &choice->embedding_type, err);
}

static json_t *tensors_json(const struct quantization *q) {
    json_t *list = json_array();
    for (size_t i = 0; i < q->input.n_tensors; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "name", q->tensors[i].name,
                                              "from", elem_name(q->input.tensors[i].type), "to",
                                              elem_name(q->tensors[i].type), "bytes",
                                              (json_int_t)q->tensors[i].size_bytes));
    return list;
}

static void print_json(const struct quantize_command *c, const struct quantization *q) {
    json_t *result =
        json_pack("{s:s, s:s?, s:s, s:I, s:I, s:o}", "input", c->input, "output",
                  c->dry_run ? NULL : c->output, "recipe", q->options.choice.recipe->name,
                  "input_bytes", (json_int_t)q->input_bytes, "output_bytes",
                  (json_int_t)q->output_bytes, "tensors", tensors_json(q));
    if (result) json_dumpf(result, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(result);
}

static void print_summary(const struct quantize_command *c, const struct quantization *q) {
    size_t counts[ELEM_TYPES] = {0};
    uint64_t bytes[ELEM_TYPES] = {0}, values = 0;
    char size[32], before[32];
    if (c->json) {
        print_json(c, q);
        return;
    }
    for (size_t i = 0; i < q->input.n_tensors; i++) {
        const struct tensor *tensor = &q->tensors[i];
        counts[tensor->type]++;
        bytes[tensor->type] += tensor->size_bytes;
        values += tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    }
    for (int type = 0; type < ELEM_TYPES; type++)
        if (counts[type])
            printf("%6zu tensors %-8s %10s\n", counts[type], elem_name((enum elem)type),
                   units_format_bytes(bytes[type], size, sizeof size));
    printf("%s%s: %s becomes %s, %.2f bits a weight\n", q->options.choice.recipe->name,
           c->dry_run ? " (nothing written)" : "",
           units_format_bytes(q->input_bytes, before, sizeof before),
           units_format_bytes(q->output_bytes, size, sizeof size),
           values ? 8.0 * (double)q->output_bytes / (double)values : 0.0);
}

static hearth_status convert(const struct quantize_command *c,
                             const struct quantization_options *wanted, hearth_error *err) {
    struct quantization q;
    struct progress progress;
    struct quantization_options options = *wanted;
    options.progress = progress_report;
    options.progress_context = &progress;
    hearth_status status = quantization_open(&q, c->input, &options, err);
    if (status == HEARTH_OK && !c->dry_run) {
        progress_begin(&progress, stderr, "quantize", q.input_bytes, true);
        status = quantization_write(&q, c->output, err);
        progress_end(&progress, q.input_bytes);
    }
    if (status == HEARTH_OK) print_summary(c, &q);
    quantization_close(&q);
    return status;
}

static hearth_status quantize_model(const struct quantize_command *c, hearth_error *err) {
    struct tensor_rule rules[OPTION_LIST_MAX];
    char *copies[OPTION_LIST_MAX] = {0};
    struct imatrix importance = {0};
    struct quantization_options options = {.allow_requantize = c->allow_requantize,
                                           .n_threads = (unsigned)c->n_threads,
                                           .max_part_bytes = c->max_part_bytes,
                                           .keep_split = c->keep_split,
                                           .adapters = c->adapters.items,
                                           .n_adapters = c->adapters.count};
    hearth_status status = choose(c, &options.choice, err);
    if (status == HEARTH_OK) status = parse_rules(c, rules, copies, err);
    options.choice.rules = rules;
    options.choice.n_rules = c->rules.count;
    if (status == HEARTH_OK && c->importance) {
        status = imatrix_open(&importance, c->importance, err);
        options.importance = &importance;
        options.importance_path = c->importance;
    }
    if (status == HEARTH_OK) status = convert(c, &options, err);
    imatrix_close(&importance);
    for (size_t i = 0; i < c->rules.count; i++)
        mem_free(copies[i]);
    return status;
}

/* ---- the command ---------------------------------------------------------------------------- */

static const char *usage_error(const struct quantize_command *c) {
    if (!c->type) return "a TYPE is needed, such as Q4_K_M";
    if (!c->output && !c->dry_run) return "OUT, the file to write, is needed";
    if (c->blocks && c->n_cols <= 0) return "--blocks needs --cols N, the length of a row";
    if (c->blocks && c->dry_run) return "--blocks and --dry-run do not go together";
    return NULL;
}

/* IN OUT TYPE, where TYPE may come from --type, and OUT may be left out in a dry run. */
static void take_arguments(struct quantize_command *c, const struct option_arguments *arguments) {
    size_t n = arguments->count;
    c->input = arguments->items[0];
    if (!c->type && n > 1) c->type = arguments->items[--n];
    if (n > 1) c->output = arguments->items[1];
}

static void print_types(void) {
    puts("\ntypes:");
    for (size_t i = 0; i < quant_recipe_count(); i++)
        printf("  %-10s %s\n", quant_recipe_at(i)->name, quant_recipe_at(i)->summary);
}

/* long: the table of its options */
int cmd_quantize(int argc, char **argv) {
    struct quantize_command c = {0};
    const struct option_spec specs[] = {
        {.name = "type",
         .argument = "TYPE",
         .help = "the type, instead of the last argument",
         .type = OPTION_STRING,
         .string = &c.type},
        {.name = "imatrix",
         .argument = "FILE",
         .help = "importance of the columns, from 'hearth imatrix'",
         .type = OPTION_STRING,
         .string = &c.importance},
        {.name = "tensor-type",
         .argument = "NAME=TYPE",
         .help = "type of tensors whose name has NAME in it (a regular expression); may be "
                 "repeated",
         .type = OPTION_LIST,
         .list = &c.rules},
        {.name = "output-tensor-type",
         .argument = "TYPE",
         .help = "type of the output matrix",
         .type = OPTION_STRING,
         .string = &c.output_type},
        {.name = "token-embedding-type",
         .argument = "TYPE",
         .help = "type of the embedding",
         .type = OPTION_STRING,
         .string = &c.embedding_type},
        {.name = "lora",
         .argument = "FILE[:SCALE]",
         .help = "merge an adapter into the model's weights; may be repeated",
         .type = OPTION_LIST,
         .list = &c.adapters},
        {.name = "pure",
         .help = "the same type for all matrices",
         .type = OPTION_FLAG,
         .flag = &c.pure},
        {.name = "allow-requantize",
         .help = "take a model that is quantised already; loses quality",
         .type = OPTION_FLAG,
         .flag = &c.allow_requantize},
        {.name = "keep-split",
         .help = "write as many parts as the input has",
         .type = OPTION_FLAG,
         .flag = &c.keep_split},
        {.name = "split-max-size",
         .argument = "SIZE",
         .help = "write parts of at most SIZE, such as 4G",
         .type = OPTION_BYTES,
         .bytes = &c.max_part_bytes},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: one per core)",
         .environment = "HEARTH_THREADS",
         .type = OPTION_INT,
         .most = 512,
         .integer = &c.n_threads},
        {.name = "dry-run",
         .help = "only say how large the result would be",
         .type = OPTION_FLAG,
         .flag = &c.dry_run},
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &c.json},
        {.type = OPTION_HEADING, .help = "Raw data"},
        {.name = "blocks",
         .help = "IN is float32 without header, OUT gets blocks without header",
         .type = OPTION_FLAG,
         .flag = &c.blocks},
        {.name = "cols",
         .argument = "N",
         .help = "length of a row, with --blocks",
         .type = OPTION_INT,
         .least = 1,
         .most = 1 << 30,
         .integer = &c.n_cols},
    };
    const struct option_table table = {
        .command = "hearth quantize",
        .arguments = "IN OUT TYPE",
        .summary = "Writes a GGUF model with smaller weights.",
        .examples = "hearth quantize model-bf16.gguf model-q4_k_m.gguf Q4_K_M\n"
                    "hearth quantize --dry-run model-bf16.gguf Q5_K_M\n"
                    "hearth quantize --lora mine.gguf model-bf16.gguf merged.gguf Q4_K_M\n"
                    "hearth quantize --imatrix text.imatrix in.gguf out.gguf IQ4_XS",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0],
        .min_arguments = 1,
        .max_arguments = 3};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) {
        if (code == EXIT_OK) print_types();
        return code;
    }
    take_arguments(&c, &arguments);
    const char *problem = usage_error(&c);
    if (problem) {
        fprintf(stderr, "hearth quantize: %s\n", problem);
        return EXIT_USAGE;
    }
    hearth_status status = c.blocks ? quantize_blocks(&c, &err) : quantize_model(&c, &err);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
