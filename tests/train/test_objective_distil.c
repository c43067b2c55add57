/* Distillation: what the teacher says, the gradient of the loss against central differences of
 * a double-precision reference, and a model that learns to say the same. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "format/directory.h"
#include "train/objective_distil.h"
#include "train/plan_reference.h"

enum { N_ROWS = 24, N_VOCAB = 128, TOP_K = 8, DIRECTIONS = 2 };

struct example {
    int32_t tokens[N_ROWS], targets[N_ROWS];
    uint32_t starts[3];
    struct train_batch batch;
};

static void fill_example(struct example *e) {
    struct rng rng;
    rng_seed(&rng, 4);
    for (int i = 0; i < N_ROWS; i++) {
        e->tokens[i] = (int32_t)(rng_u64(&rng) % N_VOCAB);
        e->targets[i] = i % 5 == 1 ? -1 : (int32_t)(rng_u64(&rng) % N_VOCAB);
    }
    memcpy(e->starts, (uint32_t[]){0, 9, N_ROWS}, sizeof e->starts);
    e->batch = (struct train_batch){.n_rows = N_ROWS,
                                    .tokens = e->tokens,
                                    .targets = e->targets,
                                    .starts = e->starts,
                                    .n_sequences = 2};
}

static void check(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

struct opened {
    struct model model, teacher;
    struct device *device;
    struct graph *graph;
    struct distil *distil;
    const struct parameter *parameters;
    size_t n;
};

static void open_all(struct opened *o, const char *student, struct distil_options options) {
    hearth_error err = {0};
    char name[256];
    struct graph_options graph = {.method = TRAIN_FULL, .max_rows = N_ROWS, .exact = true};
    struct device_options device = {.n_threads = 2, .max_tokens = N_ROWS, .activations_f32 = true};
    *o = (struct opened){0};
    snprintf(name, sizeof name, "arch/%s/model.gguf", student);
    check(model_open(&o->model, testdata(name), &err), &err);
    check(model_open(&o->teacher, testdata("arch/qwen3-dense/model.gguf"), &err), &err);
    check(device_open_cpu(&o->device, &device, &err), &err);
    check(graph_open(&o->graph, &o->model, o->device, &graph, &err), &err);
    options.teacher = &o->teacher;
    check(distil_open(&o->distil, o->graph, o->device, N_ROWS, N_ROWS, &options, &err), &err);
    o->parameters = graph_parameters(o->graph, &o->n);
}

static void close_all(struct opened *o) {
    distil_close(o->distil);
    graph_close(o->graph);
    device_close(o->device);
    model_close(&o->teacher);
    model_close(&o->model);
}

static float *read_values(struct opened *o, device_buffer buffer, size_t n) {
    hearth_error err = {0};
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    check(device_read(o->device, buffer, 0, values, n * sizeof *values, &err), &err);
    return values;
}

/* ---- the teacher ------------------------------------------------------------------- */

/* Its probabilities are those that training would give the same model. */
static void the_teacher_says_what_it_is(void **state) {
    struct opened o;
    struct example e;
    struct graph *teacher;
    struct graph_options options = {.method = TRAIN_FULL, .max_rows = N_ROWS, .exact = true};
    const struct soft_targets *soft;
    struct train_loss loss;
    float losses[N_ROWS];
    hearth_error err = {0};
    (void)state;
    fill_example(&e);
    open_all(&o, "llama-dense",
             (struct distil_options){.top_k = 4000, .temperature = 1, .share = 1});
    check(graph_open(&teacher, &o.teacher, o.device, &options, &err), &err);
    check(distil_ask(o.distil, &e.batch, &soft, &err), &err);
    assert_int_equal(soft->k, N_VOCAB); /* no more than there are */
    for (uint32_t place = 0; place < N_VOCAB; place += 41) {
        size_t row = 0;
        int32_t targets[N_ROWS];
        for (int i = 0; i < N_ROWS; i++)
            targets[i] = e.targets[i] < 0 ? -1 : soft->tokens[row++ * N_VOCAB + place];
        struct train_batch asked = e.batch;
        asked.targets = targets;
        check(graph_evaluate(teacher, &asked, &loss, losses, &err), &err);
        row = 0;
        for (int i = 0; i < N_ROWS; i++) {
            if (targets[i] < 0) continue;
            double p = (double)soft->probabilities[row++ * N_VOCAB + place];
            assert_true(fabs(log(p) + (double)losses[i]) < 0.02);
        }
    }
    graph_close(teacher);
    close_all(&o);
}

