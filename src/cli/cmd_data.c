/* hearth data: what training data is, whether it is sound, and which of it trains. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "cli/command.h"
#include "cli/data_report.h"
#include "cli/engine_options.h"

#define MAX_TEMPLATE_BYTES ((size_t)1 << 24)
#define MAX_SHOWN_BYTES ((size_t)256 << 20)

struct data_command {
    struct engine_settings engine;
    const char *format, *container, *separator, *template_file;
    struct option_list columns;
    int64_t max_length, n_shown, max_samples;
    int turns, too_long; /* choices, in the order of their enums */
    bool json;
};

struct data_job {
    const struct data_command *command;
    struct dataset *dataset;
    struct engine engine;
    struct chat_template *template;
    struct example_maker *maker; /* NULL: no model */
    struct preview_statistics statistics;
    struct data_report report;
    struct progress progress;
};

/* ---- opening ---- */

static bool show_progress(void *context, uint64_t done, uint64_t total) {
    (void)total;
    progress_update(context, done);
    return true;
}

/* "\n" and "\t" as people write them on a command line. */
static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        bool escaped = from[0] == '\\' && (from[1] == 'n' || from[1] == 't');
        *to++ = escaped ? (from[1] == 'n' ? '\n' : '\t') : *from;
        from += escaped;
    }
    *to = '\0';
}

static hearth_status take_options(const struct data_command *c, struct dataset_options *options,
                                  hearth_error *err) {
    *options = (struct dataset_options){.skip_broken = true,
                                        .max_samples = (uint64_t)c->max_samples,
                                        .document_separator = c->separator};
    if (c->format) RETURN_IF_ERROR(dataset_parse_schema(c->format, &options->schema, err));
    if (c->container)
        RETURN_IF_ERROR(dataset_parse_container(c->container, &options->container, err));
    for (size_t i = 0; i < c->columns.count; i++) {
        enum dataset_field field;
        const char *column;
        RETURN_IF_ERROR(dataset_parse_column(c->columns.items[i], &field, &column, err));
        options->columns[field] = column;
    }
    return HEARTH_OK;
}

static hearth_status open_data(struct data_job *job, char **paths, size_t n, hearth_error *err) {
    struct dataset_options options;
    uint64_t total = 0, size;
    RETURN_IF_ERROR(take_options(job->command, &options, err));
    for (size_t i = 0; i < n; i++)
        if (file_size(paths[i], &size, NULL) == HEARTH_OK) total += size;
    progress_begin(&job->progress, stderr, "reading", total, true);
    options.progress = show_progress;
    options.context = &job->progress;
    hearth_status status =
        dataset_open(&job->dataset, (const char *const *)paths, n, &options, err);
    progress_end(&job->progress, total);
    return status;
}

static hearth_status open_template(struct data_job *job, hearth_error *err) {
    struct text source = {0};
    char *text = NULL;
    const char *file = job->command->template_file;
    if (file) {
        RETURN_IF_ERROR(file_read(file, MAX_TEMPLATE_BYTES, &text, &source.length, err));
        source.data = text;
    } else if (!model_chat_template(&job->engine.model, &source)) {
        return HEARTH_OK;
    }
    hearth_status status = chat_template_open(&job->template, source.data, source.length, err);
    mem_free(text);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot use the chat template");
}

/* The rows of the embedding where the file has one; vocabularies alone have none. */
static uint32_t embedding_rows(const struct model *model) {
    const struct tensor *embedding = directory_find(&model->directory, "token_embd.weight");
    return embedding && embedding->n_dims == 2 ? (uint32_t)embedding->dims[1] : 0;
}

static uint32_t trained_context(const struct model *model) {
    const struct metadata *m = &model->directory.metadata;
    struct text family;
    char key[128];
    uint32_t length = 0;
    if (!metadata_string(m, "general.architecture", &family)) return 0;
    snprintf(key, sizeof key, "%.*s.context_length", family.length < 64 ? (int)family.length : 64,
             family.data);
    return metadata_u32(m, key, &length) ? length : 0;
}

static hearth_status open_maker(struct data_job *job, hearth_error *err) {
    const struct data_command *c = job->command;
    if (!c->engine.model) return HEARTH_OK;
    RETURN_IF_ERROR(engine_open_vocabulary(&job->engine, &c->engine, err));
    RETURN_IF_ERROR(open_template(job, err));
    uint32_t length = c->max_length ? (uint32_t)c->max_length : trained_context(&job->engine.model);
    const struct example_options options = {.tokenizer = job->engine.tokenizer,
                                            .template = job->template,
                                            .max_length = length,
                                            .n_vocab = embedding_rows(&job->engine.model),
                                            .turns = (enum example_turns)c->turns,
                                            .too_long = (enum example_too_long)c->too_long};
    job->report.max_length = length;
    job->report.has_template = job->template != NULL;
    return example_maker_open(&job->maker, &options, err);
}

/* ---- samples ---- */

