/* Speed and memory of training steps on random tokens: models of real shapes with random
 * weights, what a step reaches of the machine's multiplications, and where its time goes.
 *
 *   bench_train [full|small|lora|qlora [layers|FILE]]
 *
 * full: a llama of 110M parameters, all of them trained, 8 sequences of 512 tokens to a step of
 * AdamW, two to a pass, of which one is measured. small: the shape of the built-in model, trained
 * whole on conversations of 77 tokens, 26 to a pass. lora, qlora: adapters of rank 16 on all
 * linear layers of llama-3.2-1b in BF16 or Q4_K, one sequence of 512 tokens to a step. With
 * `layers`, only so many layers. The model is written to the working folder and removed, unless
 * one is given.
 *
 * The limit is that of the products alone: 6 operations for each weight and token, 4 for
 * frozen weights; measured in registers (peak.h) in bfloat16 where the level has it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "device/machine_speed.h"
#include "model/synth.h"
#include "train/graph.h"
#include "train/optimizer.h"

enum { MOST_PASS = 32, MOST_ROWS = 2048, RANK = 16, MEASURED = 4 };
#define PEAK_SECONDS 0.1
#define MEASURED_SECONDS 10.0
#define MIB (1.0 / (1 << 20))

static const struct shape llama_110m = {.name = "llama-110m",
                                        .family = "llama",
                                        .n_vocab = 32000,
                                        .n_ctx = 2048,
                                        .n_layer = 12,
                                        .n_embd = 768,
                                        .n_head = 12,
                                        .n_head_kv = 12,
                                        .d_head = 64,
                                        .n_ff = 2048,
                                        .traits = SHAPE_TIED,
                                        .eps = 1e-5f,
                                        .rope_base = 10000};

static const struct shape llama_13m = {.name = "llama-13m",
                                       .family = "llama",
                                       .n_vocab = 2048,
                                       .n_ctx = 1024,
                                       .n_layer = 8,
                                       .n_embd = 384,
                                       .n_head = 6,
                                       .n_head_kv = 2,
                                       .d_head = 64,
                                       .n_ff = 1024,
                                       .traits = SHAPE_TIED,
                                       .eps = 1e-5f,
                                       .rope_base = 10000};

struct task {
    const char *name;
    const struct shape *shape; /* NULL: llama-3.2-1b */
    const char *recipe;
    enum train_method method;
    unsigned length, pass, step; /* tokens of a sequence, sequences */
};

static const struct task tasks[] = {{"full", &llama_110m, "f32", TRAIN_FULL, 512, 2, 8},
                                    {"small", &llama_13m, "f32", TRAIN_FULL, 77, 26, 104},
                                    {"lora", NULL, "bf16", TRAIN_LORA, 512, 1, 1},
                                    {"qlora", NULL, "q4_k_m", TRAIN_LORA, 512, 1, 1}};

struct bench {
    const struct task *task;
    struct model model;
    struct device *device;
    struct graph *graph;
    struct optimizer *optimizer;
    uint64_t graph_bytes;
    uint64_t op_ns[OP_KINDS];
    double pass_seconds, step_seconds; /* of the optimiser */
    double products, limit;            /* operations of a pass, and a second */
    struct cpu_process_memory before;
};

static void check(hearth_status status, const hearth_error *err) {
    if (status == HEARTH_OK) return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void write_model(struct bench *b, const char *path, uint32_t layers) {
    hearth_error err = {0};
    const struct shape *known = b->task->shape;
    struct synth_options options = {
        .seed = 1, .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}};
    if (!known) check(shape_find(&known, "llama-3.2-1b", &err), &err);
    struct shape shape = *known;
    if (layers) shape.n_layer = layers;
    options.shape = &shape;
    check(quant_recipe_find(&options.quant.recipe, b->task->recipe, &err), &err);
    check(synth_write(path, &options, &err), &err);
}

/* `which`: so many layers, or a file; NULL: the whole model. */
static void open_model(struct bench *b, const char *which) {
    hearth_error err = {0};
    const char *path = "bench_train.gguf";
    char *end = NULL;
    uint32_t layers = which ? (uint32_t)strtoul(which, &end, 10) : 0;
    bool given = which && *end;
    if (given)
        path = which;
    else
        write_model(b, path, layers);
    check(model_open(&b->model, path, &err), &err);
    if (!given) remove(path); /* the mapping stays */
}

/* Matrices that are multiplied; the output matrix may be the embedding. */
static double multiplied_weights(const struct model *model) {
    double n = 0;
    const struct directory *dir = &model->directory;
    bool tied = !directory_find(dir, "output.weight");
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *t = &dir->tensors[i];
        if (t->n_dims == 2 && (tied || strcmp(t->name, "token_embd.weight") != 0))
            n += (double)t->dims[0] * (double)t->dims[1];
    }
    return n;
}

static uint32_t pass_rows(const struct bench *b) {
    return b->task->length * b->task->pass;
}

