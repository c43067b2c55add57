/* Weight-decomposed adapters (DoRA, arXiv 2402.09353) against their formula in double precision:
 * applied while a model runs, merged into its weights, and as PEFT saves them. */
#include "model/golden.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "format/gguf_write.h"
#include "format/safetensors.h"
#include "format/scratch.h"
#include "model/adapter_write.h"
#include "model/quantization.h"

#define MODEL "arch/llama-dense/model.gguf"
enum { MAX_PARTS = 64 };

/* The adapter of the golden data with magnitudes that are not those of the rows. */
static struct decomposed {
    struct model model;
    struct adapter plain, adapter; /* adapter: borrows the tensors of `plain` */
    float *magnitudes[MAX_PARTS];
    char names[MAX_PARTS][128];
    size_t n;
} d;

static void add_magnitude(const struct tensor *b, struct rng *rng) {
    struct directory *dir = &d.adapter.directory;
    float *values = mem_alloc_array(b->dims[1], sizeof *values);
    assert_true(values && d.n < MAX_PARTS);
    for (uint64_t r = 0; r < b->dims[1]; r++)
        values[r] = (float)(0.5 + rng_uniform(rng));
    snprintf(d.names[d.n], sizeof d.names[0], "%.*s.lora_magnitude",
             (int)(strlen(b->name) - strlen(".lora_b")), b->name);
    dir->tensors[dir->n_tensors++] = (struct tensor){.name = d.names[d.n],
                                                     .type = ELEM_F32,
                                                     .n_dims = 1,
                                                     .dims = {b->dims[1], 1, 1, 1},
                                                     .data = (const uint8_t *)values,
                                                     .size_bytes = b->dims[1] * sizeof *values};
    d.magnitudes[d.n++] = values;
}

static int set_up(void **state) {
    hearth_error err = {0};
    struct rng rng;
    rng_seed(&rng, 3);
    if (scratch_open(state) != 0) return -1;
    assert_ok(model_open(&d.model, testdata(MODEL), &err), &err);
    assert_ok(adapter_open(&d.plain, testdata("lora/adapter.gguf"), &d.model.config, &err), &err);
    const struct directory *from = &d.plain.directory;
    struct directory *dir = &d.adapter.directory;
    assert_ok(directory_init(dir, "decomposed", 1, &err), &err);
    assert_ok(directory_reserve(dir, 2 * from->n_tensors, &err), &err);
    memcpy(dir->tensors, from->tensors, from->n_tensors * sizeof *from->tensors);
    dir->n_tensors = from->n_tensors;
    for (size_t i = 0; i < from->n_tensors; i++)
        if (strstr(from->tensors[i].name, ".lora_b")) add_magnitude(&from->tensors[i], &rng);
    d.adapter.alpha = d.plain.alpha;
    assert_ok(directory_index(dir, &err), &err);
    assert_ok(adapter_check_pairs(&d.adapter, &err), &err);
    return 0;
}

static int tear_down(void **state) {
    for (size_t i = 0; i < d.n; i++)
        mem_free(d.magnitudes[i]);
    adapter_close(&d.adapter);
    adapter_close(&d.plain);
    model_close(&d.model);
    return scratch_close(state);
}

/* ---- the formula ---------------------------------------------------------------------- */

static double value(const struct tensor *t, uint64_t i) {
    return (double)((const float *)(const void *)t->data)[i];
}

