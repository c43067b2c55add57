/* What a graph promises besides its gradients: that steps against them bring the loss down,
 * that its memory is known before, that bad input is refused and failing allocations leave
 * nothing behind. */
#include "testdata.h"

#include <malloc.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "train/graph.h"

enum { N_ROWS = 24, STEPS = 60 };

struct opened {
    struct model model;
    struct device *device;
    struct graph *graph;
};

static void check(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static struct graph_options plain_options(enum train_method method) {
    return (struct graph_options){.method = method,
                                  .max_rows = N_ROWS,
                                  .exact = true,
                                  .lora = {.rank = 8, .alpha = 16, .rank_stabilised = true}};
}

static void open_device(struct opened *o, const char *folder, uint32_t max_rows) {
    hearth_error err = {0};
    char name[256];
    *o = (struct opened){0};
    snprintf(name, sizeof name, "arch/%s/model.gguf", folder);
    check(model_open(&o->model, testdata(name), &err), &err);
    struct device_options device = {.n_threads = 2, .max_tokens = max_rows};
    check(device_open_cpu(&o->device, &device, &err), &err);
}

static void close_all(struct opened *o) {
    graph_close(o->graph);
    device_close(o->device);
    model_close(&o->model);
}

static void descend(struct opened *o, float rate) {
    hearth_error err = {0};
    size_t n;
    const struct parameter *parameters = graph_parameters(o->graph, &n);
    for (size_t i = 0; i < n; i++) {
        const struct parameter *p = &parameters[i];
        size_t count = (size_t)p->rows * p->cols, bytes = count * sizeof(float);
        float *w = malloc(bytes), *g = malloc(bytes);
        assert_true(w && g);
        check(device_read(o->device, p->value, 0, w, bytes, &err), &err);
        check(device_read(o->device, p->gradient, 0, g, bytes, &err), &err);
        for (size_t v = 0; v < count; v++)
            w[v] -= rate * g[v];
        check(device_write(o->device, p->value, 0, w, bytes, &err), &err);
        free(w);
        free(g);
    }
    graph_clear_gradients(o->graph);
}

/* A sequence to be learnt by heart. */
static struct train_batch one_sequence(void) {
    static int32_t tokens[N_ROWS], targets[N_ROWS];
    static const uint32_t starts[] = {0, N_ROWS};
    for (int i = 0; i < N_ROWS; i++) {
        tokens[i] = i * 37 % 128;
        targets[i] = (i + 1) * 37 % 128;
    }
    return (struct train_batch){
        .n_rows = N_ROWS, .tokens = tokens, .targets = targets, .starts = starts, .n_sequences = 1};
}

static double learn_with(const char *folder, const struct graph_options *options, float rate) {
    struct opened o;
    hearth_error err = {0};
    struct train_batch batch = one_sequence();
    struct train_loss first, base, loss;
    open_device(&o, folder, N_ROWS);
    check(graph_open(&o.graph, &o.model, o.device, options, &err), &err);
    for (int step = 0; step < STEPS; step++) {
        check(graph_step(o.graph, &batch, 1.0f / N_ROWS, step ? &loss : &first, NULL, &err), &err);
        descend(&o, rate);
    }
    check(graph_evaluate(o.graph, &batch, &loss, NULL, &err), &err);
    if (graph_has_base(o.graph)) { /* which is what training began with */
        check(graph_evaluate_base(o.graph, &batch, &base, NULL, &err), &err);
        assert_true(fabs(base.sum - first.sum) <= 1e-5 * first.sum);
    }
    close_all(&o);
    print_message("%s: loss %.3g after %d steps\n", folder, loss.sum / loss.weight, STEPS);
    return loss.sum / loss.weight;
}

static double learn(const char *folder, enum train_method method, float rate) {
    struct graph_options options = plain_options(method);
    return learn_with(folder, &options, rate);
}

static void full_training_learns(void **state) {
    (void)state;
    assert_true(learn("llama-dense", TRAIN_FULL, 0.3f) < 0.05);
    assert_true(learn("gemma3-dense", TRAIN_FULL, 0.1f) < 0.05);
}

static void adapters_learn(void **state) {
    (void)state;
    assert_true(learn("llama-dense", TRAIN_LORA, 0.1f) < 0.1);
    assert_true(learn("qwen35-dense", TRAIN_LORA, 0.1f) < 0.1);
    assert_true(learn("olmoe-moe", TRAIN_LORA, 0.1f) < 0.1);
    assert_true(learn("granitehybrid-dense", TRAIN_LORA, 0.05f) < 0.1);
    struct graph_options decomposed = plain_options(TRAIN_LORA);
    decomposed.lora.decomposed = true;
    assert_true(learn_with("llama-dense", &decomposed, 0.2f) < 0.1);
    decomposed.lora.dropout = 0.05f;
    assert_true(learn_with("gpt2-dense", &decomposed, 0.1f) < 0.1);
}

/* One of attention alone, one with experts and delta nets, one with Mamba-2. */
static const char *const families[] = {"smollm3-dense", "qwen35moe-moe", "granitehybrid-dense"};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static void check_known_memory(const char *family) {
    struct opened o;
    hearth_error err = {0};
    uint64_t needed[2];
    open_device(&o, family, N_ROWS);
    for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
        struct graph_options options = plain_options(TRAIN_LORA);
        options.checkpointing = checkpointing;
        check(graph_bytes(&o.model, &options, &needed[checkpointing], &err), &err);
        uint64_t before = device_allocated_bytes(o.device), adapter = 0;
        check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
        const struct directory *dir = &graph_adapter(o.graph)->directory;
        for (size_t i = 0; i < dir->n_tensors; i++)
            adapter += (dir->tensors[i].size_bytes + 63) / 64 * 64; /* as they are aligned */
        assert_int_equal(device_allocated_bytes(o.device) - before + adapter,
                         needed[checkpointing]);
        graph_close(o.graph);
        o.graph = NULL;
        assert_int_equal(device_allocated_bytes(o.device), before);
    }
    assert_true(needed[1] < needed[0]);
    close_all(&o);
}

