/* What it brings to answer many at once, and what the scheduler itself costs.
 *
 *     bench_scheduler MODEL [ANSWERS [TOKENS [THREADS]]]
 *
 * Greedy answers of TOKENS tokens to very short prompts, one alone and ANSWERS together, twice in
 * turn; beside them the same passes without a scheduler: rows of tokens that are given, and
 * nobody who chooses. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/scheduler.h"

enum { N_PROMPT = 2, MOST_ANSWERS = 256, N_REPEAT = 2 };

struct bench {
    struct model model;
    struct context *context;
    uint32_t n_answers, n_tokens;
    float *logits;
};

static void need(hearth_status status, const hearth_error *err) {
    if (status == HEARTH_OK) return;
    fprintf(stderr, "bench_scheduler: %s\n", err->message);
    exit(1);
}

static enum scheduler_verdict take(void *context, const struct scheduler_token *token,
                                   struct scheduler_words *words) {
    (void)context;
    (void)token;
    (void)words;
    return SCHEDULER_GO_ON;
}

static void end(void *context, const struct scheduler_result *result) {
    (void)context;
    if (result->status == HEARTH_OK) return;
    fprintf(stderr, "bench_scheduler: %s\n", result->message);
    exit(1);
}

static int32_t token_of(const struct bench *b, uint32_t answer, uint32_t i) {
    return (int32_t)((answer * 977 + i * 131 + 17) % b->model.config.n_vocab);
}

/* Tokens a second of n answers together, their prompts included. */
static double schedule(const struct bench *b, uint32_t n) {
    struct scheduler *scheduler;
    struct scheduler_job *jobs[MOST_ANSWERS];
    struct sampler_params greedy = sampler_params_default();
    int32_t prompt[N_PROMPT];
    hearth_error err = {0};
    greedy.temperature = 0;
    need(scheduler_open(&scheduler, b->context, &(struct scheduler_options){0}, &err), &err);
    uint64_t start = clock_now_ns();
    for (uint32_t i = 0; i < n; i++) {
        const struct scheduler_choice choice = {.params = &greedy};
        for (uint32_t k = 0; k < N_PROMPT; k++)
            prompt[k] = token_of(b, i, k);
        const struct scheduler_request request = {.prompt = prompt,
                                                  .n_prompt = N_PROMPT,
                                                  .max_tokens = b->n_tokens,
                                                  .callbacks = {.take = take, .end = end},
                                                  .choices = &choice,
                                                  .n_choices = 1};
        need(scheduler_submit(scheduler, &request, &jobs[i], &err), &err);
    }
    for (uint32_t i = 0; i < n; i++)
        scheduler_finish(jobs[i]);
    double seconds = clock_seconds_since(start);
    scheduler_close(scheduler);
    return b->n_tokens * (double)n / seconds;
}

static double decode(const struct bench *b, uint32_t n) {
    struct context_part parts[MOST_ANSWERS];
    int32_t tokens[MOST_ANSWERS][N_PROMPT];
    hearth_error err = {0};
    for (uint32_t i = 0; i < n; i++) {
        context_sequence_truncate(b->context, i, 0);
        for (uint32_t k = 0; k < N_PROMPT; k++)
            tokens[i][k] = token_of(b, i, k);
        parts[i] = (struct context_part){.sequence = i,
                                         .tokens = tokens[i],
                                         .n_tokens = N_PROMPT,
                                         .last_logits = true,
                                         .prompt = true};
    }
    uint64_t start = clock_now_ns();
    need(context_decode(b->context, parts, n, b->logits, &err), &err);
    for (uint32_t k = 1; k < b->n_tokens; k++) {
        for (uint32_t i = 0; i < n; i++) {
            tokens[i][0] = token_of(b, i, N_PROMPT + k);
            parts[i].n_tokens = 1;
            parts[i].prompt = false;
        }
        need(context_decode(b->context, parts, n, b->logits, &err), &err);
    }
    double seconds = clock_seconds_since(start);
    for (uint32_t i = 0; i < n; i++)
        context_sequence_truncate(b->context, i, 0);
    return b->n_tokens * (double)n / seconds;
}

static uint32_t number(int argc, char **argv, int i, uint32_t missing) {
    if (i >= argc) return missing;
    char *rest;
    unsigned long value = strtoul(argv[i], &rest, 10);
    if (*argv[i] && !*rest && value > 0 && value <= MOST_ANSWERS * 16) return (uint32_t)value;
    fprintf(stderr, "bench_scheduler: '%s' is not a number that can be\n", argv[i]);
    exit(2);
}

static void report(const struct bench *b) {
    puts("| answers | scheduler tokens/s | passes alone tokens/s |\n|---:|---:|---:|");
    for (int i = 0; i < 2 * N_REPEAT; i++) {
        uint32_t n = i % 2 ? b->n_answers : 1;
        double plain = decode(b, n), scheduled = schedule(b, n);
        printf("| %u | %.2f | %.2f |\n", n, scheduled, plain);
    }
}

int main(int argc, char **argv) {
    struct bench b = {0};
    hearth_error err = {0};
    struct context_options options = context_defaults();
    if (argc < 2) {
        fputs("usage: bench_scheduler MODEL [ANSWERS [TOKENS [THREADS]]]\n", stderr);
        return 2;
    }
    b.n_answers = number(argc, argv, 2, 16);
    b.n_tokens = number(argc, argv, 3, 32);
    options.n_threads = number(argc, argv, 4, 2);
    options.n_sequences = b.n_answers < MOST_ANSWERS ? b.n_answers : MOST_ANSWERS;
    b.n_answers = options.n_sequences;
    options.n_ctx = N_PROMPT + b.n_tokens;
    need(model_open(&b.model, argv[1], &err), &err);
    need(context_open(&b.context, &b.model, &options, &err), &err);
    b.logits = mem_alloc_array((size_t)b.n_answers * b.model.config.n_vocab, sizeof *b.logits);
    if (!b.logits) return 1;
    report(&b);
    mem_free(b.logits);
    context_close(b.context);
    model_close(&b.model);
    return 0;
}