/* out = m (W + s B A) / |W + s B A|, row by row; what `more` adds comes after. */
static void decompose(const struct tensor *w, const struct adapter_part *p, double scale,
                      const struct adapter *more, float *out) {
    struct adapter_part other = {0};
    uint64_t cols = w->dims[0], rank = p->a->dims[1];
    double s = scale * (double)d.adapter.alpha / (double)rank;
    if (more) assert_true(adapter_find(more, w->name, &other));
    for (uint64_t r = 0; r < w->dims[1]; r++) {
        double squares = 0, row[1024];
        assert_true(cols <= 1024);
        for (uint64_t c = 0; c < cols; c++) {
            row[c] = value(w, r * cols + c);
            for (uint64_t k = 0; k < rank; k++)
                row[c] += s * value(p->b, r * rank + k) * value(p->a, k * cols + c);
            squares += row[c] * row[c];
        }
        for (uint64_t c = 0; c < cols; c++) {
            double plain = 0;
            for (uint64_t k = 0; more && k < rank; k++)
                plain += value(other.b, r * rank + k) * value(other.a, k * cols + c);
            plain *= (double)d.plain.alpha / (double)rank;
            out[r * cols + c] = (float)(value(p->magnitude, r) * row[c] / sqrt(squares) + plain);
        }
    }
}

/* The model of the formula, as a file. */
static void write_expected(const char *name, double scale, const struct adapter *more) {
    const struct directory *dir = &d.model.directory;
    struct tensor *tensors = mem_alloc_array(dir->n_tensors, sizeof *tensors);
    hearth_error err = {0};
    assert_non_null(tensors);
    memcpy(tensors, dir->tensors, dir->n_tensors * sizeof *tensors);
    for (size_t i = 0; i < dir->n_tensors; i++) {
        struct adapter_part part;
        if (!adapter_find(&d.adapter, tensors[i].name, &part)) continue;
        assert_int_equal(tensors[i].type, ELEM_F32);
        float *values = mem_alloc((size_t)tensors[i].size_bytes);
        assert_non_null(values);
        decompose(&tensors[i], &part, scale, more, values);
        tensors[i].data = (const uint8_t *)values;
    }
    assert_ok(
        gguf_write(scratch(name), &dir->metadata, tensors, dir->n_tensors, 0, NULL, NULL, &err),
        &err);
    for (size_t i = 0; i < dir->n_tensors; i++)
        if (tensors[i].data != dir->tensors[i].data) mem_free((void *)(uintptr_t)tensors[i].data);
    mem_free(tensors);
}

static void logits_agree(const struct adapter_set *set, const char *expected_model) {
    static float expected[N_TOKENS * N_VOCAB], logits[N_TOKENS * N_VOCAB];
    int32_t tokens[N_TOKENS];
    read_tokens(testdata("lora/tokens.txt"), tokens);
    golden_logits(scratch(expected_model), tokens, NULL, true, expected);
    golden_logits(testdata(MODEL), tokens, set, true, logits);
    double error = nmse(logits, expected, N_TOKENS * N_VOCAB);
    print_message("%s: NMSE %.2g\n", expected_model, error);
    assert_true(error <= 1e-9);
}

/* ---- tests ---------------------------------------------------------------------------- */

static void a_running_model_follows_the_formula(void **state) {
    struct adapter_set set = {.items = {{&d.adapter, 1.0f}}, .count = 1};
    (void)state;
    write_expected("whole.gguf", 1.0, NULL);
    logits_agree(&set, "whole.gguf");
    set.items[0].scale = 0.5f;
    write_expected("half.gguf", 0.5, NULL);
    logits_agree(&set, "half.gguf");
    set = (struct adapter_set){.items = {{&d.plain, 1.0f}, {&d.adapter, 1.0f}}, .count = 2};
    write_expected("both.gguf", 1.0, &d.plain);
    logits_agree(&set, "both.gguf");
    scratch_clear();
}

static void quantize(const char *out, const struct adapter_set *set) {
    struct quantization_options options = {
        .choice = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES},
        .adapter_set = set,
        .n_threads = 2};
    struct quantization q;
    hearth_error err = {0};
    assert_ok(quant_recipe_find(&options.choice.recipe, "F32", &err), &err);
    assert_ok(quantization_open(&q, testdata(MODEL), &options, &err), &err);
    assert_ok(quantization_write(&q, scratch(out), &err), &err);
    quantization_close(&q);
}

