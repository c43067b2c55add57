/* Gradients of every dense family against central differences of a double-precision
 * reference of the plans of inference.
 *
 * For a tensor with gradient g and a vector v of random signs, the mean of (v . (g - g'))^2
 * over v is |g - g'|^2, where g' . v is a central difference: a few directions measure the
 * error of a whole tensor. Small tensors and some single values are differenced one by one. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/plan_reference.h"

#define TOLERANCE 1e-4
#define SCALE 0.5f /* of the gradients */

enum { N_ROWS = 48, N_VOCAB = 128, DIRECTIONS = 2, SINGLES = 1, SMALL = 32, RANK = 4, SEED = 11 };

/* A model of the golden data, and what is changed in it to reach other recipes. */
struct variant {
    const char *name, *folder;
    enum activation activation; /* ACTIVATION_NONE: its own */
    bool sinks, parallel;
    bool grouped;    /* value heads of a delta net that share a key head are neighbours */
    bool whole_ends; /* of an adapter: the embeddings and the output are trained as well */
    float dropout, neftune_alpha; /* dropout: of an adapter */
    const char *modules[4];       /* of an adapter; none: the default */
    bool decomposed;              /* an adapter with magnitudes */
};

static const struct variant variants[] = {
    {.name = "llama", .folder = "arch/llama-dense"},
    {.name = "llama3", .folder = "arch/llama3-ropefreqs-dense"},
    {.name = "qwen2", .folder = "arch/qwen2-dense"},
    {.name = "qwen3", .folder = "arch/qwen3-dense"},
    {.name = "gemma2", .folder = "arch/gemma2-dense"},
    {.name = "gemma3", .folder = "arch/gemma3-dense"},
    {.name = "phi3", .folder = "arch/phi3-dense"},
    {.name = "smollm3", .folder = "arch/smollm3-dense"},
    {.name = "granite", .folder = "arch/granite-dense"},
    {.name = "olmo2", .folder = "arch/olmo2-dense"},
    {.name = "gpt2", .folder = "arch/gpt2-dense"},
    {.name = "minicpm", .folder = "arch/minicpm-dense"},
    {.name = "mistral3", .folder = "arch/mistral3-dense"},
    {.name = "lfm2", .folder = "arch/lfm2-dense"},
    {.name = "qwen35", .folder = "arch/qwen35-dense"},
    {.name = "grouped heads", .folder = "arch/qwen35-dense", .grouped = true},
    {.name = "qwen35moe", .folder = "arch/qwen35moe-moe"},
    {.name = "qwen3moe", .folder = "arch/qwen3moe-moe"},
    {.name = "olmoe", .folder = "arch/olmoe-moe"},
    {.name = "llama-moe", .folder = "arch/llama-moe"},
    {.name = "lfm2moe", .folder = "arch/lfm2moe-moe"},
    {.name = "gpt-oss", .folder = "arch/gpt-oss-moe"},
    {.name = "granitehybrid", .folder = "arch/granitehybrid-dense"},
    {.name = "nemotron_h", .folder = "arch/nemotron_h-dense"},
    {.name = "sinks, parallel parts",
     .folder = "arch/llama-dense",
     .sinks = true,
     .parallel = true},
    {.name = "relu2", .folder = "arch/gpt2-dense", .activation = ACTIVATION_RELU2},
    {.name = "relu", .folder = "arch/gpt2-dense", .activation = ACTIVATION_RELU},
    {.name = "softplus", .folder = "arch/gpt2-dense", .activation = ACTIVATION_SOFTPLUS},
    {.name = "gelu_erf", .folder = "arch/phi3-dense", .activation = ACTIVATION_GELU_ERF},
    {.name = "sigmoid", .folder = "arch/phi3-dense", .activation = ACTIVATION_SIGMOID},
    {.name = "tanh", .folder = "arch/phi3-dense", .activation = ACTIVATION_TANH},
    {.name = "swiglu_oai", .folder = "arch/phi3-dense", .activation = ACTIVATION_SWIGLU_OAI},
    {.name = "noise", .folder = "arch/gemma3-dense", .neftune_alpha = 5},
};

