/* hearth init: a new model with random weights, to train from scratch. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/units.h"
#include "chat/template.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/random_model.h"
#include "format/directory.h"
#include "model/fresh.h"

#define MAX_JSON_BYTES ((size_t)1 << 29)

struct init_command {
    const char *family, *tokenizer, *template_file, *output, *name, *license, *description;
    int64_t n_layer, n_embd, n_head, n_head_kv, d_head, n_ff, n_ctx, seed;
    double rope_base, eps, deviation, temperature;
    bool untied;
};

/* ---- what comes from files -------------------------------------------------------------- */

static hearth_status open_json(struct tokenizer **tokenizer, const char *path, hearth_error *err) {
    char *json = NULL, *config = NULL, *folder = path_folder(path);
    char *beside = folder ? path_join(folder, "tokenizer_config.json") : NULL;
    size_t n_json = 0, n_config = 0;
    hearth_status status = beside ? file_read(path, MAX_JSON_BYTES, &json, &n_json, err)
                                  : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    if (status == HEARTH_OK && file_exists(beside))
        status = file_read(beside, MAX_JSON_BYTES, &config, &n_config, err);
    if (status == HEARTH_OK)
        status = tokenizer_open_json(tokenizer, json, n_json, config, n_config, err);
    mem_free(json);
    mem_free(config);
    mem_free(beside);
    mem_free(folder);
    return status;
}

static hearth_status open_gguf(struct tokenizer **tokenizer, const char *path, hearth_error *err) {
    struct directory directory;
    RETURN_IF_ERROR(gguf_open(&directory, path, err));
    hearth_status status = tokenizer_open(tokenizer, &directory.metadata, err);
    directory_close(&directory);
    return status;
}

static hearth_status open_tokenizer(struct tokenizer **tokenizer, const char *path,
                                    hearth_error *err) {
    size_t n = strlen(path);
    bool is_json = n > 5 && strcmp(path + n - 5, ".json") == 0;
    hearth_status status =
        is_json ? open_json(tokenizer, path, err) : open_gguf(tokenizer, path, err);
    return status == HEARTH_OK ? HEARTH_OK : error_prefix(err, status, "tokenizer '%s'", path);
}

/* A template that cannot be compiled would only be found when the model is used. */
static hearth_status read_template(const char *path, char **text, hearth_error *err) {
    struct chat_template *compiled = NULL;
    size_t n;
    RETURN_IF_ERROR(file_read(path, TEMPLATE_SOURCE_MAX_BYTES, text, &n, err));
    hearth_status status = chat_template_open(&compiled, *text, n, err);
    chat_template_close(compiled);
    return status == HEARTH_OK ? HEARTH_OK : error_prefix(err, status, "chat template '%s'", path);
}

/* ---- the model -------------------------------------------------------------------------- */

static hearth_status choose(const struct init_command *c, struct fresh_options *options,
                            hearth_error *err) {
    options->shape = (struct shape){.n_ctx = (uint32_t)c->n_ctx,
                                    .n_layer = (uint32_t)c->n_layer,
                                    .n_embd = (uint32_t)c->n_embd,
                                    .n_head = (uint32_t)c->n_head,
                                    .n_head_kv = (uint32_t)c->n_head_kv,
                                    .d_head = (uint32_t)c->d_head,
                                    .n_ff = (uint32_t)c->n_ff,
                                    .traits = c->untied ? 0 : SHAPE_TIED,
                                    .eps = (float)c->eps,
                                    .rope_base = (float)c->rope_base};
    options->name = c->name ? c->name : path_base(c->output);
    options->license = c->license;
    options->description = c->description;
    options->deviation = (float)c->deviation;
    options->temperature = (float)c->temperature;
    options->seed = (uint64_t)c->seed;
    RETURN_IF_ERROR(fresh_family(&options->shape, c->family, err));
    return fresh_check(options, err);
}

static hearth_status write_model(const struct init_command *c, const struct fresh_options *chosen,
                                 hearth_error *err) {
    struct progress progress;
    struct fresh_options options = *chosen;
    uint64_t n_parameters, total = fresh_size_bytes(&options, &n_parameters, err);
    char count[32], size[32];
    options.progress = progress_report;
    options.progress_context = &progress;
    progress_begin(&progress, stderr, "init", total, true);
    RETURN_IF_ERROR(fresh_write(c->output, &options, err));
    progress_end(&progress, total);
    printf("%s: %s, %s parameters, %u tokens, %s in F32\n", c->output, options.shape.family,
           units_format_count(n_parameters, count, sizeof count), options.shape.n_vocab,
           units_format_bytes(total, size, sizeof size));
    return HEARTH_OK;
}

