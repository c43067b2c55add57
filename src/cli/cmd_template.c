/* hearth template: renders a chat template exactly as the reference does. */
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "chat/template.h"
#include "cli/command.h"
#include "cli/options.h"

#define MAX_TEMPLATE_BYTES ((size_t)1 << 24)
#define MAX_CONTEXT_BYTES ((size_t)1 << 28)

static hearth_status parse_now(const char *text, time_t *now, hearth_error *err) {
    struct tm fields = {0};
    *now = time(NULL);
    if (!text) return HEARTH_OK;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &fields);
    if (!end || *end)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "--now '%s' is not a time like 2025-07-10T12:00:00", text);
    *now = timegm(&fields);
    return HEARTH_OK;
}

static hearth_status read_context(const char *path, json_t **context, hearth_error *err) {
    char *text;
    size_t size;
    json_error_t why;
    RETURN_IF_ERROR(file_read(path, MAX_CONTEXT_BYTES, &text, &size, err));
    *context = json_loadb(text, size, 0, &why);
    mem_free(text);
    if (*context) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "cannot read '%s': line %d: %s", path, why.line,
                     why.text);
}

static hearth_status render(const char *file, const char *context_path, const char *now_text,
                            hearth_error *err) {
    char *source = NULL;
    size_t size = 0;
    time_t now;
    json_t *context = NULL;
    struct chat_template *t = NULL;
    struct buf out;
    buf_init(&out, (size_t)1 << 28);
    hearth_status status = parse_now(now_text, &now, err);
    if (status == HEARTH_OK) status = file_read(file, MAX_TEMPLATE_BYTES, &source, &size, err);
    if (status == HEARTH_OK) status = read_context(context_path, &context, err);
    if (status == HEARTH_OK) status = chat_template_open(&t, source, size, err);
    if (status == HEARTH_OK) status = chat_template_render(t, context, now, NULL, &out, err);
    if (status == HEARTH_OK) fwrite(buf_text(&out), 1, out.length, stdout);
    chat_template_close(t);
    json_decref(context);
    mem_free(source);
    buf_release(&out);
    return status;
}

int cmd_template(int argc, char **argv) {
    const char *file = NULL, *context = NULL, *now = NULL;
    const struct option_spec specs[] = {
        {.name = "file",
         .letter = 'f',
         .argument = "TEMPLATE",
         .help = "the template, as in chat_template.jinja",
         .type = OPTION_STRING,
         .string = &file},
        {.name = "context",
         .argument = "FILE",
         .help = "JSON object of the variables",
         .type = OPTION_STRING,
         .string = &context},
        {.name = "now",
         .argument = "TIME",
         .help = "what strftime_now sees, such as 2025-07-10T12:00:00",
         .type = OPTION_STRING,
         .string = &now},
    };
    const struct option_table table = {.command = "hearth template",
                                       .summary = "Renders a chat template; adds nothing.",
                                       .specs = specs,
                                       .n_specs = sizeof specs / sizeof specs[0]};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (!file || !context) {
        fputs("hearth template: both -f TEMPLATE and --context FILE are needed\n", stderr);
        return EXIT_USAGE;
    }
    return render(file, context, now, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
