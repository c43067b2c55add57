/* Measuring importance: every token is counted once, in every expert it went to; sums
 * are what the layers got and do not depend on the threads. */
#include "format/scratch.h"

#include <math.h>

#include "format/imatrix.h"
#include "infer/importance.h"
#include "model/synth.h"

enum { N = 40 };

static void make_model(const char *name, const char *shape_name) {
    const struct shape *shape;
    hearth_error err = {0};
    assert_int_equal(shape_find(&shape, shape_name, NULL), HEARTH_OK);
    struct shape tiny = shape_tiny(shape);
    struct synth_options synth = {
        .shape = &tiny, .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}};
    assert_int_equal(quant_recipe_find(&synth.quant.recipe, "F32", NULL), HEARTH_OK);
    assert_ok(synth_write(scratch(name), &synth, &err), &err);
}

static void measure(const char *model_name, const char *out, unsigned n_threads,
                    uint32_t max_batch) {
    struct model model;
    struct context *context;
    struct importance *importance;
    struct context_options options = context_defaults();
    int32_t tokens[N];
    hearth_error err = {0};
    options.n_threads = n_threads;
    options.n_ctx = 64;
    options.max_batch = max_batch;
    for (int i = 0; i < N; i++)
        tokens[i] = i * 7 % 300;
    assert_ok(model_open(&model, scratch(model_name), &err), &err);
    assert_ok(context_open(&context, &model, &options, &err), &err);
    assert_ok(importance_open(&importance, context, false, &err), &err);
    struct context_part part = {.tokens = tokens, .n_tokens = N};
    assert_ok(context_decode(context, &part, 1, NULL, &err), &err);
    assert_ok(importance_write(importance, scratch(out), "test", 1, N, &err), &err);
    importance_close(importance);
    assert_ok(context_decode(context, &part, 0, NULL, &err), &err); /* unwatched again */
    context_close(context);
    model_close(&model);
}

static void threads_do_not_matter(void **state) {
    struct directory a, b;
    hearth_error err = {0};
    (void)state;
    make_model("moe.gguf", "olmoe-1b-7b");
    measure("moe.gguf", "1.gguf", 1, 16);
    measure("moe.gguf", "3.gguf", 3, 16);
    assert_ok(gguf_open(&a, scratch("1.gguf"), &err), &err);
    assert_ok(gguf_open(&b, scratch("3.gguf"), &err), &err);
    assert_same_tensors(&a, &b);
    directory_close(&a);
    directory_close(&b);
}

/* Rows of expert layers are in another order in every batch. */
static void batches_do_not_matter(void **state) {
    struct directory a, b;
    hearth_error err = {0};
    (void)state;
    make_model("moe.gguf", "olmoe-1b-7b");
    measure("moe.gguf", "16.gguf", 1, 16);
    measure("moe.gguf", "1.gguf", 1, 1);
    assert_ok(gguf_open(&a, scratch("16.gguf"), &err), &err);
    assert_ok(gguf_open(&b, scratch("1.gguf"), &err), &err);
    assert_same_tensors(&a, &b);
    directory_close(&a);
    directory_close(&b);
}

static const float *floats(const struct directory *dir, const char *name) {
    const struct tensor *tensor = directory_find(dir, name);
    assert_non_null(tensor);
    return (const float *)(const void *)tensor->data;
}

static void every_token_is_counted(void **state) {
    struct directory dir;
    hearth_error err = {0};
    double routed = 0;
    (void)state;
    make_model("moe.gguf", "olmoe-1b-7b");
    measure("moe.gguf", "a.gguf", 2, 16);
    assert_ok(gguf_open(&dir, scratch("a.gguf"), &err), &err);
    assert_true(floats(&dir, "blk.0.attn_q.weight.counts")[0] == N);
    for (int i = 0; i < 8; i++)
        routed += (double)floats(&dir, "blk.3.ffn_up_exps.weight.counts")[i];
    assert_true(routed == 2 * N);
    const float *q = floats(&dir, "blk.0.attn_q.weight.in_sum2");
    const float *v = floats(&dir, "blk.0.attn_v.weight.in_sum2");
    double energy = 0;
    for (int i = 0; i < 128; i++) {
        assert_true(q[i] == v[i] && q[i] > 0); /* they read the same rows */
        energy += (double)q[i];
    }
    /* RMS norm with weights near 1: the mean square of a row is near 1. */
    assert_true(fabs(energy / (128.0 * N) - 1) < 0.05);
    /* Each expert's rows sum up to what the router saw, twice. */
    const float *in = floats(&dir, "blk.0.ffn_up_exps.weight.in_sum2");
    const float *router = floats(&dir, "blk.0.ffn_gate_inp.weight.in_sum2");
    for (int column = 0; column < 128; column++) {
        double sum = 0;
        for (int e = 0; e < 8; e++)
            sum += (double)in[e * 128 + column];
        assert_true(fabs(sum - 2 * (double)router[column]) < 1e-4 * sum);
    }
    assert_null(directory_find(&dir, "output.weight.in_sum2"));
    assert_null(directory_find(&dir, "token_embd.weight.in_sum2"));
    directory_close(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(batches_do_not_matter),
        cmocka_unit_test(every_token_is_counted),
    };
    return cmocka_run_group_tests_name("infer/importance", tests, scratch_open, scratch_close);
}