static struct data_shown *next_shown(struct data_job *job) {
    bool full = job->report.n_shown >= (size_t)job->command->n_shown * 2;
    return full ? NULL : &job->report.shown[job->report.n_shown++];
}

static hearth_status show_sequences(struct data_job *job, const struct dataset_sample *sample,
                                    hearth_error *err) {
    struct example_list list = {0};
    struct example_outcome outcome;
    hearth_status status = example_make(job->maker, sample, &list, &outcome, err);
    size_t n = sample->schema == SCHEMA_TEXT && list.n > 1 ? 1 : list.n; /* of windows, one */
    for (size_t i = 0; i < n && status == HEARTH_OK; i++) {
        struct data_shown *shown = next_shown(job);
        if (!shown) break;
        const struct example *e = &list.items[i];
        *shown = (struct data_shown){.place = sample->place,
                                     .kind = e->kind,
                                     .n_tokens = e->n_tokens,
                                     .n_trained = e->n_trained};
        status = preview_make(&shown->preview, job->engine.tokenizer, &list, i, err);
    }
    example_list_release(&list);
    return status;
}

static void add_text(struct preview *p, const char *label, const json_t *content, bool trained) {
    size_t begin = p->text.length;
    if (label) buf_append_format(&p->text, "%s%s: ", begin ? "\n" : "", label);
    if (p->text.length > begin)
        p->segments[p->n_segments++] = (struct preview_segment){begin, p->text.length, false};
    begin = p->text.length;
    char *other = json_is_string(content) ? NULL : json_dumps(content, JSON_ENCODE_ANY);
    buf_append_text(&p->text, other ? other : json_string_value(content));
    free(other);
    p->segments[p->n_segments++] = (struct preview_segment){begin, p->text.length, trained};
}

static void add_messages(struct preview *p, const json_t *messages) {
    size_t i;
    json_t *message;
    json_array_foreach(messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        const json_t *content = json_object_get(message, "content");
        const json_t *calls = json_object_get(message, "tool_calls");
        bool trained = strcmp(role, "assistant") == 0;
        if (json_string_length(content) || json_array_size(content) || !calls)
            add_text(p, role, content, trained);
        if (calls) add_text(p, role, calls, trained);
    }
}

/* Without a model: the conversation, or the text, as it was read. */
static hearth_status show_record(struct data_job *job, const struct dataset_sample *sample,
                                 hearth_error *err) {
    size_t n = 4 * (json_array_size(sample->messages) + json_array_size(sample->chosen) +
                    json_array_size(sample->rejected)) +
               8;
    struct data_shown *shown = next_shown(job);
    *shown = (struct data_shown){.place = sample->place};
    struct preview *p = &shown->preview;
    buf_init(&p->text, MAX_SHOWN_BYTES);
    p->segments = mem_alloc_array(n, sizeof *p->segments);
    if (!p->segments) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a sample");
    if (sample->text) add_text(p, NULL, sample->text, true);
    add_messages(p, sample->messages);
    const json_t *answers[] = {sample->chosen, sample->rejected};
    static const char *const labels[] = {"chosen", "rejected"};
    for (size_t i = 0; i < 2; i++)
        if (json_is_string(answers[i]))
            add_text(p, labels[i], answers[i], true);
        else
            add_messages(p, answers[i]);
    return p->text.failed ? error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a sample")
                          : HEARTH_OK;
}

/* Spread evenly over the data, the first record among them. */
static hearth_status show_samples(struct data_job *job, hearth_error *err) {
    uint64_t n = dataset_count(job->dataset, PART_TRAIN), wanted = (uint64_t)job->command->n_shown;
    hearth_status status = HEARTH_OK;
    if (wanted > n) wanted = n;
    job->report.shown =
        mem_calloc((size_t)job->command->n_shown * 2 + 1, sizeof *job->report.shown);
    if (!job->report.shown)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the samples");
    for (uint64_t i = 0; i < wanted && status == HEARTH_OK; i++) {
        struct dataset_sample sample;
        status = dataset_read(job->dataset, PART_TRAIN, n / wanted * i, &sample, err);
        if (status == HEARTH_OK)
            status =
                job->maker ? show_sequences(job, &sample, err) : show_record(job, &sample, err);
        dataset_sample_release(&sample);
    }
    return status;
}

/* ---- the command ---- */

static hearth_status count_tokens(struct data_job *job, hearth_error *err) {
    uint64_t n = dataset_count(job->dataset, PART_TRAIN);
    if (!job->maker) return HEARTH_OK;
    progress_begin(&job->progress, stderr, "counting tokens", n, false);
    hearth_status status = preview_count(&job->statistics, job->dataset, PART_TRAIN, job->maker, 0,
                                         show_progress, &job->progress, err);
    progress_end(&job->progress, n);
    job->report.statistics = &job->statistics;
    return status;
}

static void close_job(struct data_job *job) {
    for (size_t i = 0; i < job->report.n_shown; i++)
        preview_release(&job->report.shown[i].preview);
    mem_free(job->report.shown);
    example_maker_close(job->maker);
    chat_template_close(job->template);
    engine_close(&job->engine);
    dataset_close(job->dataset);
}

