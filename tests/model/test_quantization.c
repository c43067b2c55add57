/* Quantising models: the same types as the reference chooses, no worse logits, refusals,
 * and nothing left behind when the disk is full. */
#include "format/scratch.h"
#include "model/golden.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "format/gguf_write.h"
#include "model/quantization.h"
#include "model/synth.h"

static struct quantization_options options_for(const char *recipe) {
    struct quantization_options o = {
        .choice = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}, .n_threads = 2};
    assert_int_equal(quant_recipe_find(&o.choice.recipe, recipe, NULL), HEARTH_OK);
    return o;
}

static hearth_status quantize(const char *in, const char *out, const struct quantization_options *o,
                              hearth_error *err) {
    struct quantization q;
    hearth_status status = quantization_open(&q, in, o, err);
    if (status == HEARTH_OK) status = quantization_write(&q, out, err);
    quantization_close(&q);
    return status;
}

static void make_model(const char *name, const char *shape_name, const char *recipe) {
    const struct shape *shape;
    hearth_error err = {0};
    assert_int_equal(shape_find(&shape, shape_name, NULL), HEARTH_OK);
    struct shape tiny = shape_tiny(shape);
    tiny.n_embd = 256;
    struct synth_options synth = {
        .shape = &tiny, .quant = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}};
    assert_int_equal(quant_recipe_find(&synth.quant.recipe, recipe, NULL), HEARTH_OK);
    assert_ok(synth_write(scratch(name), &synth, &err), &err);
}

/* ---- against the reference ---------------------------------------------------------------- */

/* The column "NMSE vs F32 model" of testdata/quantmodels/README.md. */
static const struct reference {
    const char *folder, *recipe;
    double nmse;
} references[] = {{"q4_0", "Q4_0", 0.213},     {"q8_0", "Q8_0", 0.00176},
                  {"q4_k_m", "Q4_K_M", 0.151}, {"q5_k_m", "Q5_K_M", 0.0427},
                  {"q6_k", "Q6_K", 0.0132},    {"q3_k_m", "Q3_K_M", 0.443},
                  {"q2_k", "Q2_K", 0.987},     {"iq4_xs", "IQ4_XS", 0.175},
                  {"mxfp4", "MXFP4", 0.243},   {"nvfp4", "Q8_0", 0.181}};

static void assert_same_types(const char *path, const char *reference_path) {
    struct directory made, reference;
    hearth_error err = {0};
    assert_ok(gguf_open(&made, path, &err), &err);
    assert_ok(gguf_open(&reference, reference_path, &err), &err);
    assert_int_equal(made.n_tensors, reference.n_tensors);
    for (size_t i = 0; i < made.n_tensors; i++) {
        const struct tensor *other = directory_find(&reference, made.tensors[i].name);
        assert_non_null(other);
        if (made.tensors[i].type != other->type)
            fail_msg("%s is %s, the reference has %s", other->name, elem_name(made.tensors[i].type),
                     elem_name(other->type));
    }
    directory_close(&made);
    directory_close(&reference);
}

