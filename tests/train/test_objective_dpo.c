/* Preference optimisation: the gradient of the whole loss against central differences of a
 * double-precision reference, the two ways to the reference model, and a small run. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/objective_dpo.h"
#include "train/plan_reference.h"

enum { N_ROWS = 32, N_VOCAB = 128, N_PAIRS = 2, RANK = 4, DIRECTIONS = 2 };

/* Two pairs that share their prompts; the answers differ in length. */
struct pairs {
    int32_t tokens[N_ROWS], targets[N_ROWS];
    uint32_t starts[2 * N_PAIRS + 1];
    struct train_batch batch;
};

static void fill_pairs(struct pairs *p) {
    static const uint32_t starts[] = {0, 7, 16, 22, N_ROWS};
    struct rng rng;
    enum { PROMPT = 3 };
    rng_seed(&rng, 21);
    memcpy(p->starts, starts, sizeof starts);
    for (uint32_t s = 0; s < 2 * N_PAIRS; s++)
        for (uint32_t row = starts[s]; row < starts[s + 1]; row++) {
            bool shared = row - starts[s] < PROMPT && s % 2 == 1;
            p->tokens[row] = shared ? p->tokens[starts[s - 1] + row - starts[s]]
                                    : (int32_t)(rng_u64(&rng) % N_VOCAB);
            p->targets[row] =
                row - starts[s] < PROMPT - 1 ? -1 : (int32_t)(rng_u64(&rng) % N_VOCAB);
        }
    p->batch = (struct train_batch){.n_rows = N_ROWS,
                                    .tokens = p->tokens,
                                    .targets = p->targets,
                                    .starts = p->starts,
                                    .n_sequences = 2 * N_PAIRS};
}

static void check(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

struct opened {
    struct model model;
    struct device *device;
    struct graph *graph;
    struct dpo *dpo;
    const struct parameter *parameters;
    size_t n;
};

static void open_all(struct opened *o, enum train_method method, const struct dpo_options *dpo) {
    hearth_error err = {0};
    struct graph_options options = {.method = method,
                                    .max_rows = N_ROWS,
                                    .exact = true,
                                    .lora = {.rank = RANK, .alpha = 8},
                                    .seed = 3};
    struct device_options device = {.n_threads = 2, .max_tokens = N_ROWS, .activations_f32 = true};
    *o = (struct opened){0};
    check(model_open(&o->model, testdata("arch/llama-dense/model.gguf"), &err), &err);
    check(device_open_cpu(&o->device, &device, &err), &err);
    check(graph_open(&o->graph, &o->model, o->device, &options, &err), &err);
    check(dpo_open(&o->dpo, o->graph, N_ROWS, dpo, &err), &err);
    o->parameters = graph_parameters(o->graph, &o->n);
}

static void close_all(struct opened *o) {
    dpo_close(o->dpo);
    graph_close(o->graph);
    device_close(o->device);
    model_close(&o->model);
}

static size_t values_of(const struct parameter *p) {
    return (size_t)p->rows * p->cols;
}

static float *read_values(struct opened *o, device_buffer buffer, size_t n) {
    hearth_error err = {0};
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    check(device_read(o->device, buffer, 0, values, n * sizeof *values, &err), &err);
    return values;
}

/* Adds noise to every parameter, so that the policy is not the reference. */
static void disturb(struct opened *o, float size) {
    hearth_error err = {0};
    struct rng rng;
    rng_seed(&rng, 9);
    for (size_t i = 0; i < o->n; i++) {
        size_t n = values_of(&o->parameters[i]);
        float *values = read_values(o, o->parameters[i].value, n);
        for (size_t v = 0; v < n; v++)
            values[v] += size * rng_normal(&rng);
        check(device_write(o->device, o->parameters[i].value, 0, values, n * sizeof *values, &err),
              &err);
        free(values);
    }
}

/* ---- the gradient ---------------------------------------------------------------- */

struct sides {
    double loss[2 * N_PAIRS], n_tokens[2 * N_PAIRS];
};

static struct sides sum_sides(const struct pairs *p, const double *row_losses) {
    struct sides sides = {0};
    for (uint32_t s = 0; s < 2 * N_PAIRS; s++)
        for (uint32_t row = p->starts[s]; row < p->starts[s + 1]; row++) {
            if (p->targets[row] < 0) continue;
            sides.loss[s] += row_losses[row];
            sides.n_tokens[s] += 1;
        }
    return sides;
}

/* The paper's loss, from log-probabilities as they stand in it. */
static double formula(const struct dpo_options *o, const struct sides *policy,
                      const struct sides *reference) {
    double sum = 0, e = (double)o->label_smoothing;
    for (int pair = 0; pair < N_PAIRS; pair++) {
        double ratio[2];
        for (int side = 0; side < 2; side++) {
            int s = 2 * pair + side;
            ratio[side] = -policy->loss[s] + reference->loss[s];
            if (o->length_normalised) ratio[side] /= policy->n_tokens[s];
        }
        double z = (double)o->beta * (ratio[0] - ratio[1]);
        sum -= (1 - e) * log(1 / (1 + exp(-z))) + e * log(1 / (1 + exp(z)));
        sum += (double)o->sft_weight * policy->loss[2 * pair] / policy->n_tokens[2 * pair];
    }
    return sum;
}

struct measured {
    struct plan_reference *reference;
    const struct pairs *pairs;
    const struct dpo_options *options;
    struct sides base;
};

static double loss_now(const struct measured *m) {
    double rows[N_ROWS];
    plan_reference_loss(m->reference, rows);
    struct sides policy = sum_sides(m->pairs, rows);
    return formula(m->options, &policy, &m->base);
}

/* v . g and the central difference along v, for random signs v. */
static void check_tensor(struct opened *o, const struct measured *m, const struct parameter *p,
                         struct rng *rng) {
    size_t n = values_of(p);
    float *g = read_values(o, p->gradient, n);
    double *w = plan_reference_weight(m->reference, p->value, n), norm = 0, error = 0;
    for (size_t i = 0; i < n; i++)
        norm += (double)g[i] * (double)g[i];
    for (int d = 0; d < DIRECTIONS; d++) {
        const double h = 1e-6;
        double along = 0, sides[2], *kept = malloc(n * sizeof *kept);
        signed char *v = malloc(n);
        assert_true(kept && v);
        memcpy(kept, w, n * sizeof *w);
        for (size_t i = 0; i < n; i++) {
            v[i] = rng_u64(rng) & 1 ? 1 : -1;
            along += (double)g[i] * v[i];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < n; i++)
                w[i] = kept[i] + (side ? -h : h) * v[i];
            sides[side] = loss_now(m);
        }
        memcpy(w, kept, n * sizeof *w);
        error += pow(along - (sides[0] - sides[1]) / (2 * h), 2) / DIRECTIONS;
        free(kept);
        free(v);
    }
    free(g);
    assert_true(norm > 0);
    if (!(sqrt(error / norm) <= 1e-4))
        fail_msg("'%s' is off by %.2g of its norm", p->name, sqrt(error / norm));
}