static void assert_close(const char *a, const char *b) {
    struct directory x, y;
    assert_int_equal(gguf_open(&x, scratch(a), NULL), HEARTH_OK);
    assert_int_equal(gguf_open(&y, scratch(b), NULL), HEARTH_OK);
    for (size_t i = 0; i < x.n_tensors; i++) {
        const struct tensor *t = &x.tensors[i], *u = directory_find(&y, t->name);
        assert_true(u && t->type == ELEM_F32 && u->size_bytes == t->size_bytes);
        for (uint64_t v = 0; v < t->size_bytes / sizeof(float); v++)
            if (!(fabs(value(t, v) - value(u, v)) <= 1e-6 * (1 + fabs(value(t, v)))))
                fail_msg("value %d of '%s' is %g, not %g", (int)v, t->name, value(u, v),
                         value(t, v));
    }
    directory_close(&x);
    directory_close(&y);
}

static void merged_weights_follow_the_formula(void **state) {
    struct adapter_set set = {.items = {{&d.adapter, 1.0f}}, .count = 1};
    (void)state;
    write_expected("expected.gguf", 1.0, NULL);
    quantize("merged.gguf", &set);
    assert_close("expected.gguf", "merged.gguf");
    set = (struct adapter_set){.items = {{&d.plain, 1.0f}, {&d.adapter, 1.0f}}, .count = 2};
    write_expected("expected.gguf", 1.0, &d.plain);
    quantize("merged.gguf", &set);
    assert_close("expected.gguf", "merged.gguf");
    scratch_clear();
}

static void peft_folders_hold_them(void **state) {
    struct adapter_facts facts = {.base_name = "some/base"};
    struct adapter again;
    struct directory file;
    hearth_error err = {0};
    (void)state;
    assert_ok(adapter_write_peft(scratch("peft"), &d.adapter, &d.model.config, &facts, &err), &err);
    assert_ok(safetensors_open(&file, scratch("peft/adapter_model.safetensors"), &err), &err);
    const struct tensor *m = directory_find(
        &file, "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector");
    assert_true(m && m->n_dims == 1);
    directory_close(&file);
    assert_ok(adapter_open(&again, scratch("peft"), &d.model.config, &err), &err);
    assert_true(adapter_is_decomposed(&again));
    assert_int_equal(again.directory.n_tensors, d.adapter.directory.n_tensors);
    for (size_t i = 0; i < again.directory.n_tensors; i++) {
        const struct tensor *t = &again.directory.tensors[i];
        const struct tensor *u = directory_find(&d.adapter.directory, t->name);
        assert_true(u && t->size_bytes == u->size_bytes);
        assert_memory_equal(t->dims, u->dims, sizeof t->dims);
        assert_memory_equal(t->data, u->data, t->size_bytes);
    }
    adapter_close(&again);
    remove(scratch("peft/adapter_model.safetensors"));
    remove(scratch("peft/adapter_config.json"));
    scratch_clear();
}

static void what_cannot_be_is_refused(void **state) {
    struct adapter_facts facts = {0};
    struct adapter_set twice = {.items = {{&d.adapter, 1.0f}, {&d.adapter, 1.0f}}, .count = 2};
    struct context *context;
    struct context_options options = context_defaults();
    hearth_error err = {0};
    (void)state;
    assert_int_equal(
        adapter_write_gguf(scratch("x.gguf"), &d.adapter, &d.model.config, &facts, &err),
        HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "merge it");
    assert_int_equal(scratch_count(), 0);
    assert_ok(context_open(&context, &d.model, &options, &err), &err);
    assert_int_equal(context_set_adapters(context, &twice, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "two weight-decomposed adapters");
    context_close(context);
    struct tensor *last = &d.adapter.directory.tensors[d.adapter.directory.n_tensors - 1];
    uint64_t rows = last->dims[0]--;
    assert_int_equal(adapter_check_pairs(&d.adapter, &err), HEARTH_ERROR_FORMAT);
    assert_contains(err.message, last->name);
    last->dims[0] = rows;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_model_follows_the_formula),
        cmocka_unit_test(merged_weights_follow_the_formula),
        cmocka_unit_test(peft_folders_hold_them),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("model/decomposed", tests, set_up, tear_down);
}
