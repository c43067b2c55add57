/* hearth logits: the raw output for given tokens, for tests and for comparing engines. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/engine_options.h"

#define MAX_TOKENS_FILE_BYTES ((size_t)1 << 28)

struct logits_options {
    struct engine_settings engine;
    const char *tokens, *output;
    int64_t chunk;
};

static hearth_status read_ids(const char *path, int32_t **ids, uint32_t *count, hearth_error *err) {
    char *text;
    size_t size;
    RETURN_IF_ERROR(file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, MAX_TOKENS_FILE_BYTES,
                              &text, &size, err));
    hearth_status status = HEARTH_OK;
    *count = 0;
    *ids = mem_alloc_array(size / 2 + 1, sizeof **ids); /* an id and a space take two bytes */
    if (!*ids) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokens");
    for (char *at = text; status == HEARTH_OK;) {
        while (isspace((unsigned char)*at))
            at++;
        if (*at == '\0') break;
        char *end;
        long id = strtol(at, &end, 10);
        if (end == at || (*end && !isspace((unsigned char)*end)) || id < 0 || id > INT32_MAX)
            status = error_set(err, HEARTH_ERROR_FORMAT,
                               "'%s' holds '%.20s' where a token id was expected (byte %td)", path,
                               at, at - text);
        else
            (*ids)[(*count)++] = (int32_t)id;
        at = end;
    }
    if (status == HEARTH_OK && *count == 0)
        status = error_set(err, HEARTH_ERROR_FORMAT, "'%s' holds no tokens", path);
    mem_free(text);
    return status;
}

static hearth_status compute(struct context *context, const int32_t *ids, uint32_t count,
                             uint32_t chunk, const char *output, hearth_error *err) {
    enum { DEFAULT_CHUNK = 512 };
    struct file_writer writer;
    size_t n_vocab = context_model(context)->config.n_vocab;
    bool prompt = chunk != 1; /* one by one, tokens are computed as generated ones are */
    if (chunk == 0) chunk = DEFAULT_CHUNK;
    if (chunk > count) chunk = count;
    float *logits = mem_alloc_array((size_t)chunk * n_vocab, sizeof *logits);
    if (!logits) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u rows", chunk);
    hearth_status status = file_writer_open(&writer, output, err);
    for (uint32_t at = 0; status == HEARTH_OK && at < count; at += chunk) {
        uint32_t n = count - at < chunk ? count - at : chunk;
        struct context_part part = {
            .tokens = ids + at, .n_tokens = n, .all_logits = true, .prompt = prompt};
        status = context_decode(context, &part, 1, logits, err);
        if (status == HEARTH_OK)
            status = file_writer_put(&writer, logits, n * n_vocab * sizeof *logits, err);
    }
    if (status == HEARTH_OK)
        status = file_writer_commit(&writer, err);
    else
        file_writer_discard(&writer);
    mem_free(logits);
    return status;
}

static hearth_status logits_run(const struct logits_options *o, hearth_error *err) {
    int32_t *ids = NULL;
    uint32_t count = 0;
    struct engine engine = {0};
    if (!o->tokens || !o->output)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "both --tokens FILE and -o OUT are needed");
    hearth_status status = read_ids(o->tokens, &ids, &count, err);
    struct context_options base = context_defaults();
    base.k_type = base.v_type = ELEM_F32;
    base.n_ctx = count;
    if (status == HEARTH_OK) status = engine_open(&engine, &o->engine, base, err);
    if (status == HEARTH_OK)
        status = compute(engine.context, ids, count, (uint32_t)o->chunk, o->output, err);
    engine_close(&engine);
    mem_free(ids);
    return status;
}

int cmd_logits(int argc, char **argv) {
    struct logits_options o = {0};
    struct option_spec specs[ENGINE_SPECS + 3];
    size_t n = engine_specs(&o.engine, specs);
    specs[n++] = (struct option_spec){.name = "tokens",
                                      .argument = "FILE",
                                      .help = "token ids separated by white space; - reads stdin",
                                      .type = OPTION_STRING,
                                      .string = &o.tokens};
    specs[n++] = (struct option_spec){.name = "output",
                                      .letter = 'o',
                                      .argument = "FILE",
                                      .help = "float32 little-endian, [tokens][vocabulary]",
                                      .type = OPTION_STRING,
                                      .string = &o.output};
    specs[n++] =
        (struct option_spec){.name = "chunk",
                             .argument = "N",
                             .help = "feed N tokens at a time (default: 512; 1: as if generated)",
                             .type = OPTION_INT,
                             .least = 1,
                             .most = 1 << 20,
                             .integer = &o.chunk};
    const struct option_table table = {
        .command = "hearth logits",
        .summary = "Writes the logits after each of the given tokens.",
        .examples = "hearth logits -m x.gguf --tokens ids.txt -o out.f32",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    return logits_run(&o, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
