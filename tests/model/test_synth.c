/* Shapes: each architecture's tiny form is written, opened, lowered and computed; the
 * real ones have the published number of parameters. */
#include "format/scratch.h"

#include <math.h>

#include "base/buf.h"
#include "infer/context.h"
#include "model/synth.h"
#include "token/tokenizer.h"

static struct synth_options tiny_options(struct shape *tiny, const char *recipe) {
    struct synth_options options = {
        .shape = tiny,
        .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES},
        .seed = 7};
    assert_int_equal(quant_recipe_find(&options.quant.recipe, recipe, NULL), HEARTH_OK);
    return options;
}

static void write_tiny(size_t i, const char *recipe, const char *name) {
    hearth_error err = {0};
    struct shape tiny = shape_tiny(shape_at(i));
    struct synth_options options = tiny_options(&tiny, recipe);
    assert_ok(synth_write(scratch(name), &options, &err), &err);
}

/* Logits of a short sequence, computed in two pieces, are finite and differ. */
static void check_runs(const char *name) {
    enum { N = 24 };
    hearth_error err = {0};
    struct model model;
    struct context *context;
    struct context_options options = context_defaults();
    int32_t tokens[N];
    options.n_threads = 2;
    options.n_ctx = 64;
    assert_ok(model_open(&model, scratch(name), &err), &err);
    assert_ok(context_open(&context, &model, &options, &err), &err);
    size_t n_vocab = model.config.n_vocab;
    float *logits = mem_calloc(N * n_vocab, sizeof *logits);
    assert_non_null(logits);
    for (int i = 0; i < N; i++)
        tokens[i] = i * 11 % (int)n_vocab;
    struct context_part part = {.tokens = tokens, .n_tokens = N - 4, .all_logits = true};
    assert_ok(context_decode(context, &part, 1, logits, &err), &err);
    part = (struct context_part){.tokens = tokens + N - 4, .n_tokens = 4, .all_logits = true};
    assert_ok(context_decode(context, &part, 1, logits + (N - 4) * n_vocab, &err), &err);
    double energy = 0;
    for (size_t i = 0; i < N * n_vocab; i++) {
        assert_true(isfinite(logits[i]));
        energy += (double)logits[i] * (double)logits[i];
    }
    energy /= (double)(N * n_vocab);
    assert_true(energy > 1e-4 && energy < 100);
    mem_free(logits);
    context_close(context);
    model_close(&model);
}

static void every_shape_runs(void **state) {
    (void)state;
    for (size_t i = 0; i < shape_count(); i++) {
        print_message("%s\n", shape_at(i)->name);
        write_tiny(i, "Q4_K_M", "tiny.gguf");
        check_runs("tiny.gguf");
    }
}

static void every_recipe_runs(void **state) {
    (void)state;
    for (size_t i = 0; i < quant_recipe_count(); i++) {
        print_message("%s\n", quant_recipe_at(i)->name);
        struct shape shape = shape_tiny(shape_at(0));
        shape.n_embd = 256;
        shape.n_layer = 2;
        shape.d_head = 64;
        struct synth_options options = tiny_options(&shape, quant_recipe_at(i)->name);
        hearth_error err = {0};
        assert_ok(synth_write(scratch("recipe.gguf"), &options, &err), &err);
        check_runs("recipe.gguf");
    }
}

static void a_seed_is_a_file(void **state) {
    char *a, *b;
    size_t n_a, n_b;
    (void)state;
    write_tiny(0, "Q4_0", "a.gguf");
    write_tiny(0, "Q4_0", "b.gguf");
    assert_int_equal(file_read(scratch("a.gguf"), 1 << 26, &a, &n_a, NULL), HEARTH_OK);
    assert_int_equal(file_read(scratch("b.gguf"), 1 << 26, &b, &n_b, NULL), HEARTH_OK);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, n_a);
    mem_free(b);
    struct shape tiny = shape_tiny(shape_at(0));
    struct synth_options options = tiny_options(&tiny, "Q4_0");
    options.seed = 8;
    assert_int_equal(synth_write(scratch("b.gguf"), &options, NULL), HEARTH_OK);
    assert_int_equal(file_read(scratch("b.gguf"), 1 << 26, &b, &n_b, NULL), HEARTH_OK);
    assert_true(n_a == n_b && memcmp(a, b, n_a) != 0);
    mem_free(a);
    mem_free(b);
}