static const struct variant adapted[] = {
    {.name = "llama", .folder = "arch/llama-dense"},
    {.name = "qwen2", .folder = "arch/qwen2-dense"},
    {.name = "qwen3", .folder = "arch/qwen3-dense"},
    {.name = "gemma2", .folder = "arch/gemma2-dense"},
    {.name = "gemma3", .folder = "arch/gemma3-dense"},
    {.name = "phi3", .folder = "arch/phi3-dense"},
    {.name = "smollm3", .folder = "arch/smollm3-dense"},
    {.name = "granite", .folder = "arch/granite-dense"},
    {.name = "olmo2", .folder = "arch/olmo2-dense"},
    {.name = "gpt2", .folder = "arch/gpt2-dense"},
    {.name = "lfm2", .folder = "arch/lfm2-dense"},
    {.name = "qwen35", .folder = "arch/qwen35-dense"},
    {.name = "qwen35moe", .folder = "arch/qwen35moe-moe"},
    {.name = "qwen3moe", .folder = "arch/qwen3moe-moe"},
    {.name = "olmoe", .folder = "arch/olmoe-moe"},
    {.name = "llama-moe", .folder = "arch/llama-moe"},
    {.name = "lfm2moe", .folder = "arch/lfm2moe-moe"},
    {.name = "gpt-oss", .folder = "arch/gpt-oss-moe"},
    {.name = "granitehybrid", .folder = "arch/granitehybrid-dense"},
    {.name = "nemotron_h", .folder = "arch/nemotron_h-dense"},
    {.name = "softmax routers",
     .folder = "arch/qwen35moe-moe",
     .modules = {"ffn_gate_inp", "ffn_gate_inp_shexp", "attn_output"}},
    {.name = "sigmoid routers", .folder = "arch/lfm2moe-moe", .modules = {"ffn_gate_inp"}},
    {.name = "routers of the chosen", .folder = "arch/gpt-oss-moe", .modules = {"ffn_gate_inp"}},
    {.name = "on q4_k", .folder = "quantmodels/q4_k_m", .whole_ends = true},
    {.name = "on q8_0", .folder = "quantmodels/q8_0"},
    {.name = "on mxfp4", .folder = "quantmodels/mxfp4"},
    {.name = "dropout", .folder = "arch/llama-dense", .dropout = 0.3f},
    {.name = "dropout, noise", .folder = "arch/gpt2-dense", .dropout = 0.1f, .neftune_alpha = 5},
    {.name = "decomposed", .folder = "arch/llama-dense", .decomposed = true},
    {.name = "decomposed, biases",
     .folder = "arch/gpt2-dense",
     .decomposed = true,
     .dropout = 0.1f},
    {.name = "decomposed on q4_k", .folder = "quantmodels/q4_k_m", .decomposed = true},
};

/* Three sequences, one longer than the sliding windows and one of a single token; some rows
 * without a target, and some weights negative. */
struct example {
    int32_t tokens[N_ROWS], targets[N_ROWS];
    float weights[N_ROWS];
    uint32_t starts[4];
    struct train_batch batch;
};

static void fill_example(struct example *e) {
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < N_ROWS; i++) {
        e->tokens[i] = (int32_t)(rng_u64(&rng) % N_VOCAB);
        e->targets[i] = rng_u64(&rng) % 4 == 0 ? -1 : (int32_t)(rng_u64(&rng) % N_VOCAB);
        e->weights[i] = (float)(rng_uniform(&rng) * 1.5 - 0.3);
    }
    memcpy(e->starts, (uint32_t[]){0, 38, 39, N_ROWS}, sizeof e->starts);
    e->batch = (struct train_batch){.n_rows = N_ROWS,
                                    .tokens = e->tokens,
                                    .targets = e->targets,
                                    .row_weights = e->weights,
                                    .starts = e->starts,
                                    .n_sequences = 3,
                                    .number = 77};
}

