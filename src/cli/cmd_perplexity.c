/* hearth perplexity: how well a model predicts a text.
 *
 * The text is cut into chunks of n_ctx tokens, each a fresh sequence whose first token
 * is BOS where the vocabulary has one; predictions in the second half of a chunk count
 * (the measure llama.cpp's users know: PPL = exp(mean of -log p)). */
#include <jansson.h>
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/term.h"
#include "cli/command.h"
#include "cli/engine_options.h"

#define MAX_PERPLEXITY_TEXT_BYTES ((size_t)1 << 30)

struct perplexity_options {
    struct engine_settings engine;
    const char *file;
    int64_t n_ctx, max_chunks;
    bool json;
};

struct score {
    double sum, sum_squares; /* of -log p */
    uint64_t count;
    double *chunks; /* [n_chunks] means of them, by which two runs of a text can be compared */
    size_t n_chunks;
};

static double negative_log_likelihood(const float *logits, size_t n, int32_t token) {
    double max = (double)logits[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        if ((double)logits[i] > max) max = (double)logits[i];
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[token];
}

/* Scores the second half of one chunk; `logits` holds n_ctx / 2 rows. */
static hearth_status score_chunk(struct context *context, int32_t *tokens, uint32_t n_ctx,
                                 int32_t bos, float *logits, struct score *score,
                                 hearth_error *err) {
    size_t n_vocab = context_model(context)->config.n_vocab;
    uint32_t first = n_ctx / 2;
    int32_t replaced = tokens[0];
    if (bos >= 0) tokens[0] = bos;
    context_sequence_truncate(context, 0, 0);
    struct context_part part = {.tokens = tokens, .n_tokens = first, .prompt = true};
    hearth_status status = context_decode(context, &part, 1, NULL, err);
    part = (struct context_part){
        .tokens = tokens + first, .n_tokens = n_ctx - first, .all_logits = true, .prompt = true};
    if (status == HEARTH_OK) status = context_decode(context, &part, 1, logits, err);
    tokens[0] = replaced;
    double before = score->sum;
    for (uint32_t i = first; status == HEARTH_OK && i + 1 < n_ctx; i++) {
        double nll =
            negative_log_likelihood(logits + (i - first) * n_vocab, n_vocab, tokens[i + 1]);
        score->sum += nll;
        score->sum_squares += nll * nll;
        score->count++;
    }
    score->chunks[score->n_chunks++] = (score->sum - before) / (double)(n_ctx - first - 1);
    return status;
}

static json_t *numbers_json(const double *numbers, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_real(numbers[i]));
    return list;
}