static void memory_is_known_before(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FAMILIES; i++)
        check_known_memory(families[i]);
}

/* What the system counts, after a step that touches all of it; the part of the device's scratch
 * memory that the step needs comes on top. */
static void check_taken_memory(const char *family, bool checkpointing) {
    enum { SEQUENCES = 32, LENGTH = 128, ROWS = SEQUENCES * LENGTH };
    static int32_t tokens[ROWS];
    struct opened o;
    hearth_error err = {0};
    uint64_t needed;
    uint32_t starts[SEQUENCES + 1];
    struct train_loss loss;
    struct graph_options options = plain_options(TRAIN_LORA);
    for (uint32_t i = 0; i <= SEQUENCES; i++)
        starts[i] = i * LENGTH;
    struct train_batch batch = {.n_rows = ROWS,
                                .tokens = tokens,
                                .targets = tokens,
                                .starts = starts,
                                .n_sequences = SEQUENCES};
    options.checkpointing = checkpointing;
    options.max_rows = ROWS;
    options.n_ctx = LENGTH;
    mallopt(M_PERTURB, 0); /* an allocator that fills what it gives touches more than the step */
    open_device(&o, family, ROWS);
    uint64_t before = cpu_process_memory().unshared;
    check(graph_bytes(&o.model, &options, &needed, &err), &err);
    check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
    check(graph_step(o.graph, &batch, 1, &loss, NULL, &err), &err);
    double taken = (double)(cpu_process_memory().unshared - before);
    double scratch = (double)device_scratch_bytes(o.device);
    print_message("%.1f MiB were said, %.1f of scratch, %.1f taken\n", (double)needed / (1 << 20),
                  scratch / (1 << 20), taken / (1 << 20));
    if (before)
        assert_true(taken > 0.97 * (double)needed && taken < 1.03 * (double)needed + scratch);
    close_all(&o);
}

static void memory_is_what_was_said(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (int checkpointing = 0; checkpointing < 2; checkpointing++)
            check_taken_memory(families[i], checkpointing);
}

static void modules_are_chosen(void **state) {
    static const char *const some[] = {"attn_q", "ffn_down", NULL}, *const none[] = {"attn_x",
                                                                                     NULL};
    struct opened o;
    hearth_error err = {0};
    size_t n;
    (void)state;
    open_device(&o, "llama-dense", N_ROWS);
    struct graph_options options = plain_options(TRAIN_LORA);
    options.lora.modules = none;
    assert_int_equal(graph_open(&o.graph, &o.model, o.device, &options, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "attn_x"));
    options.lora.modules = some;
    check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
    graph_parameters(o.graph, &n);
    assert_int_equal(n, 2 * 2 * 2);
    close_all(&o);
}