/* Data with broken records, or with nothing that trains, is a failure: training on it would
 * stop there. */
static int run(const struct data_command *c, char **paths, size_t n) {
    struct data_job job = {.command = c};
    hearth_error err = {0};
    int code = EXIT_OK;
    hearth_status status = open_data(&job, paths, n, &err);
    job.report.dataset = job.dataset;
    if (status == HEARTH_OK) status = open_maker(&job, &err);
    if (status == HEARTH_OK) status = count_tokens(&job, &err);
    if (status == HEARTH_OK) status = show_samples(&job, &err);
    if (status != HEARTH_OK) {
        code = command_fail(&err);
    } else {
        if (!c->json)
            data_report_print(&job.report);
        else if (!data_report_print_json(&job.report))
            code = EXIT_FAILED;
        bool nothing = job.report.statistics && job.statistics.n_sequences == 0;
        if (dataset_n_broken(job.dataset) || nothing) code = EXIT_FAILED;
    }
    close_job(&job);
    return code;
}

enum { DATA_SPECS = 10 };

/* long: a table of options */
static size_t data_specs(struct data_command *c, struct option_spec *specs) {
    const struct option_spec own[DATA_SPECS] = {
        {.type = OPTION_HEADING, .help = "Data"},
        {.name = "format",
         .argument = "NAME",
         .help = "alpaca, sharegpt, messages, pairs, preference or text (default: detected)",
         .type = OPTION_STRING,
         .string = &c->format},
        {.name = "container",
         .argument = "NAME",
         .help = "jsonl, json, csv or text (default: detected)",
         .type = OPTION_STRING,
         .string = &c->container},
        {.name = "column",
         .argument = "MEANING=NAME",
         .help = "the column of this name means instruction, input, output, system, messages, "
                 "prompt, completion, chosen, rejected, text, …; may be repeated",
         .type = OPTION_LIST,
         .list = &c->columns},
        {.name = "separator",
         .argument = "TEXT",
         .help = "what stands between the documents of a text file; \\n is a line end "
                 "(default: a file is one document)",
         .type = OPTION_STRING,
         .string = &c->separator},
        {.name = "max-samples",
         .argument = "N",
         .help = "only the first N records",
         .type = OPTION_INT,
         .least = 1,
         .most = 9e15,
         .integer = &c->max_samples},
        {.name = "max-length",
         .aliases = "sequence-len cutoff-len max-seq-len",
         .argument = "N",
         .help = "tokens of a sequence (default: the model's context)",
         .type = OPTION_INT,
         .least = 2,
         .most = 1 << 24,
         .integer = &c->max_length},
        {.name = "train-on",
         .argument = "TURNS",
         .help = "all: every answer of a conversation; last: only its last one",
         .type = OPTION_CHOICE,
         .choices = "all|last",
         .choice = &c->turns},
        {.name = "too-long",
         .argument = "HOW",
         .help = "truncate: cut the end off, and drop what has no answer left; drop",
         .type = OPTION_CHOICE,
         .choices = "truncate|drop",
         .choice = &c->too_long},
        {.name = "template",
         .argument = "FILE",
         .help = "a chat template instead of the model's",
         .type = OPTION_STRING,
         .string = &c->template_file},
    };
    memcpy(specs, own, sizeof own);
    return DATA_SPECS;
}

int cmd_data(int argc, char **argv) {
    struct data_command c = {.n_shown = 2};
    struct option_spec specs[ENGINE_SPECS + DATA_SPECS + 3];
    engine_specs(&c.engine, specs);
    size_t n = 2; /* only the model option makes sense here */
    n += data_specs(&c, specs + n);
    specs[n++] = (struct option_spec){.type = OPTION_HEADING, .help = "Output"};
    specs[n++] = (struct option_spec){.name = "show",
                                      .argument = "N",
                                      .help = "records to show as they train (default: 2)",
                                      .type = OPTION_INT,
                                      .least = 0,
                                      .most = 100000,
                                      .integer = &c.n_shown};
    specs[n++] = (struct option_spec){
        .name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &c.json};
    const struct option_table table = {
        .command = "hearth data",
        .arguments = "FILE...",
        .summary = "Says what training data is, what is wrong with it, line by line, and, with a\n"
                   "model, what it becomes: sequences, tokens, and which of them train.",
        .examples = "hearth data answers.jsonl\n"
                    "hearth data answers.jsonl -m model.gguf --max-length 2048 --show 5\n"
                    "hearth data faq.csv --column prompt=Frage --column completion=Antwort",
        .specs = specs,
        .n_specs = n,
        .min_arguments = 1};
    struct option_arguments arguments;
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    char *separator = c.separator ? mem_strdup(c.separator) : NULL;
    if (separator) unescape(separator);
    c.separator = separator;
    code = run(&c, arguments.items, arguments.count);
    mem_free(separator);
    return code;
}