static void agrees_with_reference(void **state) {
    static float logits[N_TOKENS * N_VOCAB], exact[N_TOKENS * N_VOCAB];
    const struct reference *r = *state;
    struct quantization_options o = options_for(r->recipe);
    const struct tensor_rule rules[] = {{"attn", ELEM_NVFP4}, {"ffn", ELEM_NVFP4}};
    int32_t tokens[N_TOKENS];
    hearth_error err = {0};
    char name[128];
    if (strcmp(r->folder, "nvfp4") == 0) {
        o.choice.rules = rules;
        o.choice.n_rules = 2;
    }
    assert_ok(quantize(testdata("arch/qwen3-dense/model.gguf"), scratch("q.gguf"), &o, &err), &err);
    snprintf(name, sizeof name, "quantmodels/%s/model.gguf", r->folder);
    assert_same_types(scratch("q.gguf"), testdata(name));
    read_tokens(testdata("arch/qwen3-dense/tokens.txt"), tokens);
    read_logits(testdata("arch/qwen3-dense/logits.f32"), exact);
    golden_logits(scratch("q.gguf"), tokens, NULL, true, logits);
    double error = nmse(logits, exact, N_TOKENS * N_VOCAB);
    print_message("%s: NMSE %.4g, reference %.4g\n", r->folder, error, r->nmse);
    assert_true(error <= 1.1 * r->nmse);
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void floats_stay_as_they_are(void **state) {
    struct directory a, b;
    hearth_error err = {0};
    (void)state;
    make_model("in.gguf", "gpt-oss-20b", "F32");
    struct quantization_options o = options_for("F32");
    assert_ok(quantize(scratch("in.gguf"), scratch("out.gguf"), &o, &err), &err);
    assert_ok(gguf_open(&a, scratch("in.gguf"), &err), &err);
    assert_ok(gguf_open(&b, scratch("out.gguf"), &err), &err);
    assert_same_metadata(&a.metadata, &b.metadata);
    assert_same_tensors(&a, &b);
    directory_close(&a);
    directory_close(&b);
}

static void threads_do_not_matter(void **state) {
    char *a, *b;
    size_t n_a, n_b;
    hearth_error err = {0};
    (void)state;
    make_model("in.gguf", "olmoe-1b-7b", "BF16");
    struct quantization_options o = options_for("Q4_K_M");
    assert_ok(quantize(scratch("in.gguf"), scratch("a.gguf"), &o, &err), &err);
    o.n_threads = 1;
    assert_ok(quantize(scratch("in.gguf"), scratch("b.gguf"), &o, &err), &err);
    assert_int_equal(file_read(scratch("a.gguf"), 1 << 28, &a, &n_a, NULL), HEARTH_OK);
    assert_int_equal(file_read(scratch("b.gguf"), 1 << 28, &b, &n_b, NULL), HEARTH_OK);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, n_a);
    mem_free(a);
    mem_free(b);
}

static void says_how_it_was_made(void **state) {
    struct directory dir;
    uint32_t file_type = 0, version = 0;
    hearth_error err = {0};
    (void)state;
    make_model("in.gguf", "qwen3-0.6b", "F16");
    struct quantization_options o = options_for("q5_k");
    assert_ok(quantize(scratch("in.gguf"), scratch("out.gguf"), &o, &err), &err);
    assert_ok(gguf_open(&dir, scratch("out.gguf"), &err), &err);
    assert_true(metadata_u32(&dir.metadata, "general.file_type", &file_type));
    assert_true(metadata_u32(&dir.metadata, "general.quantization_version", &version));
    assert_int_equal(file_type, 17);
    assert_int_equal(version, 2);
    assert_int_equal(directory_find(&dir, "blk.0.attn_norm.weight")->type, ELEM_F32);
    assert_int_equal(directory_find(&dir, "token_embd.weight")->type, ELEM_Q6_K);
    directory_close(&dir);
}

static void splits_stay_splits(void **state) {
    struct directory dir;
    hearth_error err = {0};
    (void)state;
    scratch_clear();
    make_model("in.gguf", "llama-3.1-8b", "F16");
    struct quantization_options o = options_for("F16");
    o.max_part_bytes = 2 << 20;
    assert_ok(quantize(scratch("in.gguf"), scratch("parts.gguf"), &o, &err), &err);
    size_t n_parts = scratch_count() - 1;
    assert_true(n_parts >= 2);
    char first[64];
    snprintf(first, sizeof first, "parts-00001-of-%05zu.gguf", n_parts);
    o = options_for("Q8_0");
    o.keep_split = true;
    assert_ok(quantize(scratch(first), scratch("small.gguf"), &o, &err), &err);
    assert_int_equal(scratch_count(), 1 + 2 * n_parts);
    snprintf(first, sizeof first, "small-00001-of-%05zu.gguf", n_parts);
    assert_ok(gguf_open(&dir, scratch(first), &err), &err);
    assert_int_equal(directory_find(&dir, "output.weight")->type, ELEM_Q8_0);
    directory_close(&dir);
    scratch_clear();
}