static void refuse_batch(struct opened *o, const struct train_batch *batch) {
    hearth_error err = {0};
    struct train_loss loss;
    assert_int_equal(graph_step(o->graph, batch, 1, &loss, NULL, &err), HEARTH_ERROR_ARGUMENT);
    assert_true(err.message[0]);
}

static void bad_batches_are_refused(void **state) {
    struct opened o;
    hearth_error err = {0};
    int32_t tokens[N_ROWS + 1] = {0}, high[N_ROWS] = {128}, low[N_ROWS] = {-2};
    float weights[N_ROWS] = {0};
    uint32_t good[] = {0, 4, 8}, backwards[] = {0, 8, 4}, empty[] = {0, 0, 8}, late[] = {1, 4, 8};
    uint32_t many[] = {0, N_ROWS + 1};
    struct graph_options options = plain_options(TRAIN_FULL);
    struct train_batch batch = {
        .n_rows = 8, .tokens = tokens, .targets = tokens, .starts = good, .n_sequences = 2};
    struct train_loss loss;
    (void)state;
    open_device(&o, "llama-dense", N_ROWS);
    options.n_ctx = 7;
    check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
    check(graph_step(o.graph, &batch, 1, &loss, NULL, &err), &err);
    const uint32_t *starts[] = {backwards, empty, late};
    for (int i = 0; i < 3; i++) {
        struct train_batch bad = batch;
        bad.starts = starts[i];
        refuse_batch(&o, &bad);
    }
    struct train_batch bad[6] = {batch, batch, batch, batch, batch, batch};
    bad[0].tokens = high;
    bad[1].targets = low;
    bad[2].n_rows = 0;
    bad[3].n_rows = N_ROWS + 1, bad[3].starts = many, bad[3].n_sequences = 1;
    bad[4].starts = (uint32_t[]){0, 8}, bad[4].n_sequences = 1; /* longer than n_ctx */
    weights[3] = 1.0f / 0.0f;
    bad[5].row_weights = weights;
    for (int i = 0; i < 6; i++)
        refuse_batch(&o, &bad[i]);
    close_all(&o);
}

static void rows_without_targets_cost_nothing(void **state) {
    struct opened o;
    hearth_error err = {0};
    int32_t tokens[2] = {1, 2}, targets[2] = {-1, -1};
    uint32_t starts[] = {0, 2};
    struct graph_options options = plain_options(TRAIN_FULL);
    struct train_batch batch = {
        .n_rows = 2, .tokens = tokens, .targets = targets, .starts = starts, .n_sequences = 1};
    struct train_loss loss;
    size_t n;
    (void)state;
    open_device(&o, "llama-dense", N_ROWS);
    check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
    check(graph_step(o.graph, &batch, 1, &loss, NULL, &err), &err);
    assert_true(loss.sum == 0 && loss.weight == 0);
    const struct parameter *p = graph_parameters(o.graph, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)p[i].rows * p[i].cols;
        float *g = malloc(count * sizeof *g);
        assert_non_null(g);
        check(device_read(o.device, p[i].gradient, 0, g, count * sizeof *g, &err), &err);
        for (size_t v = 0; v < count; v++)
            assert_true(g[v] == 0);
        free(g);
    }
    close_all(&o);
}

static double step_loss(struct opened *o, struct train_batch *batch, uint64_t number) {
    hearth_error err = {0};
    struct train_loss loss;
    batch->number = number;
    check(graph_step(o->graph, batch, 1, &loss, NULL, &err), &err);
    return loss.sum;
}