static void open_training(struct bench *b) {
    hearth_error err = {0};
    struct device_options device = {.n_threads = 0, .max_tokens = pass_rows(b)};
    struct graph_options graph = {.method = b->task->method,
                                  .max_rows = pass_rows(b),
                                  .n_ctx = b->task->length,
                                  .lora = {.rank = RANK, .alpha = 2 * RANK},
                                  .seed = 1};
    struct optimizer_options adamw = optimizer_defaults();
    size_t n;
    check(device_open_cpu(&b->device, &device, &err), &err);
    check(graph_bytes(&b->model, &graph, &b->graph_bytes, &err), &err);
    b->before = cpu_process_memory();
    check(graph_open(&b->graph, &b->model, b->device, &graph, &err), &err);
    const struct parameter *parameters = graph_parameters(b->graph, &n);
    check(optimizer_open(&b->optimizer, b->device, parameters, n, &adamw, &err), &err);
    double passes = b->task->method == TRAIN_FULL ? 6 : 4;
    b->products = passes * pass_rows(b) * multiplied_weights(&b->model);
}

static void step(struct bench *b) {
    int32_t tokens[MOST_ROWS + 1];
    uint32_t starts[MOST_PASS + 1], n_rows = pass_rows(b);
    struct rng rng;
    struct train_loss loss;
    hearth_error err = {0};
    double norm;
    rng_seed(&rng, 7);
    for (uint32_t i = 0; i <= n_rows; i++)
        tokens[i] = (int32_t)(rng_u64(&rng) % b->model.config.n_vocab);
    for (uint32_t i = 0; i <= b->task->pass; i++)
        starts[i] = i * b->task->length;
    struct train_batch batch = {.n_rows = n_rows,
                                .tokens = tokens,
                                .targets = tokens + 1,
                                .starts = starts,
                                .n_sequences = b->task->pass};
    uint64_t start = clock_now_ns();
    check(graph_step(b->graph, &batch, 1.0f / (float)n_rows, &loss, NULL, &err), &err);
    b->pass_seconds = clock_seconds_since(start);
    start = clock_now_ns();
    check(optimizer_step(b->optimizer, 1e-4f, 1, &norm, &err), &err);
    b->step_seconds = clock_seconds_since(start);
}

static double limit_now(void) {
    struct machine_rates rates;
    struct pool *pool;
    hearth_error err = {0};
    enum cpu_level level;
    check(cpu_choose(&level, &err), &err);
    check(pool_open(&pool, 0, &err), &err);
    check(machine_multiply_rates(pool, level, PEAK_SECONDS, &rates, &err), &err);
    pool_close(pool);
    return rates.of[PEAK_BF16] > 0 ? rates.of[PEAK_BF16] : rates.of[PEAK_F32];
}

/* The first step brings pages in; the best of the others counts. */
static void measure(struct bench *b) {
    double best_pass = 0, best_step = 0;
    uint64_t best_ns[OP_KINDS];
    step(b);
    uint64_t start = clock_now_ns();
    for (int i = 0; i < MEASURED && (i == 0 || clock_seconds_since(start) < MEASURED_SECONDS);
         i++) {
        double limit = limit_now();
        if (limit > b->limit) b->limit = limit;
        memset(b->op_ns, 0, sizeof b->op_ns);
        device_time_ops(b->device, b->op_ns);
        step(b);
        if (i == 0 || b->pass_seconds < best_pass) {
            best_pass = b->pass_seconds;
            memcpy(best_ns, b->op_ns, sizeof best_ns);
        }
        if (i == 0 || b->step_seconds < best_step) best_step = b->step_seconds;
    }
    b->pass_seconds = best_pass;
    b->step_seconds = best_step;
    memcpy(b->op_ns, best_ns, sizeof best_ns);
}

static void print(const struct bench *b) {
    double passes = (double)b->task->step / b->task->pass, tokens = pass_rows(b);
    double seconds = passes * b->pass_seconds + b->step_seconds;
    double rate = passes * b->products / seconds;
    struct cpu_process_memory after = cpu_process_memory();
    printf("\n%s, %s: %.1f tok/s, %.0f GFLOP/s, %.3f of the limit of %.0f\n\n", b->task->name,
           device_description(b->device), passes * tokens / seconds, rate * 1e-9, rate / b->limit,
           b->limit * 1e-9);
    printf("| operation | us a token | share |\n|---|---:|---:|\n");
    for (int kind = 0; kind < OP_KINDS; kind++)
        if (b->op_ns[kind])
            printf("| %-20s | %8.2f | %4.1f %% |\n", op_name((enum op_kind)kind),
                   (double)b->op_ns[kind] * 1e-3 / tokens,
                   (double)b->op_ns[kind] * 1e-7 * passes / seconds);
    printf("| %-20s | %8.2f | %4.1f %% |\n", "AdamW", b->step_seconds * 1e6 / tokens / passes,
           b->step_seconds * 100 / seconds);
    printf(
        "\ngraph_bytes %.1f MiB, allocated %.1f MiB, resident before %.1f MiB, at most %.1f MiB\n",
        (double)b->graph_bytes * MIB, (double)device_allocated_bytes(b->device) * MIB,
        (double)b->before.resident * MIB, (double)after.peak * MIB);
    fflush(stdout);
}

static void run(const struct task *task, const char *which) {
    struct bench b = {.task = task};
    open_model(&b, which);
    open_training(&b);
    measure(&b);
    print(&b);
    optimizer_close(b.optimizer);
    graph_close(b.graph);
    device_close(b.device);
    model_close(&b.model);
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (argc < 2 || strcmp(argv[1], tasks[i].name) == 0)
            run(&tasks[i], argc > 2 ? argv[2] : NULL);
    return 0;
}
