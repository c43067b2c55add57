/* What adapters cost a batch of many sequences.
 *
 *     bench_adapters MODEL [SEQUENCES [TOKENS [THREADS [RANK]]]]
 *
 * Each sequence computes a prompt of 16 tokens and then TOKENS more, one in each pass, with the
 * sequences of the batch using adapters of random numbers as a row of the table says. The rows are
 * measured in turn, three times; what is printed is the best of each, and its share of the first
 * row's. Time is the processor's: what else runs on the machine hardly changes it. */
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "model/random_adapter.h"

#include "infer/context.h"

enum { N_PROMPT = 16, MOST_SEQUENCES = 64, N_ADAPTERS = 16, N_REPEAT = 3 };

/* Sequence i uses adapter i % n_used, if that is less than n_adapters. */
static const struct use {
    const char *what;
    uint32_t n_loaded, n_adapters, n_used;
} uses[] = {{"no adapter is loaded", 0, 0, 1},    {"16 are loaded, nobody uses one", 16, 0, 1},
            {"all use the same one", 16, 1, 1},   {"every second uses the same one", 16, 1, 2},
            {"four and none, in turn", 16, 4, 5}, {"each of 16 is used", 16, 16, 16}};
enum { N_USES = sizeof uses / sizeof uses[0] };

struct bench {
    struct model model;
    struct random_adapter adapters[N_ADAPTERS];
    struct context *context;
    uint32_t n_sequences, n_tokens;
    float *logits;
};

struct speed {
    double prompt, decode; /* tokens for each second of the processor */
};

static void need(hearth_status status, const hearth_error *err) {
    if (status == HEARTH_OK) return;
    fprintf(stderr, "bench_adapters: %s\n", err->message);
    exit(1);
}

static void load(struct bench *b, uint32_t n) {
    struct adapter_item items[N_ADAPTERS];
    hearth_error err = {0};
    for (uint32_t i = 0; i < n; i++)
        items[i] = (struct adapter_item){&b->adapters[i].adapter, 1};
    need(context_set_adapters(b->context, NULL, &err), &err);
    if (n > 0) need(context_load_adapters(b->context, items, n, &err), &err);
}

static double pass(struct bench *b, uint32_t at, uint32_t n_tokens) {
    static int32_t tokens[N_PROMPT];
    struct context_part parts[MOST_SEQUENCES];
    hearth_error err = {0};
    for (uint32_t k = 0; k < n_tokens; k++)
        tokens[k] = (int32_t)((at + k * 131 + 17) % b->model.config.n_vocab);
    for (uint32_t i = 0; i < b->n_sequences; i++)
        parts[i] = (struct context_part){.sequence = i,
                                         .tokens = tokens,
                                         .n_tokens = n_tokens,
                                         .last_logits = true,
                                         .prompt = n_tokens > 1};
    clock_t start = clock();
    need(context_decode(b->context, parts, b->n_sequences, b->logits, &err), &err);
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static struct speed measure(struct bench *b, const struct use *use) {
    hearth_error err = {0};
    double seconds = 0;
    load(b, use->n_loaded);
    for (uint32_t i = 0; i < b->n_sequences; i++) {
        uint32_t a = i % use->n_used;
        struct adapter_set set = {.count = 0};
        if (a < use->n_adapters) set = (struct adapter_set){{{&b->adapters[a].adapter, 1}}, 1};
        context_sequence_truncate(b->context, i, 0);
        need(context_sequence_set_adapters(b->context, i, &set, &err), &err);
    }
    double prompt = pass(b, 0, N_PROMPT);
    for (uint32_t k = 0; k < b->n_tokens; k++)
        seconds += pass(b, k, 1);
    double n = b->n_sequences;
    return (struct speed){N_PROMPT * n / prompt, b->n_tokens * n / seconds};
}

static void report(struct bench *b) {
    struct speed best[N_USES] = {0};
    for (int r = 0; r < N_REPEAT; r++)
        for (int u = 0; u < N_USES; u++) {
            struct speed now = measure(b, &uses[u]);
            if (now.prompt > best[u].prompt) best[u].prompt = now.prompt;
            if (now.decode > best[u].decode) best[u].decode = now.decode;
        }
    puts("| sequences | prompt tokens/s | share | tokens/s | share |\n|---|---:|---:|---:|---:|");
    for (int u = 0; u < N_USES; u++)
        printf("| %s | %.1f | %.2f | %.1f | %.2f |\n", uses[u].what, best[u].prompt,
               best[u].prompt / best[0].prompt, best[u].decode, best[u].decode / best[0].decode);
}

static uint32_t number(int argc, char **argv, int i, uint32_t missing, uint32_t most) {
    if (i >= argc) return missing;
    char *rest;
    unsigned long value = strtoul(argv[i], &rest, 10);
    if (*argv[i] && !*rest && value > 0 && value <= most) return (uint32_t)value;
    fprintf(stderr, "bench_adapters: '%s' is not a number from 1 to %u\n", argv[i], most);
    exit(2);
}

int main(int argc, char **argv) {
    static struct bench b;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    if (argc < 2) {
        fputs("usage: bench_adapters MODEL [SEQUENCES [TOKENS [THREADS [RANK]]]]\n", stderr);
        return 2;
    }
    b.n_sequences = options.n_sequences = number(argc, argv, 2, 16, MOST_SEQUENCES);
    b.n_tokens = number(argc, argv, 3, 16, 1024);
    options.n_threads = number(argc, argv, 4, 1, 256);
    options.n_ctx = N_PROMPT + b.n_tokens;
    need(model_open(&b.model, argv[1], &err), &err);
    for (uint32_t i = 0; i < N_ADAPTERS; i++)
        random_adapter_open(
            &b.adapters[i], &b.model,
            &(struct random_adapter_shape){.seed = i, .rank = number(argc, argv, 5, 16, 256)});
    need(context_open(&b.context, &b.model, &options, &err), &err);
    b.logits = mem_alloc_array((size_t)b.n_sequences * b.model.config.n_vocab, sizeof *b.logits);
    if (!b.logits) return 1;
    report(&b);
    mem_free(b.logits);
    context_close(b.context);
    for (uint32_t i = 0; i < N_ADAPTERS; i++)
        random_adapter_close(&b.adapters[i]);
    model_close(&b.model);
    return 0;
}