static void the_likeliest_come_first(void **state) {
    struct opened o;
    struct example e;
    const struct soft_targets *soft;
    hearth_error err = {0};
    size_t row = 0;
    (void)state;
    fill_example(&e);
    open_all(&o, "llama-dense",
             (struct distil_options){.top_k = TOP_K, .temperature = 2, .share = 1});
    check(distil_ask(o.distil, &e.batch, &soft, &err), &err);
    for (int i = 0; i < N_ROWS; i++) {
        double sum = 0;
        if (e.targets[i] < 0) continue;
        const float *p = soft->probabilities + row++ * TOP_K;
        for (int j = 0; j < TOP_K; j++) {
            sum += (double)p[j];
            assert_true(j == 0 || p[j] <= p[j - 1]);
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
    close_all(&o);
}

/* ---- the gradient -------------------------------------------------------------------- */

/* v . g and the central difference along v, for random signs v. */
static void check_tensor(struct opened *o, struct plan_reference *reference,
                         const struct parameter *p, struct rng *rng) {
    size_t n = (size_t)p->rows * p->cols;
    float *g = read_values(o, p->gradient, n);
    double *w = plan_reference_weight(reference, p->value, n), norm = 0, error = 0;
    double *kept = malloc(n * sizeof *kept);
    signed char *v = malloc(n);
    assert_true(kept && v);
    memcpy(kept, w, n * sizeof *w);
    for (size_t i = 0; i < n; i++)
        norm += (double)g[i] * (double)g[i];
    for (int d = 0; d < DIRECTIONS; d++) {
        const double h = 1e-6;
        double along = 0, sides[2];
        for (size_t i = 0; i < n; i++) {
            v[i] = rng_u64(rng) & 1 ? 1 : -1;
            along += (double)g[i] * v[i];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < n; i++)
                w[i] = kept[i] + (side ? -h : h) * v[i];
            sides[side] = plan_reference_loss(reference, NULL);
        }
        memcpy(w, kept, n * sizeof *w);
        error += pow(along - (sides[0] - sides[1]) / (2 * h), 2) / DIRECTIONS;
    }
    free(kept);
    free(v);
    free(g);
    assert_true(norm > 0);
    if (!(sqrt(error / norm) <= 1e-4))
        fail_msg("'%s' is off by %.2g of its norm", p->name, sqrt(error / norm));
}

static void check_gradient(const char *student, const struct distil_options *options) {
    static struct example e;
    struct opened o;
    struct train_loss loss = {0};
    const struct soft_targets *soft;
    struct rng rng;
    hearth_error err = {0};
    rng_seed(&rng, 12);
    fill_example(&e);
    open_all(&o, student, *options);
    struct objective objective = distil_objective(o.distil);
    check(objective.step(objective.context, &e.batch, &loss, &err), &err);
    check(distil_ask(o.distil, &e.batch, &soft, &err), &err);
    struct plan_reference *reference =
        plan_reference_open(o.device, graph_model(o.graph), NULL, N_ROWS, &e.batch);
    plan_reference_teach(reference, soft);
    double expected = plan_reference_loss(reference, NULL);
    assert_true(fabs(loss.sum - expected) <= 1e-4 * fabs(expected));
    for (size_t i = 0; i < o.n; i++)
        check_tensor(&o, reference, &o.parameters[i], &rng);
    plan_reference_close(reference);
    close_all(&o);
}

static void gradients_agree(void **state) {
    const struct distil_options mixed = {.top_k = TOP_K, .temperature = 2, .share = 0.3f};
    const struct distil_options teacher_only = {.top_k = TOP_K, .temperature = 1, .share = 1};
    (void)state;
    check_gradient("llama-dense", &mixed);
    check_gradient("llama-dense", &teacher_only);
    check_gradient("gemma2-dense", &mixed); /* its logits are capped */
}

/* ---- runs ------------------------------------------------------------------------------ */

static void descend(struct opened *o, float rate) {
    hearth_error err = {0};
    for (size_t i = 0; i < o->n; i++) {
        const struct parameter *p = &o->parameters[i];
        size_t n = (size_t)p->rows * p->cols;
        float *w = read_values(o, p->value, n), *g = read_values(o, p->gradient, n);
        for (size_t v = 0; v < n; v++)
            w[v] -= rate * g[v];
        check(device_write(o->device, p->value, 0, w, n * sizeof *w, &err), &err);
        free(w);
        free(g);
    }
    graph_clear_gradients(o->graph);
}

static void the_student_comes_nearer(void **state) {
    struct opened o;
    struct example e;
    struct train_loss first = {0}, last = {0};
    hearth_error err = {0};
    (void)state;
    fill_example(&e);
    open_all(&o, "llama-dense",
             (struct distil_options){.top_k = TOP_K, .temperature = 1, .share = 1});
    struct objective objective = distil_objective(o.distil);
    check(objective.step(objective.context, &e.batch, &first, &err), &err);
    for (int step = 0; step < 60; step++) {
        last = (struct train_loss){0};
        descend(&o, 0.3f / N_ROWS);
        check(objective.step(objective.context, &e.batch, &last, &err), &err);
    }
    print_message("divergence %.3g, at first %.3g\n", last.sum / last.weight,
                  first.sum / first.weight);
    assert_true(last.sum < 0.1 * first.sum);
    close_all(&o);
}

/* ---- bad input -------------------------------------------------------------------------- */

static void bad_options_are_refused(void **state) {
    static const struct distil_options bad[] = {
        {.top_k = 0, .temperature = 1, .share = 1},
        {.top_k = 5000, .temperature = 1, .share = 1},
        {.top_k = 4, .temperature = 0, .share = 1},
        {.top_k = 4, .temperature = NAN, .share = 1},
        {.top_k = 4, .temperature = 1, .share = 1.1f},
        {.top_k = 4, .temperature = 1, .share = -1},
    };
    struct distil *distil;
    hearth_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(distil_open(&distil, NULL, NULL, N_ROWS, N_ROWS, &bad[i], &err),
                         HEARTH_ERROR_ARGUMENT);
}

static void open_vocabulary(struct directory *dir, struct tokenizer **tokenizer, const char *name) {
    hearth_error err = {0};
    char path[256];
    snprintf(path, sizeof path, "tokenizers/%s/vocab.gguf", name);
    check(gguf_open(dir, testdata(path), &err), &err);
    check(tokenizer_open(tokenizer, &dir->metadata, &err), &err);
}

static void other_vocabularies_are_refused(void **state) {
    struct directory a, b;
    struct tokenizer *one, *other;
    hearth_error err = {0};
    (void)state;
    open_vocabulary(&a, &one, "gpt-2");
    open_vocabulary(&b, &other, "llama-bpe");
    check(distil_check_vocabulary(one, one, &err), &err);
    assert_int_equal(distil_check_vocabulary(one, other, &err), HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "vocabulary"));
    tokenizer_close(one);
    tokenizer_close(other);
    directory_close(&a);
    directory_close(&b);
}

static void allocations_may_fail(void **state) {
    struct opened o;
    struct distil_options options = {.top_k = TOP_K, .temperature = 1, .share = 1};
    hearth_error err = {0};
    (void)state;
    open_all(&o, "llama-dense", options);
    uint64_t before = device_allocated_bytes(o.device);
    options.teacher = &o.teacher;
    for (uint64_t n = 1;; n++) {
        struct distil *distil;
        mem_fail_after(n);
        hearth_status status =
            distil_open(&distil, o.graph, o.device, N_ROWS, N_ROWS, &options, &err);
        bool over = mem_fail_pending();
        mem_fail_after(0);
        distil_close(distil);
        assert_int_equal(device_allocated_bytes(o.device), before);
        if (over) break;
        assert_true(status == HEARTH_ERROR_NO_MEMORY || status == HEARTH_OK);
    }
    close_all(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_teacher_says_what_it_is),
        cmocka_unit_test(the_likeliest_come_first),
        cmocka_unit_test(gradients_agree),
        cmocka_unit_test(the_student_comes_nearer),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(other_vocabularies_are_refused),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("train/objective_distil", tests, NULL, NULL);
}
