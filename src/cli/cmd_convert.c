/* hearth convert: a Hugging Face folder as a GGUF file. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/term.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "model/hf_convert.h"

struct convert_settings {
    const char *output, *type, *name;
    int64_t n_threads;
    uint64_t split_bytes;
    bool dry_run, overwrite;
};

static hearth_status parse_type(const char *name, enum elem *type, hearth_error *err) {
    *type = ELEM_TYPES;
    if (strcmp(name, "auto") == 0) return HEARTH_OK;
    *type = elem_by_name(name);
    if (*type != ELEM_TYPES) return HEARTH_OK;
    return error_set(
        err, HEARTH_ERROR_ARGUMENT,
        "there is no type '%s'; auto, f32, f16, bf16, q8_0 and other element types are "
        "known (mixed ones such as Q4_K_M: 'hearth quantize' afterwards)",
        name);
}

/* "Llama-3.2-1B-BF16.gguf"; what a file name cannot hold becomes '-'. */
static hearth_status default_output(const struct hf_convert *convert, struct buf *out,
                                    hearth_error *err) {
    struct text name = {"model", 5};
    metadata_string(&convert->import->metadata, "general.name", &name);
    buf_append(out, name.data, name.length);
    buf_append_format(out, "-%s.gguf", elem_name(convert->main_type));
    if (out->failed) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a file name");
    for (char *at = out->data; *at; at++)
        if (*at == '/' || *at == ' ' || (unsigned char)*at < ' ') *at = '-';
    for (char *at = out->data + name.length; strcmp(at, ".gguf") != 0; at++)
        if (*at >= 'a' && *at <= 'z') *at = (char)(*at - 'a' + 'A');
    return HEARTH_OK;
}

static void print_plan(const struct hf_convert *convert, const char *path) {
    char size[32];
    for (size_t i = 0; i < convert->import->n_outputs; i++) {
        const struct tensor *t = &convert->tensors[i];
        printf("%-40s %-6s", t->name, elem_name(t->type));
        for (unsigned d = 0; d < t->n_dims; d++)
            printf(" %llu", (unsigned long long)t->dims[d]);
        putchar('\n');
    }
    printf("'%s': %s, %zu tensors, %s\n", path, convert->import->config.family,
           convert->import->n_outputs, units_format_bytes(convert->size_bytes, size, sizeof size));
}

static void show_progress(void *context, uint64_t done) {
    progress_update(context, done);
}

static hearth_status write_file(struct hf_convert *convert, const char *path, hearth_error *err) {
    struct progress bar;
    char size[32];
    convert->options.progress = show_progress;
    convert->options.progress_context = &bar;
    progress_begin(&bar, stderr, path_base(path), convert->size_bytes, true);
    hearth_status status = hf_convert_write(convert, path, err);
    progress_end(&bar, status == HEARTH_OK ? convert->size_bytes : 0);
    if (status == HEARTH_OK)
        printf("%s: %s, %s\n", path, convert->import->config.family,
               units_format_bytes(convert->size_bytes, size, sizeof size));
    return status;
}

static void warn_without_vocabulary(const struct hf_import *import) {
    if (!metadata_find(&import->metadata, "tokenizer.ggml.model"))
        log_message(LOG_WARNING,
                    "'%s' has neither tokenizer.json nor tokenizer.model: the file will have no "
                    "vocabulary",
                    import->folder.path);
}

static hearth_status convert_import(struct hf_import *import,
                                    const struct convert_settings *settings, hearth_error *err) {
    struct hf_convert convert;
    struct buf path;
    struct hf_convert_options options = {.n_threads = (unsigned)settings->n_threads,
                                         .max_part_bytes = settings->split_bytes};
    RETURN_IF_ERROR(parse_type(settings->type, &options.type, err));
    if (settings->name)
        RETURN_IF_ERROR(metadata_set_string(&import->metadata, "general.name", settings->name,
                                            strlen(settings->name), err));
    RETURN_IF_ERROR(hf_convert_open(&convert, import, &options, err));
    warn_without_vocabulary(import);
    buf_init(&path, 4096);
    hearth_status status = HEARTH_OK;
    if (settings->output)
        buf_append_text(&path, settings->output);
    else
        status = default_output(&convert, &path, err);
    if (status == HEARTH_OK && settings->dry_run)
        print_plan(&convert, buf_text(&path));
    else if (status == HEARTH_OK && !settings->overwrite && file_exists(buf_text(&path)))
        status = error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' exists already; --force replaces it",
                           buf_text(&path));
    else if (status == HEARTH_OK)
        status = write_file(&convert, buf_text(&path), err);
    buf_release(&path);
    hf_convert_close(&convert);
    return status;
}

static size_t fill_specs(struct convert_settings *s, struct option_spec *specs) {
    const struct option_spec own[] = {
        {.name = "output",
         .letter = 'o',
         .aliases = "outfile",
         .argument = "FILE",
         .help = "the file to write (default: NAME-TYPE.gguf here)",
         .type = OPTION_STRING,
         .string = &s->output},
        {.name = "type",
         .aliases = "outtype",
         .argument = "TYPE",
         .help = "of matrices: auto (as the folder has them), f32, f16, bf16, q8_0, ...",
         .type = OPTION_STRING,
         .string = &s->type},
        {.name = "name",
         .argument = "NAME",
         .help = "name of the model (default: the folder's)",
         .type = OPTION_STRING,
         .string = &s->name},
        {.name = "split-max-size",
         .argument = "SIZE",
         .help = "write several files of at most this size",
         .type = OPTION_BYTES,
         .bytes = &s->split_bytes},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: one per core)",
         .type = OPTION_INT,
         .most = 1024,
         .integer = &s->n_threads},
        {.name = "dry-run",
         .help = "only say what would be written",
         .type = OPTION_FLAG,
         .flag = &s->dry_run},
        {.name = "force",
         .letter = 'f',
         .help = "replace a file that exists",
         .type = OPTION_FLAG,
         .flag = &s->overwrite},
    };
    memcpy(specs, own, sizeof own);
    return sizeof own / sizeof own[0];
}

int cmd_convert(int argc, char **argv) {
    struct convert_settings settings = {.type = "auto"};
    struct option_spec specs[8];
    const struct option_table table = {
        .command = "hearth convert",
        .arguments = "FOLDER",
        .summary = "Writes a model folder of Hugging Face (config.json, *.safetensors, "
                   "tokenizer.json)\nas a GGUF file. Folders also open directly: converting is for "
                   "passing models on,\nfor quantising, and for saving the memory that rearranged "
                   "weights take.",
        .examples = "  hearth convert Llama-3.2-1B -o llama-1b.gguf --type q8_0\n",
        .specs = specs,
        .n_specs = fill_specs(&settings, specs),
        .min_arguments = 1,
        .max_arguments = 1};
    struct option_arguments arguments;
    struct hf_import import;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (hf_import_open(&import, arguments.items[0], &err) != HEARTH_OK) return command_fail(&err);
    hearth_status status = convert_import(&import, &settings, &err);
    hf_import_close(&import);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