static void print_result(const struct perplexity_options *o, const struct score *score,
                         size_t n_tokens, double seconds) {
    double mean = score->sum / (double)score->count;
    double variance = score->sum_squares / (double)score->count - mean * mean;
    double ppl = exp(mean);
    double error = score->count > 1 ? ppl * sqrt(variance / (double)(score->count - 1)) : 0;
    if (!o->json) {
        printf("perplexity %.4f +/- %.4f  (%zu chunks of %lld tokens, %.1f s)\n", ppl, error,
               score->n_chunks, (long long)o->n_ctx, seconds);
        return;
    }
    json_t *result =
        json_pack("{s:f, s:f, s:I, s:I, s:I, s:I, s:f, s:s, s:s, s:o}", "perplexity", ppl, "stderr",
                  error, "n_tokens", (json_int_t)n_tokens, "n_ctx", (json_int_t)o->n_ctx,
                  "n_chunks", (json_int_t)score->n_chunks, "n_scored", (json_int_t)score->count,
                  "seconds", seconds, "model", o->engine.model, "file", o->file, "chunk_nll",
                  numbers_json(score->chunks, score->n_chunks));
    if (result) json_dumpf(result, stdout, JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(result);
}

static hearth_status score_tokens(const struct perplexity_options *o, struct engine *engine,
                                  struct token_list *ids, hearth_error *err) {
    uint32_t n_ctx = (uint32_t)o->n_ctx;
    size_t n_chunks = ids->count / n_ctx, n_vocab = engine->model.config.n_vocab;
    struct score score = {0};
    struct progress progress;
    if (n_chunks == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%s' has %zu tokens; at least one chunk of %u is needed (--ctx)", o->file,
                         ids->count, n_ctx);
    if (o->max_chunks && n_chunks > (size_t)o->max_chunks) n_chunks = (size_t)o->max_chunks;
    float *logits = mem_alloc_array((size_t)(n_ctx - n_ctx / 2) * n_vocab, sizeof *logits);
    int32_t bos = tokenizer_adds_bos(engine->tokenizer)
                      ? tokenizer_role(engine->tokenizer, TOKEN_BOS)
                      : TOKEN_NONE;
    uint64_t start = clock_now_ns();
    score.chunks = mem_alloc_array(n_chunks, sizeof *score.chunks);
    hearth_status status = logits && score.chunks
                               ? HEARTH_OK
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the logits");
    progress_begin(&progress, stderr, "perplexity", n_chunks * (uint64_t)n_ctx, false);
    for (size_t i = 0; status == HEARTH_OK && i < n_chunks; i++) {
        status =
            score_chunk(engine->context, ids->ids + i * n_ctx, n_ctx, bos, logits, &score, err);
        progress_update(&progress, (i + 1) * (uint64_t)n_ctx);
    }
    progress_end(&progress, n_chunks * (uint64_t)n_ctx);
    if (status == HEARTH_OK) print_result(o, &score, ids->count, clock_seconds_since(start));
    mem_free(logits);
    mem_free(score.chunks);
    return status;
}

static hearth_status perplexity_run(const struct perplexity_options *o, hearth_error *err) {
    char *text = NULL;
    size_t size = 0;
    struct engine engine = {0};
    struct token_list ids = {0};
    struct context_options base = context_defaults();
    base.n_ctx = (uint32_t)o->n_ctx;
    hearth_status status = file_read(o->file, MAX_PERPLEXITY_TEXT_BYTES, &text, &size, err);
    if (status == HEARTH_OK) status = engine_open(&engine, &o->engine, base, err);
    if (status == HEARTH_OK) status = engine_need_tokenizer(&engine, err);
    if (status == HEARTH_OK)
        status = tokenizer_encode(engine.tokenizer, text, size, true, false, &ids, err);
    if (status == HEARTH_OK) status = score_tokens(o, &engine, &ids, err);
    token_list_release(&ids);
    engine_close(&engine);
    mem_free(text);
    return status;
}

int cmd_perplexity(int argc, char **argv) {
    struct perplexity_options o = {.n_ctx = 512};
    struct option_spec specs[ENGINE_SPECS + 5];
    size_t n = engine_specs(&o.engine, specs);
    specs[n++] = (struct option_spec){.type = OPTION_HEADING, .help = "Measure"};
    specs[n++] = (struct option_spec){.name = "file",
                                      .letter = 'f',
                                      .argument = "TEXT",
                                      .help = "the text to predict",
                                      .type = OPTION_STRING,
                                      .string = &o.file};
    specs[n++] = (struct option_spec){.name = "ctx",
                                      .argument = "N",
                                      .help = "tokens of a chunk (default: 512)",
                                      .type = OPTION_INT,
                                      .least = 4,
                                      .most = 1 << 20,
                                      .integer = &o.n_ctx};
    specs[n++] = (struct option_spec){.name = "chunks",
                                      .argument = "N",
                                      .help = "stop after N chunks (default: all)",
                                      .type = OPTION_INT,
                                      .least = 1,
                                      .most = 1 << 30,
                                      .integer = &o.max_chunks};
    specs[n++] = (struct option_spec){
        .name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &o.json};
    const struct option_table table = {
        .command = "hearth perplexity",
        .summary = "Measures how well a model predicts a text; lower is better.",
        .examples = "hearth perplexity -m model.gguf -f wiki.test.raw --ctx 512",
        .specs = specs,
        .n_specs = n};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (!o.file) {
        fputs("hearth perplexity: -f TEXT is needed\n", stderr);
        return EXIT_USAGE;
    }
    return perplexity_run(&o, &err) == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