static void measure_base(struct measured *m, struct opened *o) {
    double rows[N_ROWS];
    struct plan_reference *base =
        plan_reference_open(o->device, &o->model, NULL, N_ROWS, &m->pairs->batch);
    plan_reference_loss(base, rows);
    m->base = sum_sides(m->pairs, rows);
    plan_reference_close(base);
}

static void check_gradient(enum train_method method, const struct dpo_options *options) {
    static struct pairs pairs;
    struct opened o;
    struct measured m = {.pairs = &pairs, .options = options};
    struct train_loss loss = {0};
    struct rng rng;
    hearth_error err = {0};
    rng_seed(&rng, 17);
    fill_pairs(&pairs);
    open_all(&o, method, options);
    if (dpo_needs_memory(o.dpo)) check(dpo_remember(o.dpo, &pairs.batch, &err), &err);
    disturb(&o, 0.05f);
    struct objective objective = dpo_objective(o.dpo);
    check(objective.step(objective.context, &pairs.batch, &loss, &err), &err);
    measure_base(&m, &o);
    m.reference = plan_reference_open(o.device, graph_model(o.graph), graph_adapter(o.graph),
                                      N_ROWS, &pairs.batch);
    double expected = loss_now(&m);
    assert_true(fabs(loss.sum - expected) <= 1e-4 * fabs(expected));
    assert_true(loss.weight == N_PAIRS);
    for (size_t i = 0; i < o.n; i++)
        check_tensor(&o, &m, &o.parameters[i], &rng);
    plan_reference_close(m.reference);
    close_all(&o);
}

static const struct dpo_options plain = {.beta = 0.1f};
static const struct dpo_options all = {
    .beta = 0.4f, .label_smoothing = 0.1f, .length_normalised = true, .sft_weight = 0.7f};

static void adapter_gradients_agree(void **state) {
    (void)state;
    check_gradient(TRAIN_LORA, &plain);
    check_gradient(TRAIN_LORA, &all);
}

static void full_gradients_agree(void **state) {
    (void)state;
    check_gradient(TRAIN_FULL, &all);
}

/* ---- runs -------------------------------------------------------------------------- */

static void descend(struct opened *o, float rate) {
    hearth_error err = {0};
    for (size_t i = 0; i < o->n; i++) {
        const struct parameter *p = &o->parameters[i];
        size_t n = values_of(p);
        float *w = read_values(o, p->value, n), *g = read_values(o, p->gradient, n);
        for (size_t v = 0; v < n; v++)
            w[v] -= rate * g[v];
        check(device_write(o->device, p->value, 0, w, n * sizeof *w, &err), &err);
        free(w);
        free(g);
    }
    graph_clear_gradients(o->graph);
}

