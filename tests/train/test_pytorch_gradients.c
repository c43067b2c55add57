/* Gradients of whole models against PyTorch's autograd in double precision; how the expected
 * values were made is told in reference/README.md. */
#include "testdata.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "train/graph.h"

#define TOLERANCE 1e-4 /* |g - g'| / |g'| of a tensor */

enum { N_TOKENS = 96, N_SEQUENCES = 3, DIRECTIONS = 64, WHOLE = 256 };

/* As in reference/make_gradients.py. */
static const uint32_t boundaries[N_SEQUENCES + 1] = {0, 55, 64, N_TOKENS};

struct packed {
    int32_t tokens[N_TOKENS], targets[N_TOKENS];
    uint32_t starts[N_SEQUENCES + 1];
    struct train_batch batch;
};

struct expected {
    char name[64];
    size_t n_values, n_written;
    double norm;
    double written[WHOLE]; /* every value, or the sums along DIRECTIONS vectors of signs */
};

struct opened {
    struct model model;
    struct device *device;
    struct graph *graph;
};

static void check(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static FILE *open_text(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("cannot open '%s'", path);
    return file;
}

static void pack(struct packed *p, const char *tokens_path) {
    int32_t tokens[N_TOKENS];
    FILE *file = open_text(tokens_path);
    for (int i = 0; i < N_TOKENS; i++)
        assert_int_equal(fscanf(file, "%" SCNd32, &tokens[i]), 1);
    fclose(file);
    *p = (struct packed){0};
    p->batch =
        (struct train_batch){.tokens = p->tokens, .targets = p->targets, .starts = p->starts};
    for (uint32_t s = 0; s < N_SEQUENCES; s++) {
        for (uint32_t i = boundaries[s]; i + 1 < boundaries[s + 1]; i++, p->batch.n_rows++) {
            p->tokens[p->batch.n_rows] = tokens[i];
            p->targets[p->batch.n_rows] = tokens[i + 1];
        }
        p->starts[++p->batch.n_sequences] = p->batch.n_rows;
    }
}

static void open_graph(struct opened *o, const char *model_path, uint32_t max_rows) {
    hearth_error err = {0};
    struct device_options device = {.n_threads = 2, .max_tokens = max_rows};
    struct graph_options options = {.method = TRAIN_FULL, .max_rows = max_rows, .exact = true};
    *o = (struct opened){0};
    check(model_open(&o->model, model_path, &err), &err);
    check(device_open_cpu(&o->device, &device, &err), &err);
    check(graph_open(&o->graph, &o->model, o->device, &options, &err), &err);
}

static void close_graph(struct opened *o) {
    graph_close(o->graph);
    device_close(o->device);
    model_close(&o->model);
}

static void read_expected(FILE *file, struct expected *e) {
    assert_int_equal(
        fscanf(file, "%63s %zu %zu %lf", e->name, &e->n_values, &e->n_written, &e->norm), 4);
    assert_int_equal(e->n_written, e->n_values <= WHOLE ? e->n_values : DIRECTIONS);
    for (size_t i = 0; i < e->n_written; i++)
        assert_int_equal(fscanf(file, "%lf", &e->written[i]), 1);
}

/* Output i of splitmix64 from state 0: bit d is the sign of value i of vector d. */
static uint64_t signs(uint64_t i) {
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void project(const float *g, size_t n, double sums[DIRECTIONS]) {
    memset(sums, 0, DIRECTIONS * sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        uint64_t word = signs(i);
        for (int d = 0; d < DIRECTIONS; d++)
            sums[d] += word >> d & 1 ? (double)g[i] : -(double)g[i];
    }
}

/* |g - g'| / |g'|. The mean of (v . (g - g'))^2 over vectors v of random signs is |g - g'|^2. */
static double relative_error(const float *g, const struct expected *e) {
    double sums[DIRECTIONS], squares = 0;
    bool whole = e->n_values <= WHOLE;
    if (!whole) project(g, e->n_values, sums);
    for (size_t i = 0; i < e->n_written; i++) {
        double difference = (whole ? (double)g[i] : sums[i]) - e->written[i];
        squares += difference * difference;
    }
    return sqrt(whole ? squares : squares / DIRECTIONS) / e->norm;
}

static const struct parameter *find(const struct opened *o, const char *name) {
    size_t n;
    const struct parameter *parameters = graph_parameters(o->graph, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(parameters[i].name, name) == 0) return &parameters[i];
    fail_msg("'%s' is not trained", name);
    return NULL;
}

static double tensor_error(const struct opened *o, const struct expected *e) {
    hearth_error err = {0};
    const struct parameter *p = find(o, e->name);
    assert_int_equal((size_t)p->rows * p->cols, e->n_values);
    float *g = malloc(e->n_values * sizeof *g);
    assert_non_null(g);
    check(device_read(o->device, p->gradient, 0, g, e->n_values * sizeof *g, &err), &err);
    double error = relative_error(g, e);
    free(g);
    if (!(error <= TOLERANCE)) print_message("'%s' is off by %.2g of its norm\n", e->name, error);
    return error;
}

static void compare(const struct opened *o, const char *family, FILE *file, double mean_loss) {
    struct expected expected;
    double loss, worst = 0;
    size_t n, n_off = 0;
    graph_parameters(o->graph, &n);
    assert_int_equal(fscanf(file, "loss %lf", &loss), 1);
    if (!(fabs(mean_loss - loss) <= 1e-5 * loss)) fail_msg("loss %.9g, not %.9g", mean_loss, loss);
    for (size_t i = 0; i < n; i++) {
        read_expected(file, &expected);
        double error = tensor_error(o, &expected);
        worst = fmax(worst, error);
        n_off += !(error <= TOLERANCE);
    }
    assert_int_equal(fscanf(file, "%1s", expected.name), EOF); /* all have been compared */
    print_message("%s, %zu tensors: error at most %.2g\n", family, n, worst);
    assert_int_equal(n_off, 0);
}

static void gradients_agree(void **state) {
    const char *family = *state, *source = getenv("HEARTH_SOURCE_ROOT");
    char name[256], fixture[4096];
    struct packed packed;
    struct opened o;
    struct train_loss loss;
    hearth_error err = {0};
    snprintf(name, sizeof name, "arch/%s-dense/tokens.txt", family);
    pack(&packed, testdata(name));
    snprintf(name, sizeof name, "arch/%s-dense/model.gguf", family);
    open_graph(&o, testdata(name), packed.batch.n_rows);
    check(graph_step(o.graph, &packed.batch, 1.0f / (float)packed.batch.n_rows, &loss, NULL, &err),
          &err);
    snprintf(fixture, sizeof fixture, "%s/tests/train/reference/gradients-%s.txt",
             source ? source : ".", family);
    FILE *file = open_text(fixture);
    compare(&o, family, file, loss.sum / loss.weight);
    fclose(file);
    close_graph(&o);
}

int main(void) {
    static char llama[] = "llama", qwen3[] = "qwen3", gemma3[] = "gemma3";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(gradients_agree, llama),
        cmocka_unit_test_prestate(gradients_agree, qwen3),
        cmocka_unit_test_prestate(gradients_agree, gemma3),
    };
    return cmocka_run_group_tests_name("train/pytorch_gradients", tests, NULL, NULL);
}