static void a_full_disk_leaves_nothing(void **state) {
    (void)state;
    scratch_clear();
    make_model("in.gguf", "llama-3.1-8b", "F32");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {100000, 100000};
        struct quantization_options o = options_for("Q8_0");
        hearth_error err = {0};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
        o.n_threads = 1;
        hearth_status status = quantize(scratch("in.gguf"), scratch("out.gguf"), &o, &err);
        _exit(status == HEARTH_ERROR_IO && strstr(err.message, "out.gguf") ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    assert_int_equal(scratch_count(), 1); /* the input */
}

/* ---- refusals
 * ------------------------------------------------------------------------------------ */

static void quantising_twice_is_refused(void **state) {
    hearth_error err = {0};
    (void)state;
    make_model("in.gguf", "llama-3.2-1b", "Q8_0");
    struct quantization_options o = options_for("Q4_0");
    assert_int_equal(quantize(scratch("in.gguf"), scratch("no.gguf"), &o, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "--allow-requantize");
    assert_false(file_exists(scratch("no.gguf")));
    o.allow_requantize = true;
    assert_ok(quantize(scratch("in.gguf"), scratch("yes.gguf"), &o, &err), &err);
    o = options_for("Q8_0"); /* nothing changes, so nothing is lost */
    assert_ok(quantize(scratch("in.gguf"), scratch("yes.gguf"), &o, &err), &err);
}

static void importance_is_asked_for(void **state) {
    hearth_error err = {0};
    (void)state;
    make_model("in.gguf", "llama-3.2-1b", "F32");
    static const char *const recipes[] = {"IQ2_XS", "IQ1_S", "IQ3_XXS", "Q2_K_S"};
    for (int i = 0; i < 4; i++) {
        struct quantization_options o = options_for(recipes[i]);
        assert_int_equal(quantize(scratch("in.gguf"), scratch("no.gguf"), &o, &err),
                         HEARTH_ERROR_ARGUMENT);
        assert_contains(err.message, "hearth imatrix");
    }
}

static void another_models_importance_is_refused(void **state) {
    struct imatrix matrix;
    hearth_error err = {0};
    const double sums[100] = {1};
    const uint64_t counts[1] = {1};
    const struct imatrix_sums entry = {"blk.0.attn_q.weight", 100, 1, sums, counts};
    (void)state;
    make_model("in.gguf", "llama-3.2-1b", "F32");
    assert_ok(imatrix_write(scratch("other.imatrix"), &entry, 1, "text", 1, 1, &err), &err);
    assert_ok(imatrix_open(&matrix, scratch("other.imatrix"), &err), &err);
    struct quantization_options o = options_for("Q4_K_M");
    o.importance = &matrix;
    assert_int_equal(quantize(scratch("in.gguf"), scratch("no.gguf"), &o, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "another model");
    imatrix_close(&matrix);
}

static void values_out_of_range_are_named(void **state) {
    float values[64] = {0};
    struct tensor tensor = {.name = "blk.0.attn_q.weight",
                            .n_dims = 2,
                            .dims = {32, 2, 1, 1},
                            .data = (const uint8_t *)values};
    struct metadata m;
    hearth_error err = {0};
    (void)state;
    values[40] = 1e30f;
    metadata_init(&m, 1 << 20);
    assert_ok(metadata_set_string(&m, "general.architecture", "llama", 5, &err), &err);
    assert_ok(gguf_write(scratch("in.gguf"), &m, &tensor, 1, 0, NULL, NULL, &err), &err);
    metadata_release(&m);
    struct quantization_options o = options_for("Q8_0");
    assert_int_equal(quantize(scratch("in.gguf"), scratch("no.gguf"), &o, &err),
                     HEARTH_ERROR_FORMAT);
    assert_contains(err.message, "blk.0.attn_q.weight");
    assert_contains(err.message, "1e+30");
    assert_false(file_exists(scratch("no.gguf")));
}

static void unknown_types_get_a_hint(void **state) {
    const struct quant_recipe *recipe;
    hearth_error err = {0};
    (void)state;
    assert_int_equal(quant_recipe_find(&recipe, "q4_k_n", &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "did you mean 'Q4_K_");
    assert_int_equal(quant_recipe_find(&recipe, "best", &err), HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "hearth quantize --help");
}

/* ---- choices
 * ---------------------------------------------------------------------------------------- */

static void narrow_rows_fall_back(void **state) {
    (void)state;
    assert_int_equal(quant_fallback(ELEM_Q4_K, 512), ELEM_Q4_K);
    assert_int_equal(quant_fallback(ELEM_Q4_K, 576), ELEM_Q5_0);
    assert_int_equal(quant_fallback(ELEM_Q5_K, 576), ELEM_Q5_1);
    assert_int_equal(quant_fallback(ELEM_Q6_K, 576), ELEM_Q8_0);
    assert_int_equal(quant_fallback(ELEM_Q2_K, 576), ELEM_Q4_0);
    assert_int_equal(quant_fallback(ELEM_IQ4_XS, 576), ELEM_IQ4_NL);
    assert_int_equal(quant_fallback(ELEM_Q8_0, 172), ELEM_F16);
}

static void choices_can_be_overridden(void **state) {
    struct tensor tensors[] = {
        {.name = "token_embd.weight", .n_dims = 2, .dims = {256, 8, 1, 1}},
        {.name = "output.weight", .n_dims = 2, .dims = {256, 8, 1, 1}},
        {.name = "blk.0.attn_v.weight", .n_dims = 2, .dims = {256, 8, 1, 1}},
        {.name = "blk.10.ffn_down.weight", .n_dims = 2, .dims = {256, 8, 1, 1}},
        {.name = "blk.0.ffn_gate_inp.weight", .n_dims = 2, .dims = {256, 8, 1, 1}},
        {.name = "blk.0.ssm_conv1d.weight", .n_dims = 2, .dims = {256, 8, 1, 1}},
        {.name = "ids.weight", .type = ELEM_I32, .n_dims = 2, .dims = {256, 8, 1, 1}}};
    enum { N = sizeof tensors / sizeof tensors[0] };
    const struct tensor_rule rules[] = {{"^blk\\.1[0-9]\\..*down", ELEM_Q8_0}};
    struct quant_choice choice = options_for("Q4_K_S").choice;
    enum elem types[N];
    struct metadata m;
    hearth_error err = {0};
    (void)state;
    metadata_init(&m, 1 << 20);
    choice.rules = rules;
    choice.n_rules = 1;
    choice.output_type = ELEM_Q5_1;
    choice.embedding_type = ELEM_F16;
    assert_ok(quant_recipe_assign(&choice, &m, tensors, N, types, &err), &err);
    const enum elem expected[N] = {ELEM_F16, ELEM_Q5_1, ELEM_Q5_K, ELEM_Q8_0,
                                   ELEM_F32, ELEM_F32,  ELEM_I32};
    for (int i = 0; i < N; i++)
        assert_int_equal(types[i], expected[i]);
    choice = options_for("Q4_K_S").choice;
    choice.pure = true;
    assert_ok(quant_recipe_assign(&choice, &m, tensors, N, types, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_int_equal(types[i], ELEM_Q4_K);
    const struct tensor_rule wrong = {"(", ELEM_Q8_0};
    choice.rules = &wrong;
    choice.n_rules = 1;
    assert_int_equal(quant_recipe_assign(&choice, &m, tensors, N, types, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_contains(err.message, "regular expression");
    metadata_release(&m);
}

/* The merged model alone gives the logits of model and adapter together. */
static void adapters_are_merged(void **state) {
    (void)state;
    static float logits[N_TOKENS * N_VOCAB], exact[N_TOKENS * N_VOCAB];
    struct quantization_options o = options_for("F32");
    char scaled[4096];
    snprintf(scaled, sizeof scaled, "%s:0.5", testdata("lora/adapter.gguf"));
    const char *adapters[] = {scaled};
    int32_t tokens[N_TOKENS];
    hearth_error err = {0};
    o.adapters = adapters;
    o.n_adapters = 1;
    assert_ok(quantize(testdata("arch/llama-dense/model.gguf"), scratch("merged.gguf"), &o, &err),
              &err);
    read_tokens(testdata("lora/tokens.txt"), tokens);
    read_logits(testdata("lora/adapter_logits_scale0.5.f32"), exact);
    golden_logits(scratch("merged.gguf"), tokens, NULL, false, logits);
    double error = nmse(logits, exact, N_TOKENS * N_VOCAB);
    print_message("merged: NMSE %.2g\n", error);
    assert_true(error <= 1e-9);
}

static void adapters_of_other_models_are_refused(void **state) {
    (void)state;
    struct quantization_options o = options_for("F32");
    const char *adapters[] = {testdata("lora/adapter.gguf")};
    hearth_error err = {0};
    o.adapters = adapters;
    o.n_adapters = 1;
    make_model("other.gguf", "llama-3.2-1b", "F32");
    assert_int_not_equal(quantize(scratch("other.gguf"), scratch("none.gguf"), &o, &err),
                         HEARTH_OK);
    assert_non_null(strstr(err.message, "adapter"));
    assert_false(file_exists(scratch("none.gguf")));
}

static void cancel_at_first(void *context, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    atomic_store((atomic_bool *)context, true);
}

static void a_cancelled_one_leaves_nothing(void **state) {
    (void)state;
    atomic_bool cancel = false;
    struct quantization_options o = options_for("Q8_0");
    hearth_error err = {0};
    o.progress = cancel_at_first;
    o.progress_context = &cancel;
    o.cancel = &cancel;
    make_model("whole.gguf", "llama-3.2-1b", "F32");
    assert_int_equal(quantize(scratch("whole.gguf"), scratch("half.gguf"), &o, &err),
                     HEARTH_ERROR_CANCELLED);
    assert_false(file_exists(scratch("half.gguf")));
}

int main(void) {
    const struct CMUnitTest plain[] = {
        cmocka_unit_test(floats_stay_as_they_are),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(says_how_it_was_made),
        cmocka_unit_test(splits_stay_splits),
        cmocka_unit_test(adapters_are_merged),
        cmocka_unit_test(adapters_of_other_models_are_refused),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(a_cancelled_one_leaves_nothing),
        cmocka_unit_test(quantising_twice_is_refused),
        cmocka_unit_test(importance_is_asked_for),
        cmocka_unit_test(another_models_importance_is_refused),
        cmocka_unit_test(values_out_of_range_are_named),
        cmocka_unit_test(unknown_types_get_a_hint),
        cmocka_unit_test(narrow_rows_fall_back),
        cmocka_unit_test(choices_can_be_overridden),
    };
    enum {
        N_PLAIN = sizeof plain / sizeof plain[0],
        N_REFERENCES = sizeof references / sizeof references[0]
    };
    struct CMUnitTest tests[N_PLAIN + N_REFERENCES];
    memcpy(tests, plain, sizeof plain);
    for (size_t i = 0; i < N_REFERENCES; i++)
        tests[N_PLAIN + i] = (struct CMUnitTest){references[i].folder, agrees_with_reference, NULL,
                                                 NULL, (void *)(uintptr_t)&references[i]};
    return _cmocka_run_group_tests("model/quantization", tests, N_PLAIN + N_REFERENCES,
                                   scratch_open, scratch_close);
}