static struct train_loss judge(struct opened *o, const struct train_batch *batch) {
    struct objective objective = dpo_objective(o->dpo);
    struct train_loss loss = {0};
    hearth_error err = {0};
    check(objective.evaluate(objective.context, batch, &loss, &err), &err);
    return loss;
}

static void margins_grow(void **state) {
    struct opened o;
    struct pairs pairs;
    hearth_error err = {0};
    (void)state;
    fill_pairs(&pairs);
    for (int method = TRAIN_FULL; method <= TRAIN_LORA; method++) {
        open_all(&o, (enum train_method)method, &plain);
        if (dpo_needs_memory(o.dpo)) check(dpo_remember(o.dpo, &pairs.batch, &err), &err);
        struct objective objective = dpo_objective(o.dpo);
        struct train_loss first = judge(&o, &pairs.batch);
        assert_true(fabs(first.margin) < 1e-3);
        assert_true(fabs(first.sum / first.weight - log(2)) < 1e-3);
        for (int step = 0; step < 30; step++) {
            struct train_loss loss = {0};
            check(objective.step(objective.context, &pairs.batch, &loss, &err), &err);
            descend(&o, 0.3f);
        }
        struct train_loss last = judge(&o, &pairs.batch);
        print_message("margin %.3g, loss %.3g\n", last.margin / last.weight,
                      last.sum / last.weight);
        assert_true(last.margin / last.weight > 1);
        assert_true(last.correct == N_PAIRS);
        close_all(&o);
    }
}

static void the_model_is_there_without_its_adapter(void **state) {
    struct opened o;
    struct pairs pairs;
    struct train_loss before, without, with;
    float rows[N_ROWS], again[N_ROWS];
    hearth_error err = {0};
    (void)state;
    fill_pairs(&pairs);
    open_all(&o, TRAIN_LORA, &plain); /* B is zero */
    check(graph_evaluate(o.graph, &pairs.batch, &before, rows, &err), &err);
    disturb(&o, 0.1f);
    check(graph_evaluate_base(o.graph, &pairs.batch, &without, again, &err), &err);
    check(graph_evaluate(o.graph, &pairs.batch, &with, NULL, &err), &err);
    assert_memory_equal(rows, again, sizeof rows);
    assert_true(fabs(with.sum - without.sum) > 1e-3);
    close_all(&o);
    open_all(&o, TRAIN_FULL, &plain);
    assert_int_equal(graph_evaluate_base(o.graph, &pairs.batch, &without, NULL, &err),
                     HEARTH_ERROR_ARGUMENT);
    close_all(&o);
}

/* ---- bad input ---------------------------------------------------------------------- */

static void bad_batches_are_refused(void **state) {
    struct opened o;
    struct pairs pairs;
    struct train_loss loss = {0};
    hearth_error err = {0};
    (void)state;
    fill_pairs(&pairs);
    open_all(&o, TRAIN_FULL, &plain);
    struct objective objective = dpo_objective(o.dpo);
    assert_int_equal(objective.step(objective.context, &pairs.batch, &loss, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "before training"));
    pairs.batch.n_sequences = 3;
    pairs.batch.n_rows = pairs.starts[3];
    assert_int_equal(dpo_remember(o.dpo, &pairs.batch, &err), HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "3 sequences"));
    close_all(&o);
}

static void bad_options_are_refused(void **state) {
    static const struct dpo_options bad[] = {
        {.beta = 0},
        {.beta = NAN},
        {.beta = 0.1f, .label_smoothing = 0.5f},
        {.beta = 0.1f, .label_smoothing = -0.1f},
        {.beta = 0.1f, .sft_weight = -1},
        {.beta = 0.1f, .sft_weight = INFINITY},
    };
    struct dpo *dpo;
    hearth_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(dpo_open(&dpo, NULL, N_ROWS, &bad[i], &err), HEARTH_ERROR_ARGUMENT);
}

static void allocations_may_fail(void **state) {
    struct opened o;
    struct pairs pairs;
    hearth_error err = {0};
    (void)state;
    fill_pairs(&pairs);
    open_all(&o, TRAIN_FULL, &plain);
    for (uint64_t n = 1;; n++) {
        struct dpo *dpo;
        mem_fail_after(n);
        hearth_status status = dpo_open(&dpo, o.graph, N_ROWS, &plain, &err);
        if (status == HEARTH_OK) status = dpo_remember(dpo, &pairs.batch, &err);
        bool over = mem_fail_pending();
        mem_fail_after(0);
        dpo_close(dpo);
        if (over) break;
        assert_int_equal(status, HEARTH_ERROR_NO_MEMORY);
    }
    close_all(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapter_gradients_agree),
        cmocka_unit_test(full_gradients_agree),
        cmocka_unit_test(margins_grow),
        cmocka_unit_test(the_model_is_there_without_its_adapter),
        cmocka_unit_test(bad_batches_are_refused),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("train/objective_dpo", tests, NULL, NULL);
}
