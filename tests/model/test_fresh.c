/* Fresh models: what their weights are at the start, and which measures are refused. */
#include "format/scratch.h"

#include <math.h>

#include "model/fresh.h"
#include "token/bpe_train.h"

static struct tokenizer *small_tokenizer(void) {
    static const char text[] = "the fire in the hearth and the hearth in the house";
    static const struct bpe_added added[] = {{"<|im_end|>", true}};
    struct bpe_train_options options = {
        .n_vocab = 270, .min_count = 2, .added = added, .n_added = 1, .eos = "<|im_end|>"};
    struct bpe_trainer *trainer;
    struct tokenizer *tokenizer;
    char *json, *config;
    assert_int_equal(bpe_trainer_open(&trainer, &options, NULL), HEARTH_OK);
    assert_int_equal(bpe_trainer_add(trainer, text, sizeof text - 1, NULL), HEARTH_OK);
    assert_int_equal(bpe_trainer_run(trainer, NULL), HEARTH_OK);
    assert_int_equal(bpe_trainer_json(trainer, &json, &config, NULL), HEARTH_OK);
    assert_int_equal(
        tokenizer_open_json(&tokenizer, json, strlen(json), config, strlen(config), NULL),
        HEARTH_OK);
    mem_free(json);
    mem_free(config);
    bpe_trainer_close(trainer);
    return tokenizer;
}

static struct fresh_options small_options(const struct tokenizer *tokenizer) {
    return (struct fresh_options){.shape = {.n_ctx = 64,
                                            .n_layer = 8,
                                            .n_embd = 64,
                                            .n_head = 4,
                                            .n_head_kv = 2,
                                            .n_ff = 96,
                                            .traits = SHAPE_TIED,
                                            .eps = 1e-5f,
                                            .rope_base = 10000},
                                  .tokenizer = tokenizer,
                                  .name = "fresh",
                                  .deviation = 0.02f,
                                  .seed = 1};
}

static size_t n_values(const struct tensor *tensor) {
    return tensor->size_bytes / sizeof(float);
}

/* All values are `value`. */
static void check_constant(const struct tensor *tensor, float value) {
    const float *data = (const float *)(const void *)tensor->data;
    for (size_t i = 0; i < n_values(tensor); i++)
        assert_true(data[i] == value);
}

/* Normal around 0: mean and deviation within five of their standard errors. */
static void check_normal(const struct tensor *tensor, double deviation) {
    const float *data = (const float *)(const void *)tensor->data;
    double sum = 0, squares = 0, n = (double)n_values(tensor);
    for (size_t i = 0; i < n_values(tensor); i++) {
        sum += (double)data[i];
        squares += (double)data[i] * (double)data[i];
    }
    assert_true(fabs(sum / n) < 5 * deviation / sqrt(n));
    assert_true(fabs(sqrt(squares / n) / deviation - 1) < 5 / sqrt(2 * n));
}

static void check_tensor(const struct tensor *tensor) {
    bool writes_residual =
        strstr(tensor->name, "attn_output.weight") || strstr(tensor->name, "ffn_down.weight");
    assert_int_equal(tensor->type, ELEM_F32);
    if (strstr(tensor->name, "_norm."))
        check_constant(tensor, 1);
    else if (strstr(tensor->name, ".bias"))
        check_constant(tensor, 0);
    else
        check_normal(tensor, writes_residual ? 0.02 / 4 : 0.02); /* sqrt(2 * 8 layers) */
}

static void weights_begin_as_they_should(void **state) {
    static const char *const families[] = {"llama", "qwen2", "qwen3"};
    struct tokenizer *tokenizer = small_tokenizer();
    (void)state;
    for (int f = 0; f < 3; f++) {
        struct fresh_options options = small_options(tokenizer);
        struct directory directory;
        uint64_t n_parameters, total = 0;
        hearth_error err = {0};
        assert_ok(fresh_family(&options.shape, families[f], &err), &err);
        assert_ok(fresh_check(&options, &err), &err);
        assert_ok(fresh_write(scratch("fresh.gguf"), &options, &err), &err);
        assert_ok(gguf_open(&directory, scratch("fresh.gguf"), &err), &err);
        for (size_t i = 0; i < directory.n_tensors; i++) {
            check_tensor(&directory.tensors[i]);
            total += directory.tensors[i].size_bytes;
        }
        assert_true(fresh_size_bytes(&options, &n_parameters, &err) == total);
        assert_true(n_parameters == total / 4);
        assert_int_equal(directory_find(&directory, "blk.0.attn_q.bias") != NULL, f == 1);
        assert_int_equal(directory_find(&directory, "blk.0.attn_q_norm.weight") != NULL, f == 2);
        assert_null(directory_find(&directory, "output.weight"));
        directory_close(&directory);
    }
    tokenizer_close(tokenizer);
}

static void assert_refused(struct fresh_options options, const char *part) {
    hearth_error err = {0};
    assert_int_equal(fresh_check(&options, &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, part);
}

static void impossible_measures_are_refused(void **state) {
    struct tokenizer *tokenizer = small_tokenizer();
    struct fresh_options options = small_options(tokenizer);
    hearth_error err = {0};
    (void)state;
    assert_int_equal(fresh_family(&options.shape, "gpt5", &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "qwen3");
    options.shape.n_head = 5;
    assert_refused(options, "5 heads");
    options.shape.n_head = 4;
    options.shape.n_head_kv = 3;
    assert_refused(options, "3 key/value heads");
    options.shape.n_head_kv = 2;
    options.shape.d_head = 15;
    assert_refused(options, "even");
    options.shape.d_head = 0;
    options.shape.n_layer = 0;
    assert_refused(options, "layers");
    tokenizer_close(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_begin_as_they_should),
        cmocka_unit_test(impossible_measures_are_refused),
    };
    return cmocka_run_group_tests_name("model/fresh", tests, scratch_open, scratch_close);
}