static hearth_status init(const struct init_command *c, hearth_error *err) {
    struct fresh_options options = {0};
    struct tokenizer *tokenizer = NULL;
    char *chat_template = NULL;
    hearth_status status = open_tokenizer(&tokenizer, c->tokenizer, err);
    if (status == HEARTH_OK && c->template_file)
        status = read_template(c->template_file, &chat_template, err);
    options.tokenizer = tokenizer;
    options.chat_template = chat_template;
    if (status == HEARTH_OK) status = choose(c, &options, err);
    if (status == HEARTH_OK) status = write_model(c, &options, err);
    mem_free(chat_template);
    tokenizer_close(tokenizer);
    return status;
}

/* ---- the command line ------------------------------------------------------------------- */

static struct option_spec measure(const char *name, const char *help, int64_t *place) {
    return (struct option_spec){.name = name,
                                .argument = "N",
                                .help = help,
                                .type = OPTION_INT,
                                .least = 1,
                                .most = 1 << 24,
                                .integer = place};
}

/* long: the table of options */
int cmd_init(int argc, char **argv) {
    struct init_command c = {.family = "llama",
                             .n_layer = 8,
                             .n_embd = 384,
                             .n_head = 6,
                             .n_ff = 1024,
                             .n_ctx = 1024,
                             .seed = 1,
                             .rope_base = 10000,
                             .eps = 1e-5,
                             .deviation = 0.02,
                             .temperature = -1};
    const struct option_spec specs[] = {
        random_model_output(&c.output),
        {.name = "tokenizer",
         .argument = "FILE",
         .help = "a tokenizer.json (and the tokenizer_config.json beside it) or a GGUF file",
         .type = OPTION_STRING,
         .string = &c.tokenizer},
        {.name = "chat-template",
         .argument = "FILE",
         .help = "the Jinja template of conversations",
         .type = OPTION_STRING,
         .string = &c.template_file},
        {.name = "arch",
         .argument = "NAME",
         .help = "llama, qwen2 or qwen3 (default: llama)",
         .type = OPTION_STRING,
         .string = &c.family},
        measure("layers", "transformer blocks (default: 8)", &c.n_layer),
        measure("width", "values per token between the blocks (default: 384)", &c.n_embd),
        measure("heads", "query heads (default: 6)", &c.n_head),
        measure("kv-heads", "key and value heads (default: as many as heads)", &c.n_head_kv),
        measure("head-dim", "values per head (default: width / heads)", &c.d_head),
        measure("ff", "width inside the feed-forward part (default: 1024)", &c.n_ff),
        measure("context", "longest context in tokens (default: 1024)", &c.n_ctx),
        {.name = "untied",
         .help = "an output matrix of its own instead of the embedding",
         .type = OPTION_FLAG,
         .flag = &c.untied},
        {.name = "rope-base",
         .argument = "X",
         .help = "base of the rotary frequencies (default: 10000)",
         .type = OPTION_FLOAT,
         .least = 1,
         .most = 1e12,
         .number = &c.rope_base},
        {.name = "eps",
         .argument = "X",
         .help = "what norms add under the root (default: 1e-5)",
         .type = OPTION_FLOAT,
         .least = 1e-12,
         .most = 1,
         .number = &c.eps},
        {.name = "init-std",
         .argument = "X",
         .help = "standard deviation of the weights (default: 0.02)",
         .type = OPTION_FLOAT,
         .least = 1e-6,
         .most = 10,
         .number = &c.deviation},
        random_model_seed(&c.seed),
        {.name = "temp",
         .argument = "X",
         .help = "temperature that 'hearth run' samples with by default; 0: always the likeliest",
         .type = OPTION_FLOAT,
         .most = 100,
         .number = &c.temperature},
        {.name = "name",
         .argument = "TEXT",
         .help = "what the model calls itself (default: the file's name)",
         .type = OPTION_STRING,
         .string = &c.name},
        {.name = "license",
         .argument = "NAME",
         .help = "the model's licence, as SPDX names it",
         .type = OPTION_STRING,
         .string = &c.license},
        {.name = "description",
         .argument = "TEXT",
         .help = "what the model is for",
         .type = OPTION_STRING,
         .string = &c.description},
    };
    const struct option_table table = {
        .command = "hearth init",
        .summary = "Writes a new model with random weights, to train from scratch.",
        .examples = "hearth init --layers 8 --width 384 --heads 6 --kv-heads 2 --ff 1024 "
                    "--tokenizer tokenizer.json --chat-template chat.jinja -o new.gguf",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0]};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (!c.tokenizer || !c.output) {
        fputs("hearth init: --tokenizer FILE and -o FILE are needed\n", stderr);
        return EXIT_USAGE;
    }
    return init(&c, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
