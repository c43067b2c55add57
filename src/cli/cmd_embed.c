/* hearth embed: texts to vectors of length 1, for search and clustering. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/engine_options.h"

enum { MAX_TEXTS = 1 << 24, SMALLEST_BATCH = 512, LARGEST_BATCH = 8192 };

/* All texts as tokens, one after the other; text i is [ends[i - 1], ends[i]). They are
 * read before the context is opened, which then is as long as the longest. */
struct texts {
    struct token_list tokens;
    size_t *ends, count, capacity, longest;
};

static void texts_release(struct texts *texts) {
    token_list_release(&texts->tokens);
    mem_free(texts->ends);
}

static hearth_status texts_add(struct texts *texts, const struct tokenizer *tokenizer,
                               const char *text, size_t n, hearth_error *err) {
    if (texts->count == texts->capacity) {
        size_t capacity = texts->capacity ? texts->capacity * 2 : 64;
        size_t *grown =
            capacity <= MAX_TEXTS ? mem_realloc_array(texts->ends, capacity, sizeof *grown) : NULL;
        if (!grown) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for more texts");
        texts->ends = grown;
        texts->capacity = capacity;
    }
    size_t first = texts->tokens.count;
    RETURN_IF_ERROR(tokenizer_encode(tokenizer, text, n, true, false, &texts->tokens, err));
    size_t length = texts->tokens.count - first;
    if (length > texts->longest) texts->longest = length;
    texts->ends[texts->count++] = texts->tokens.count;
    return HEARTH_OK;
}

static hearth_status read_lines(struct texts *texts, const struct tokenizer *tokenizer, FILE *in,
                                hearth_error *err) {
    char *line = NULL;
    size_t capacity = 0;
    hearth_status status = HEARTH_OK;
    for (ssize_t n; status == HEARTH_OK && (n = getline(&line, &capacity, in)) > 0;) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        status = texts_add(texts, tokenizer, line, (size_t)n, err);
        if (status != HEARTH_OK) error_prefix(err, status, "line %zu", texts->count + 1);
    }
    free(line);
    return status;
}

static hearth_status open_context(struct engine *engine, const struct engine_settings *settings,
                                  size_t longest, hearth_error *err) {
    struct context_options base = context_defaults();
    uint32_t own = engine->model.config.n_ctx_train;
    base.n_ctx = longest < own ? (uint32_t)longest : own;
    if (base.n_ctx == 0) base.n_ctx = 1;
    if (base.n_ctx > SMALLEST_BATCH)
        base.max_batch = base.n_ctx < LARGEST_BATCH ? base.n_ctx : LARGEST_BATCH;
    return engine_open_context(engine, settings, base, err);
}

static void print_embedding(const float *values, size_t n, size_t n_tokens) {
    fputs("{\"embedding\":[", stdout);
    for (size_t i = 0; i < n; i++)
        printf(i ? ",%.9g" : "%.9g", (double)values[i]);
    printf("],\"tokens\":%zu}", n_tokens);
}

static hearth_status embed_texts(struct engine *engine, const struct texts *texts, bool array,
                                 hearth_error *err) {
    size_t n_embd = engine->model.config.n_embd, first = 0;
    float *values = mem_alloc_array(n_embd, sizeof *values);
    if (!values) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an embedding");
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < texts->count && status == HEARTH_OK; i++) {
        size_t length = texts->ends[i] - first;
        status = context_embed(engine->context, 0, texts->tokens.ids + first, (uint32_t)length,
                               values, err);
        if (status != HEARTH_OK) {
            error_prefix(err, status, "text %zu", i + 1);
            break;
        }
        if (array) fputs(i ? ",\n" : "[", stdout);
        print_embedding(values, n_embd, length);
        if (!array) putchar('\n');
        first = texts->ends[i];
    }
    if (array && status == HEARTH_OK) puts(texts->count ? "]" : "[]");
    mem_free(values);
    return status;
}

static hearth_status embed(const struct engine_settings *settings,
                           const struct option_arguments *arguments, bool array,
                           hearth_error *err) {
    struct engine engine = {0};
    struct texts texts = {0};
    hearth_status status = engine_open_model(&engine, settings, err);
    if (status == HEARTH_OK) status = engine_need_tokenizer(&engine, err);
    for (size_t i = 0; i < arguments->count && status == HEARTH_OK; i++)
        status = texts_add(&texts, engine.tokenizer, arguments->items[i],
                           strlen(arguments->items[i]), err);
    if (status == HEARTH_OK && arguments->count == 0)
        status = read_lines(&texts, engine.tokenizer, stdin, err);
    if (status == HEARTH_OK) status = open_context(&engine, settings, texts.longest, err);
    if (status == HEARTH_OK) status = embed_texts(&engine, &texts, array, err);
    texts_release(&texts);
    engine_close(&engine);
    return status;
}

int cmd_embed(int argc, char **argv) {
    struct engine_settings settings;
    bool array = false;
    struct option_spec specs[ENGINE_SPECS + 1];
    size_t n = engine_specs(&settings, specs);
    specs[n++] = (struct option_spec){
        .name = "json", .help = "print one JSON array", .type = OPTION_FLAG, .flag = &array};
    const struct option_table table = {
        .command = "hearth embed",
        .arguments = "[TEXT...]",
        .summary = "Prints the embedding of every TEXT, or of every line of stdin, as a line\n"
                   "{\"embedding\":[...],\"tokens\":N}. The vectors have length 1.",
        .examples = "hearth embed -m bge-small.gguf 'a text' 'another one'\n"
                    "hearth embed -m nomic-embed.gguf <texts.txt >vectors.jsonl",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    return embed(&settings, &arguments, array, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