static void check(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

struct opened {
    struct model model;
    struct device *device;
    struct graph *graph;
    const struct parameter *parameters;
    size_t n;
};

static struct graph_options options_of(const struct variant *variant, enum train_method method,
                                       bool checkpointing) {
    return (struct graph_options){
        .method = method,
        .max_rows = N_ROWS,
        .n_ctx = N_ROWS,
        .checkpointing = checkpointing,
        .exact = true,
        .lora = {.rank = RANK,
                 .alpha = 6,
                 .modules = variant->modules[0] ? variant->modules : NULL,
                 .dropout = method == TRAIN_LORA ? variant->dropout : 0,
                 .decomposed = method == TRAIN_LORA && variant->decomposed},
        .train_embeddings = variant->whole_ends,
        .train_output = variant->whole_ends,
        .neftune_alpha = variant->neftune_alpha,
        .seed = SEED};
}

/* B starts at zero, where A has no gradient. */
static void randomise_b(struct opened *o) {
    hearth_error err = {0};
    struct rng rng;
    rng_seed(&rng, 5);
    for (size_t i = 0; i < o->n; i++) {
        const struct parameter *p = &o->parameters[i];
        const char *dot = strrchr(p->name, '.');
        if (!dot || strcmp(dot, ".lora_b") != 0) continue;
        size_t n = (size_t)p->rows * p->cols;
        float *values = malloc(n * sizeof *values);
        assert_non_null(values);
        for (size_t v = 0; v < n; v++)
            values[v] = 0.1f * rng_normal(&rng);
        check(device_write(o->device, p->value, 0, values, n * sizeof *values, &err), &err);
        free(values);
    }
}

/* Attention sinks, which no dense family of the golden data has. */
static void add_sinks(struct model *model) {
    static const float sinks[] = {0.5f, -1.0f, 1.5f, 0.0f};
    hearth_error err = {0};
    struct directory *dir = &model->directory;
    check(directory_reserve(dir, 1, &err), &err);
    dir->tensors[dir->n_tensors++] = (struct tensor){.name = "blk.1.attn_sinks.weight",
                                                     .type = ELEM_F32,
                                                     .n_dims = 1,
                                                     .dims = {4, 1, 1, 1},
                                                     .data = (const uint8_t *)sinks,
                                                     .size_bytes = sizeof sinks};
    mem_free(dir->index);
    check(directory_index(dir, &err), &err);
}

static void open_graph(struct opened *o, const struct variant *variant,
                       const struct graph_options *options, unsigned n_threads) {
    hearth_error err = {0};
    char name[256];
    *o = (struct opened){0};
    snprintf(name, sizeof name, "%s/model.gguf", variant->folder);
    check(model_open(&o->model, testdata(name), &err), &err);
    if (variant->activation) o->model.config.activation = variant->activation;
    if (variant->sinks) add_sinks(&o->model);
    o->model.config.parallel = variant->parallel;
    if (variant->grouped) o->model.config.delta.grouped = true;
    struct device_options device = {
        .n_threads = n_threads, .max_tokens = N_ROWS, .activations_f32 = true};
    check(device_open_cpu(&o->device, &device, &err), &err);
    check(graph_open(&o->graph, &o->model, o->device, options, &err), &err);
    o->parameters = graph_parameters(o->graph, &o->n);
    randomise_b(o);
}

static void close_graph(struct opened *o) {
    graph_close(o->graph);
    device_close(o->device);
    model_close(&o->model);
}

static float *gradient_of(struct opened *o, const struct parameter *p) {
    hearth_error err = {0};
    size_t bytes = (size_t)p->rows * p->cols * sizeof(float);
    float *values = malloc(bytes);
    assert_non_null(values);
    check(device_read(o->device, p->gradient, 0, values, bytes, &err), &err);
    return values;
}

static double difference(struct plan_reference *reference, double *w, size_t n,
                         const signed char *direction, double h) {
    double sides[2];
    for (int side = 0; side < 2; side++) {
        double step = side ? -h : h;
        for (size_t i = 0; i < n; i++)
            w[i] += step * direction[i];
        sides[side] = plan_reference_loss(reference, NULL);
        for (size_t i = 0; i < n; i++)
            w[i] -= step * direction[i];
    }
    return (double)SCALE * (sides[0] - sides[1]) / (2 * h);
}

/* (v . g - central difference)^2 */
static double squared_error(struct plan_reference *reference, double *w, const float *g, size_t n,
                            const signed char *direction) {
    double along = 0;
    for (size_t i = 0; i < n; i++)
        along += (double)g[i] * direction[i];
    double error = along - difference(reference, w, n, direction, 1e-6);
    return error * error;
}

/* |g - g'| / |g| of a tensor. */
static double tensor_error(struct opened *o, struct plan_reference *reference,
                           const struct parameter *p, struct rng *rng) {
    size_t n = (size_t)p->rows * p->cols;
    float *g = gradient_of(o, p);
    double *w = plan_reference_weight(reference, p->value, n), norm = 0, error = 0, single = 0;
    signed char *direction = calloc(n, 1);
    assert_non_null(direction);
    for (size_t i = 0; i < n; i++)
        norm += (double)g[i] * (double)g[i];
    for (int d = 0; n > SMALL && d < DIRECTIONS; d++) {
        for (size_t i = 0; i < n; i++)
            direction[i] = rng_u64(rng) & 1 ? 1 : -1;
        error += squared_error(reference, w, g, n, direction) / DIRECTIONS;
    }
    for (size_t s = 0; s < (n > SMALL ? SINGLES : n); s++) {
        size_t i = n > SMALL ? rng_u64(rng) % n : s;
        memset(direction, 0, n);
        direction[i] = 1;
        single += squared_error(reference, w, g, n, direction);
    }
    free(direction);
    free(g);
    assert_true(norm > 0);
    return sqrt((single > error ? single : error) / norm);
}

static void check_losses(const struct train_loss *loss, const float *rows, double sum,
                         const double *reference) {
    if (!(fabs(loss->sum - sum) <= 1e-5 * fabs(sum))) fail_msg("%.9g, not %.9g", loss->sum, sum);
    for (int i = 0; i < N_ROWS; i++)
        assert_true(fabs((double)rows[i] - reference[i]) <= 1e-4);
}

static void check_variant(const struct variant *variant, enum train_method method) {
    static struct example example;
    struct opened o;
    struct graph_options options = options_of(variant, method, false);
    hearth_error err = {0};
    struct train_loss loss;
    struct rng rng;
    float rows[N_ROWS];
    double reference_rows[N_ROWS], worst = 0;
    const char *worst_name = "";
    fill_example(&example);
    rng_seed(&rng, 3);
    open_graph(&o, variant, &options, 2);
    check(graph_step(o.graph, &example.batch, SCALE, &loss, rows, &err), &err);
    struct plan_reference *reference = plan_reference_open(
        o.device, graph_model(o.graph), graph_adapter(o.graph), N_ROWS, &example.batch);
    plan_reference_disturb(reference, rng_at(SEED, example.batch.number), options.lora.dropout,
                           options.neftune_alpha);
    check_losses(&loss, rows, plan_reference_loss(reference, reference_rows), reference_rows);
    for (size_t i = 0; i < o.n; i++) {
        double error = tensor_error(&o, reference, &o.parameters[i], &rng);
        if (error > worst) worst = error, worst_name = o.parameters[i].name;
        if (!(error <= TOLERANCE))
            print_message("%s: '%s' is off by %.2g of its norm\n", variant->name,
                          o.parameters[i].name, error);
    }
    print_message("%s, %zu tensors: error at most %.2g (%s)\n", variant->name, o.n, worst,
                  worst_name);
    assert_true(worst <= TOLERANCE);
    plan_reference_close(reference);
    close_graph(&o);
}

static void full_gradients_agree(void **state) {
    check_variant(*state, TRAIN_FULL);
}

static void adapter_gradients_agree(void **state) {
    check_variant(*state, TRAIN_LORA);
}

/* Every gradient after a step, one after the other. */
static float *all_gradients(const struct variant *variant, const struct graph_options *options,
                            unsigned n_threads, size_t *n_floats) {
    static struct example example;
    struct opened o;
    struct train_loss loss;
    hearth_error err = {0};
    float *all = NULL;
    *n_floats = 0;
    fill_example(&example);
    open_graph(&o, variant, options, n_threads);
    check(graph_step(o.graph, &example.batch, SCALE, &loss, NULL, &err), &err);
    for (size_t i = 0; i < o.n; i++) {
        size_t n = (size_t)o.parameters[i].rows * o.parameters[i].cols;
        float *g = gradient_of(&o, &o.parameters[i]);
        all = realloc(all, (*n_floats + n) * sizeof *all);
        assert_non_null(all);
        memcpy(all + *n_floats, g, n * sizeof *g);
        *n_floats += n;
        free(g);
    }
    close_graph(&o);
    return all;
}

/* The same bits with and without checkpointing, with one thread and with three. */
static void compare_variants(const struct variant *variant, enum train_method method, bool exact) {
    size_t n, other_n;
    struct graph_options options = options_of(variant, method, false);
    options.exact = exact;
    float *first = all_gradients(variant, &options, 1, &n);
    for (unsigned i = 1; i < 4; i++) {
        options.checkpointing = i & 1;
        float *other = all_gradients(variant, &options, i & 2 ? 3 : 1, &other_n);
        assert_int_equal(n, other_n);
        assert_memory_equal(first, other, n * sizeof *first);
        free(other);
    }
    free(first);
}

static void gradients_are_one(void **state) {
    for (int method = TRAIN_FULL; method <= TRAIN_LORA; method++) {
        compare_variants(*state, (enum train_method)method, true);
        compare_variants(*state, (enum train_method)method, false);
    }
}

/* Rounding products to bfloat16 moves gradients by little; peaked attention amplifies it. */
static void fast_products_are_close(void **state) {
    size_t n, other_n;
    struct graph_options options = options_of(*state, TRAIN_FULL, false);
    float *exact = all_gradients(*state, &options, 2, &n);
    options.exact = false;
    float *fast = all_gradients(*state, &options, 2, &other_n);
    double error = 0, norm = 0;
    assert_int_equal(n, other_n);
    for (size_t i = 0; i < n; i++) {
        double d = (double)fast[i] - (double)exact[i];
        error += d * d;
        norm += (double)exact[i] * (double)exact[i];
    }
    print_message("%s: off by %.2g\n", ((const struct variant *)*state)->name, sqrt(error / norm));
    assert_true(sqrt(error / norm) < 0.15);
    free(exact);
    free(fast);
}

/* Each sequence alone gives the losses that it has beside others, bit for bit. */
static void sequences_do_not_see_each_other(void **state) {
    static struct example example;
    struct opened o;
    struct graph_options options = options_of(*state, TRAIN_LORA, false);
    struct train_loss loss;
    hearth_error err = {0};
    float together[N_ROWS], alone[N_ROWS];
    fill_example(&example);
    open_graph(&o, *state, &options, 2);
    check(graph_evaluate(o.graph, &example.batch, &loss, together, &err), &err);
    for (uint32_t s = 0; s < 3; s++) {
        uint32_t first = example.starts[s], n = example.starts[s + 1] - first;
        uint32_t starts[2] = {0, n};
        struct train_batch one = {.n_rows = n,
                                  .tokens = example.tokens + first,
                                  .targets = example.targets + first,
                                  .starts = starts,
                                  .n_sequences = 1};
        check(graph_evaluate(o.graph, &one, &loss, alone, &err), &err);
        assert_memory_equal(alone, together + first, n * sizeof *alone);
    }
    close_graph(&o);
}

static void add_tests(struct CMUnitTest *tests, size_t *n, CMUnitTestFunction function,
                      const struct variant *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        tests[(*n)++] =
            (struct CMUnitTest){list[i].name, function, NULL, NULL, (void *)(uintptr_t)&list[i]};
}

enum {
    N_FULL = sizeof variants / sizeof variants[0],
    N_ADAPTED = sizeof adapted / sizeof adapted[0]
};

int main(void) {
    struct CMUnitTest tests[N_FULL + 4 * N_ADAPTED];
    size_t n = 0;
    add_tests(tests, &n, full_gradients_agree, variants, N_FULL);
    add_tests(tests, &n, adapter_gradients_agree, adapted, N_ADAPTED);
    add_tests(tests, &n, gradients_are_one, adapted, N_ADAPTED);
    add_tests(tests, &n, fast_products_are_close, adapted, N_ADAPTED);
    add_tests(tests, &n, sequences_do_not_see_each_other, variants, N_ADAPTED);
    return _cmocka_run_group_tests("train/gradients", tests, n, NULL, NULL);
}