static void the_vocabulary_reads_and_writes(void **state) {
    static const char text[] = "the fire in the hearth\n\xc3\xa9\t\x01";
    hearth_error err = {0};
    struct metadata m;
    struct tokenizer *tokenizer;
    struct token_list ids = {0};
    struct buf back;
    (void)state;
    metadata_init(&m, 1 << 24);
    assert_ok(shape_vocabulary(400, &m, &err), &err);
    assert_ok(tokenizer_open(&tokenizer, &m, &err), &err);
    assert_ok(tokenizer_encode(tokenizer, text, sizeof text - 1, false, false, &ids, &err), &err);
    assert_true(ids.count > 5 && ids.count < sizeof text - 4); /* merges were used */
    buf_init(&back, 1024);
    assert_ok(tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, &err), &err);
    assert_int_equal(back.length, sizeof text - 1);
    assert_memory_equal(back.data, text, back.length);
    buf_release(&back);
    assert_int_equal(tokenizer_role(tokenizer, TOKEN_BOS), 398);
    assert_int_equal(tokenizer_role(tokenizer, TOKEN_EOS), 399);
    assert_int_equal(shape_vocabulary(10, &m, &err), HEARTH_ERROR_ARGUMENT);
    token_list_release(&ids);
    tokenizer_close(tokenizer);
    metadata_release(&m);
}

static uint64_t parameters(const char *name) {
    const struct shape *shape;
    struct shape_tensors list;
    uint64_t n = 0;
    assert_int_equal(shape_find(&shape, name, NULL), HEARTH_OK);
    assert_int_equal(shape_tensors_init(&list, shape, NULL), HEARTH_OK);
    for (size_t i = 0; i < list.n_tensors; i++)
        n += list.tensors[i].size_bytes / sizeof(float);
    shape_tensors_release(&list);
    return n;
}

static void shapes_have_the_published_size(void **state) {
    (void)state;
    assert_int_equal(parameters("llama-3.2-1b"), 1235814432); /* with 32 rotary factors */
    assert_int_equal(parameters("llama-3.1-8b"), 8030261312); /* with 64 */
    assert_int_equal(parameters("smollm2-135m"), 134515008);
    assert_int_equal(parameters("qwen2.5-0.5b"), 494032768);
    assert_int_equal(parameters("qwen3-0.6b"), 596049920);
    assert_int_equal(parameters("olmoe-1b-7b"), 6919161856);
    assert_int_equal(parameters("qwen3-30b-a3b"), 30532122624);
}

static void a_wrong_name_gets_a_hint(void **state) {
    const struct shape *shape;
    hearth_error err = {0};
    (void)state;
    assert_int_equal(shape_find(&shape, "LLAMA-3.2-1B", &err), HEARTH_OK);
    assert_int_equal(shape_find(&shape, "lama-3.2-1b", &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "did you mean 'llama-3.2-1b'");
    assert_int_equal(shape_find(&shape, "zzz", &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "--list");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_runs),
        cmocka_unit_test(every_recipe_runs),
        cmocka_unit_test(a_seed_is_a_file),
        cmocka_unit_test(the_vocabulary_reads_and_writes),
        cmocka_unit_test(shapes_have_the_published_size),
        cmocka_unit_test(a_wrong_name_gets_a_hint),
    };
    return cmocka_run_group_tests_name("model/synth", tests, scratch_open, scratch_close);
}
