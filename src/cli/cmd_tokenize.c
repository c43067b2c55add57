/* hearth tokenize and detokenize: JSON lines in, JSON lines out. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/engine_options.h"

struct lines_job {
    struct engine engine;
    struct token_list ids;
    struct buf text;
    FILE *out;
};

/* {"text", "add_special", "parse_special"} -> {"ids": [...]} */
static hearth_status tokenize_line(struct lines_job *job, json_t *line, hearth_error *err) {
    const json_t *text = json_object_get(line, "text");
    if (!json_is_string(text))
        return error_set(err, HEARTH_ERROR_FORMAT, "\"text\" is missing or not a string");
    bool add = json_is_true(json_object_get(line, "add_special"));
    bool parse = json_is_true(json_object_get(line, "parse_special"));
    job->ids.count = 0;
    RETURN_IF_ERROR(tokenizer_encode(job->engine.tokenizer, json_string_value(text),
                                     json_string_length(text), add, parse, &job->ids, err));
    fputs("{\"ids\":[", job->out);
    for (size_t i = 0; i < job->ids.count; i++)
        fprintf(job->out, i ? ",%d" : "%d", job->ids.ids[i]);
    fputs("]}\n", job->out);
    return HEARTH_OK;
}

static void put_hex(FILE *out, const char *data, size_t n) {
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%02x", (unsigned char)data[i]);
}

/* {"ids": [...]} -> {"text": "..."}, or {"hex": "..."} where the bytes are not UTF-8. */
static hearth_status detokenize_line(struct lines_job *job, json_t *line, hearth_error *err) {
    const json_t *ids = json_object_get(line, "ids");
    size_t i;
    json_t *id;
    if (!json_is_array(ids))
        return error_set(err, HEARTH_ERROR_FORMAT, "\"ids\" is missing or not an array");
    job->ids.count = 0;
    buf_clear(&job->text);
    json_array_foreach(ids, i, id) {
        int32_t value = (int32_t)json_integer_value(id);
        if (!json_is_integer(id) || json_integer_value(id) != value)
            return error_set(err, HEARTH_ERROR_FORMAT, "\"ids\"[%zu] is not a token id", i);
        if (!token_list_append(&job->ids, &value, 1))
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokens");
    }
    bool special = !json_is_false(json_object_get(line, "special"));
    RETURN_IF_ERROR(tokenizer_decode(job->engine.tokenizer, job->ids.ids, job->ids.count, special,
                                     &job->text, err));
    json_t *text = json_stringn(buf_text(&job->text), job->text.length);
    char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    if (quoted) {
        fprintf(job->out, "{\"text\":%s}\n", quoted);
    } else {
        fputs("{\"hex\":\"", job->out);
        put_hex(job->out, buf_text(&job->text), job->text.length);
        fputs("\"}\n", job->out);
    }
    free(quoted);
    json_decref(text);
    return HEARTH_OK;
}

typedef hearth_status (*line_function)(struct lines_job *job, json_t *line, hearth_error *err);

static hearth_status run_lines(struct lines_job *job, FILE *in, line_function run,
                               hearth_error *err) {
    char *line = NULL;
    size_t capacity = 0, number = 0;
    hearth_status status = HEARTH_OK;
    for (ssize_t n; status == HEARTH_OK && (n = getline(&line, &capacity, in)) > 0;) {
        json_error_t why;
        number++;
        if (strspn(line, " \t\r\n") == (size_t)n) continue;
        json_t *object = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, &why);
        status = object ? run(job, object, err)
                        : error_set(err, HEARTH_ERROR_FORMAT, "not JSON: %s", why.text);
        if (status != HEARTH_OK) error_prefix(err, status, "line %zu", number);
        json_decref(object);
    }
    free(line);
    return status;
}

static hearth_status open_streams(const char *input, const char *output, FILE **in, FILE **out,
                                  hearth_error *err) {
    *in = !input || strcmp(input, "-") == 0 ? stdin : fopen(input, "re");
    if (!*in) return error_set_errno(err, "cannot open '%s'", input);
    *out = !output || strcmp(output, "-") == 0 ? stdout : fopen(output, "we");
    if (!*out) return error_set_errno(err, "cannot write '%s'", output);
    return HEARTH_OK;
}

static hearth_status lines_command(const struct engine_settings *settings, const char *input,
                                   const char *output, line_function run, hearth_error *err) {
    struct lines_job job = {0};
    FILE *in = NULL;
    buf_init(&job.text, (size_t)1 << 28);
    hearth_status status = engine_open_vocabulary(&job.engine, settings, err);
    if (status == HEARTH_OK) status = open_streams(input, output, &in, &job.out, err);
    if (status == HEARTH_OK) status = run_lines(&job, in, run, err);
    if (in && in != stdin) fclose(in);
    if (job.out && job.out != stdout && fclose(job.out) != 0 && status == HEARTH_OK)
        status = error_set_errno(err, "cannot write '%s'", output);
    token_list_release(&job.ids);
    buf_release(&job.text);
    engine_close(&job.engine);
    return status;
}

static int lines_main(int argc, char **argv, const char *command, const char *summary,
                      line_function run) {
    struct engine_settings settings;
    const char *input = NULL, *output = NULL;
    struct option_spec specs[ENGINE_SPECS + 2];
    engine_specs(&settings, specs);
    size_t n = 2; /* only the model option makes sense here */
    specs[n++] = (struct option_spec){.name = "jsonl",
                                      .argument = "FILE",
                                      .help = "JSON lines to read (default: stdin)",
                                      .type = OPTION_STRING,
                                      .string = &input};
    specs[n++] = (struct option_spec){.name = "output",
                                      .letter = 'o',
                                      .argument = "FILE",
                                      .help = "where to write (default: stdout)",
                                      .type = OPTION_STRING,
                                      .string = &output};
    const struct option_table table = {
        .command = command, .summary = summary, .specs = specs, .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    return lines_command(&settings, input, output, run, &err) == HEARTH_OK ? EXIT_OK
                                                                           : command_fail(&err);
}

int cmd_tokenize(int argc, char **argv) {
    return lines_main(argc, argv, "hearth tokenize",
                      "Turns lines {\"text\",\"add_special\",\"parse_special\"} into "
                      "{\"ids\":[...]}.",
                      tokenize_line);
}

int cmd_detokenize(int argc, char **argv) {
    return lines_main(argc, argv, "hearth detokenize",
                      "Turns lines {\"ids\":[...]} into {\"text\":\"...\"}.", detokenize_line);
}