static void noise_follows_from_the_batch(void **state) {
    struct opened o;
    hearth_error err = {0};
    int32_t tokens[N_ROWS] = {5, 9, 70, 3, 31, 4}, targets[N_ROWS] = {9, 70, 3, 31, 4, 8};
    uint32_t starts[] = {0, N_ROWS};
    struct train_batch batch = {
        .n_rows = N_ROWS, .tokens = tokens, .targets = targets, .starts = starts, .n_sequences = 1};
    struct graph_options options = plain_options(TRAIN_LORA);
    struct train_loss plain, loss;
    (void)state;
    open_device(&o, "llama-dense", N_ROWS);
    check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
    check(graph_evaluate(o.graph, &batch, &plain, NULL, &err), &err);
    graph_close(o.graph);
    options.lora.dropout = 0.2f;
    options.neftune_alpha = 10;
    check(graph_open(&o.graph, &o.model, o.device, &options, &err), &err);
    double first = step_loss(&o, &batch, 1), second = step_loss(&o, &batch, 2);
    assert_true(first != second && first != plain.sum);
    assert_true(step_loss(&o, &batch, 1) == first);
    check(graph_evaluate(o.graph, &batch, &loss, NULL, &err), &err);
    assert_true(loss.sum == plain.sum);
    check(graph_evaluate_base(o.graph, &batch, &loss, NULL, &err), &err);
    assert_true(loss.sum == plain.sum);
    close_all(&o);
}

static void refuse_options(struct opened *o, struct graph_options options) {
    hearth_error err = {0};
    assert_int_equal(graph_open(&o->graph, &o->model, o->device, &options, &err),
                     HEARTH_ERROR_ARGUMENT);
}

static void bad_noise_is_refused(void **state) {
    struct opened o;
    struct graph_options options = plain_options(TRAIN_LORA);
    (void)state;
    open_device(&o, "llama-dense", N_ROWS);
    options.lora.dropout = 1;
    refuse_options(&o, options);
    options.lora.dropout = 0.1f;
    options.method = TRAIN_FULL;
    refuse_options(&o, options);
    options.lora.dropout = 0;
    options.lora.decomposed = true;
    refuse_options(&o, options);
    options.lora.decomposed = false;
    options.neftune_alpha = -1;
    refuse_options(&o, options);
    close_all(&o);
}

static void other_models_are_refused(void **state) {
    struct opened o;
    hearth_error err = {0};
    struct graph_options options = plain_options(TRAIN_LORA);
    (void)state;
    open_device(&o, "deepseek2-moe", N_ROWS);
    assert_int_equal(graph_open(&o.graph, &o.model, o.device, &options, &err),
                     HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "cannot be trained"));
    options.lora.rank = 0;
    assert_int_equal(graph_open(&o.graph, &o.model, o.device, &options, &err),
                     HEARTH_ERROR_ARGUMENT);
    close_all(&o);
}

static void check_failing_allocations(const char *family, enum train_method method,
                                      bool decomposed) {
    struct opened o;
    hearth_error err = {0};
    struct graph_options options = plain_options(method);
    open_device(&o, family, N_ROWS);
    uint64_t before = device_allocated_bytes(o.device);
    options.lora.decomposed = decomposed;
    options.checkpointing = true;
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        hearth_status status = graph_open(&o.graph, &o.model, o.device, &options, &err);
        bool over = mem_fail_pending();
        mem_fail_after(0);
        if (status == HEARTH_OK) graph_close(o.graph);
        assert_int_equal(device_allocated_bytes(o.device), before);
        if (over) break;
        assert_true(status == HEARTH_ERROR_NO_MEMORY || status == HEARTH_OK);
    }
    o.graph = NULL;
    close_all(&o);
}

static void allocations_may_fail(void **state) {
    (void)state;
    check_failing_allocations("llama-dense", TRAIN_FULL, false);
    check_failing_allocations("llama-dense", TRAIN_LORA, false);
    check_failing_allocations("llama-dense", TRAIN_LORA, true);
    check_failing_allocations("qwen35moe-moe", TRAIN_LORA, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_training_learns),
        cmocka_unit_test(adapters_learn),
        cmocka_unit_test(memory_is_known_before),
        cmocka_unit_test(memory_is_what_was_said),
        cmocka_unit_test(modules_are_chosen),
        cmocka_unit_test(bad_batches_are_refused),
        cmocka_unit_test(rows_without_targets_cost_nothing),
        cmocka_unit_test(noise_follows_from_the_batch),
        cmocka_unit_test(bad_noise_is_refused),
        cmocka_unit_test(other_models_are_refused),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("train/graph", tests, NULL, NULL);
}
