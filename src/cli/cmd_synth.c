/* hearth synth: models of real shapes with random weights, to measure without a download. */
#include <string.h>

#include "base/term.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/random_model.h"
#include "model/synth.h"

struct synth_command {
    const char *shape, *type, *output;
    int64_t seed;
    bool list, tiny, pure;
};

static hearth_status count_parameters(const struct shape *shape, uint64_t *n, hearth_error *err) {
    struct shape_tensors list;
    hearth_status status = shape_tensors_init(&list, shape, err);
    *n = 0;
    for (size_t i = 0; status == HEARTH_OK && i < list.n_tensors; i++)
        *n += list.tensors[i].size_bytes / sizeof(float);
    shape_tensors_release(&list);
    return status;
}

static hearth_status list_shapes(const struct synth_command *c, hearth_error *err) {
    struct synth_options options = {
        .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES, .pure = c->pure}};
    char count[32], size[32];
    RETURN_IF_ERROR(quant_recipe_find(&options.quant.recipe, c->type, err));
    printf("%-16s %-14s %10s %12s\n", "shape", "family", "parameters", options.quant.recipe->name);
    for (size_t i = 0; i < shape_count(); i++) {
        struct synth_size total;
        uint64_t n;
        options.shape = shape_at(i);
        RETURN_IF_ERROR(count_parameters(options.shape, &n, err));
        RETURN_IF_ERROR(synth_measure(&options, &total, err));
        printf("%-16s %-14s %10s %12s\n", options.shape->name, options.shape->family,
               units_format_count(n, count, sizeof count),
               units_format_bytes(total.total_bytes, size, sizeof size));
    }
    return HEARTH_OK;
}

static hearth_status synthesise(const struct synth_command *c, hearth_error *err) {
    struct progress progress;
    struct shape tiny;
    struct synth_options options = {
        .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES, .pure = c->pure},
        .seed = (uint64_t)c->seed,
        .progress = progress_report,
        .progress_context = &progress};
    struct synth_size size;
    RETURN_IF_ERROR(shape_find(&options.shape, c->shape, err));
    RETURN_IF_ERROR(quant_recipe_find(&options.quant.recipe, c->type, err));
    if (c->tiny) {
        tiny = shape_tiny(options.shape);
        options.shape = &tiny;
    }
    RETURN_IF_ERROR(synth_measure(&options, &size, err));
    progress_begin(&progress, stderr, "synth", size.total_bytes, true);
    hearth_status status = synth_write(c->output, &options, err);
    progress_end(&progress, size.total_bytes);
    return status;
}

int cmd_synth(int argc, char **argv) {
    struct synth_command c = {.type = "q4_0", .seed = 1};
    const struct option_spec specs[] = {
        {.name = "shape",
         .argument = "NAME",
         .help = "which model's shape; --list shows them",
         .type = OPTION_STRING,
         .string = &c.shape},
        {.name = "type",
         .argument = "TYPE",
         .help = "quantisation, as in 'hearth quantize' (default: q4_0)",
         .type = OPTION_STRING,
         .string = &c.type},
        random_model_output(&c.output),
        random_model_seed(&c.seed),
        {.name = "tiny",
         .help = "the same architecture in a few megabytes, for tests",
         .type = OPTION_FLAG,
         .flag = &c.tiny},
        {.name = "pure",
         .help = "no better types for output, embedding and others",
         .type = OPTION_FLAG,
         .flag = &c.pure},
        {.name = "list",
         .help = "show the shapes and how large they are",
         .type = OPTION_FLAG,
         .flag = &c.list},
    };
    const struct option_table table = {
        .command = "hearth synth",
        .summary = "Writes a model of a real shape with random weights, to measure speed without\n"
                   "a download. It talks nonsense.",
        .examples = "hearth synth --shape llama-3.2-1b --type q4_0 -o 1b.gguf",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0]};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (c.list) return list_shapes(&c, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
    if (!c.shape || !c.output) {
        fputs("hearth synth: --shape NAME and -o FILE are needed\n", stderr);
        return EXIT_USAGE;
    }
    return synthesise(&c, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
