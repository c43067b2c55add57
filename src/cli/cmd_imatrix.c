/* hearth imatrix: which columns of a model's weights matter, measured over a text. */
#include "base/mem.h"
#include "base/term.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "infer/importance.h"

#define MAX_IMATRIX_TEXT_BYTES ((size_t)1 << 30)

struct imatrix_command {
    struct engine_settings engine;
    const char *file, *output;
    int64_t n_ctx, max_chunks;
    bool process_output;
};

/* Each chunk is a sequence of its own that begins with BOS where the vocabulary has one. */
static hearth_status run_chunk(const struct imatrix_command *c, struct engine *engine,
                               int32_t *tokens, float *logits, hearth_error *err) {
    int32_t first = tokens[0], bos = tokenizer_role(engine->tokenizer, TOKEN_BOS);
    if (tokenizer_adds_bos(engine->tokenizer) && bos >= 0) tokens[0] = bos;
    context_sequence_truncate(engine->context, 0, 0);
    struct context_part part = {.tokens = tokens,
                                .n_tokens = (uint32_t)c->n_ctx,
                                .all_logits = c->process_output,
                                .prompt = true};
    hearth_status status = context_decode(engine->context, &part, 1, logits, err);
    tokens[0] = first;
    return status;
}

static hearth_status run_chunks(const struct imatrix_command *c, struct engine *engine,
                                struct token_list *ids, size_t n_chunks, hearth_error *err) {
    struct progress progress;
    uint64_t n_ctx = (uint64_t)c->n_ctx;
    float *logits = NULL;
    hearth_status status = HEARTH_OK;
    if (c->process_output) {
        logits = mem_alloc_array(n_ctx * engine->model.config.n_vocab, sizeof *logits);
        if (!logits) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the logits");
    }
    progress_begin(&progress, stderr, "imatrix", n_chunks * n_ctx, false);
    for (size_t i = 0; status == HEARTH_OK && i < n_chunks; i++) {
        status = run_chunk(c, engine, ids->ids + i * n_ctx, logits, err);
        progress_update(&progress, (i + 1) * n_ctx);
    }
    progress_end(&progress, n_chunks * n_ctx);
    mem_free(logits);
    return status;
}

static hearth_status measure(const struct imatrix_command *c, struct engine *engine,
                             struct token_list *ids, hearth_error *err) {
    struct importance *importance;
    size_t n_chunks = ids->count / (size_t)c->n_ctx;
    if (n_chunks == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%s' has %zu tokens; at least one chunk of %lld is needed (--ctx)",
                         c->file, ids->count, (long long)c->n_ctx);
    if (c->max_chunks && n_chunks > (size_t)c->max_chunks) n_chunks = (size_t)c->max_chunks;
    RETURN_IF_ERROR(importance_open(&importance, engine->context, c->process_output, err));
    hearth_status status = run_chunks(c, engine, ids, n_chunks, err);
    if (status == HEARTH_OK)
        status = importance_write(importance, c->output, c->file, (uint32_t)n_chunks,
                                  (uint32_t)c->n_ctx, err);
    importance_close(importance);
    return status;
}

static hearth_status imatrix_run(const struct imatrix_command *c, hearth_error *err) {
    char *text = NULL;
    size_t size = 0;
    struct engine engine = {0};
    struct token_list ids = {0};
    struct context_options base = context_defaults();
    base.n_ctx = (uint32_t)c->n_ctx;
    hearth_status status = file_read(c->file, MAX_IMATRIX_TEXT_BYTES, &text, &size, err);
    if (status == HEARTH_OK) status = engine_open(&engine, &c->engine, base, err);
    if (status == HEARTH_OK) status = engine_need_tokenizer(&engine, err);
    if (status == HEARTH_OK)
        status = tokenizer_encode(engine.tokenizer, text, size, true, false, &ids, err);
    if (status == HEARTH_OK) status = measure(c, &engine, &ids, err);
    token_list_release(&ids);
    engine_close(&engine);
    mem_free(text);
    return status;
}

int cmd_imatrix(int argc, char **argv) {
    struct imatrix_command c = {.n_ctx = 512};
    struct option_spec specs[ENGINE_SPECS + 6];
    size_t n = engine_specs(&c.engine, specs);
    specs[n++] = (struct option_spec){.type = OPTION_HEADING, .help = "Measure"};
    specs[n++] = (struct option_spec){.name = "file",
                                      .letter = 'f',
                                      .argument = "TEXT",
                                      .help = "the text to measure over",
                                      .type = OPTION_STRING,
                                      .string = &c.file};
    specs[n++] = (struct option_spec){.name = "output",
                                      .letter = 'o',
                                      .argument = "FILE",
                                      .help = "the importance matrix to write",
                                      .type = OPTION_STRING,
                                      .string = &c.output};
    specs[n++] = (struct option_spec){.name = "ctx",
                                      .argument = "N",
                                      .help = "tokens of a chunk (default: 512)",
                                      .type = OPTION_INT,
                                      .least = 2,
                                      .most = 1 << 20,
                                      .integer = &c.n_ctx};
    specs[n++] = (struct option_spec){.name = "chunks",
                                      .argument = "N",
                                      .help = "stop after N chunks (default: all)",
                                      .type = OPTION_INT,
                                      .least = 1,
                                      .most = 1 << 30,
                                      .integer = &c.max_chunks};
    specs[n++] = (struct option_spec){.name = "process-output",
                                      .help = "the output matrix too",
                                      .type = OPTION_FLAG,
                                      .flag = &c.process_output};
    const struct option_table table = {
        .command = "hearth imatrix",
        .summary = "Measures over a text how much each column of the weights matters, for\n"
                   "'hearth quantize --imatrix'.",
        .examples = "hearth imatrix -m model-bf16.gguf -f text.txt -o text.imatrix.gguf",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (!c.file || !c.output) {
        fputs("hearth imatrix: -f TEXT and -o FILE are needed\n", stderr);
        return EXIT_USAGE;
    }
    return imatrix_run(&c, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
