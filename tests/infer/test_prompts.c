/* Rows of prompts in the arithmetic of a matrix unit, computed by a model of it
 * (kernels/prompt_model.h) in whole models: which rows take it, how near it is, and that a
 * row depends on its own mark alone. Equal means equal in every bit. */
#include "format/scratch.h"
#include "model/golden.h"

#include <stdatomic.h>
#include <string.h>

#include "infer/session.h"
#include "kernels/prompt_model.h"
#include "model/quantization.h"

static const char *const models[] = {
    "quantmodels/q4_0",   "quantmodels/q8_0",  "quantmodels/q2_k", "quantmodels/iq4_xs",
    "quantmodels/q4_k_m", "quantmodels/mxfp4", "arch/llama-dense", "arch/granitehybrid-dense",
    "arch/qwen35-dense",  "arch/gpt2-dense",   "arch/gpt-oss-moe", "arch/deepseek2-moe",
    "arch/qwen35moe-moe",
};
enum { N_MODELS = sizeof models / sizeof models[0], N_PARTS = 4 };

/* The model of the unit, counting products. */
static struct prompt_kernels counting;
static atomic_uint products;

static void count_and_multiply(const struct prompt_product *product) {
    atomic_fetch_add(&products, 1);
    amx_model_prompt.multiply(product);
}

static enum cpu_level level;

static void use_prompts(bool use) {
    prompt_model_use(level, use ? &counting : NULL);
}

struct scene {
    const char *name;
    struct model model;
    struct context *context;
    int32_t tokens[N_TOKENS];
};

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static void open_context(struct scene *s, uint32_t max_batch, bool activations_f32) {
    struct context_options options = context_defaults();
    hearth_error err = {0};
    options.n_threads = 2;
    options.n_ctx = N_TOKENS;
    options.n_sequences = N_PARTS;
    options.max_batch = max_batch;
    options.activations_f32 = activations_f32;
    options.k_type = options.v_type = ELEM_F32;
    context_close(s->context);
    expect_ok(context_open(&s->context, &s->model, &options, &err), &err);
}

/* Models of F32 weights have nothing for the unit: they are opened as Q8_0. */
static const char *without_f32(const char *path, const char *name) {
    struct quantization q;
    struct quantization_options options = {
        .choice = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES}, .n_threads = 2};
    hearth_error err = {0};
    char file[64];
    snprintf(file, sizeof file, "%s.gguf", name + strlen("arch/"));
    if (file_exists(scratch(file))) return scratch(file);
    expect_ok(quant_recipe_find(&options.choice.recipe, "Q8_0", &err), &err);
    hearth_status status = quantization_open(&q, path, &options, &err);
    if (status == HEARTH_OK) status = quantization_write(&q, scratch(file), &err);
    quantization_close(&q);
    expect_ok(status, &err);
    return scratch(file);
}

static void open_scene(struct scene *s, const char *name) {
    char file[128];
    hearth_error err = {0};
    *s = (struct scene){.name = name};
    snprintf(file, sizeof file, "%s/tokens.txt", name);
    read_tokens(testdata(file), s->tokens);
    snprintf(file, sizeof file, "%s/model.gguf", name);
    const char *path = testdata(file);
    if (strncmp(name, "arch/", 5) == 0) path = without_f32(path, name);
    expect_ok(model_open(&s->model, path, &err), &err);
    open_context(s, N_TOKENS, false);
}

static void close_scene(struct scene *s) {
    context_close(s->context);
    model_close(&s->model);
}

static void need_model(void) {
    hearth_error err = {0};
    expect_ok(cpu_choose(&level, &err), &err);
    if (!prompt_model_runs()) {
        print_message("[  SKIPPED ] no AVX-512 with VBMI and BF16 here\n");
        skip();
    }
    counting = amx_model_prompt;
    counting.multiply = count_and_multiply;
}

static void append(struct scene *s, uint32_t sequence, uint32_t from, uint32_t n, uint32_t chunk,
                   bool prompt, float *logits) {
    hearth_error err = {0};
    for (uint32_t at = 0; at < n; at += chunk) {
        struct context_part part = {.sequence = sequence,
                                    .tokens = s->tokens + from + at,
                                    .n_tokens = n - at < chunk ? n - at : chunk,
                                    .all_logits = true,
                                    .prompt = prompt};
        expect_ok(context_decode(s->context, &part, 1, logits + (size_t)at * N_VOCAB, &err), &err);
    }
}

static void expect_same(const struct scene *s, const char *what, const float *a, const float *b,
                        size_t n_rows) {
    for (size_t i = 0; i < n_rows * N_VOCAB; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: %s: row %zu, logit %zu is %.9g, was %.9g", s->name, what, i / N_VOCAB,
                     i % N_VOCAB, (double)a[i], (double)b[i]);
}

static float rows[N_TOKENS * N_VOCAB], again[N_TOKENS * N_VOCAB], exact[N_TOKENS * N_VOCAB];

static void prompts_are_as_near_as_generated_rows(void **state) {
    (void)state;
    need_model();
    for (int m = 0; m < N_MODELS; m++) {
        struct scene s;
        use_prompts(false);
        open_scene(&s, models[m]);
        append(&s, 0, 0, N_TOKENS, N_TOKENS, false, rows);
        open_context(&s, N_TOKENS, true);
        append(&s, 0, 0, N_TOKENS, N_TOKENS, false, exact);
        use_prompts(true);
        open_context(&s, N_TOKENS, false);
        append(&s, 0, 0, N_TOKENS, N_TOKENS, true, again);
        double generated = nmse(rows, exact, N_TOKENS * N_VOCAB);
        double prompt = nmse(again, exact, N_TOKENS * N_VOCAB);
        print_message("%s: NMSE of generated rows %.2g, of a prompt %.2g\n", s.name, generated,
                      prompt);
        assert_true(prompt > 0); /* it was used */
        /* The routers of random models are often undecided: another expert, another row. */
        assert_true(prompt <= (strstr(s.name, "moe") ? 0.1 : generated));
        close_scene(&s);
    }
}

/* What each sequence is: tokens[start ..) in these steps, prompts or not. */
static const struct {
    uint32_t start, length, steps[3];
    bool prompt;
} lives[N_PARTS] = {{0, 40, {33, 1, 6}, true},
                    {20, 9, {2, 6, 1}, false},
                    {50, 33, {20, 0, 13}, true},
                    {7, 17, {0, 16, 1}, false}};

static float alone[N_PARTS][40 * N_VOCAB], mixed[N_PARTS][40 * N_VOCAB];

static void compute_mixed(struct scene *s, const unsigned order[N_PARTS]) {
    uint32_t fed[N_PARTS] = {0};
    hearth_error err = {0};
    for (int step = 0; step < 3; step++) {
        struct context_part parts[N_PARTS];
        for (int i = 0; i < N_PARTS; i++) {
            unsigned q = order[i];
            parts[i] = (struct context_part){.sequence = q,
                                             .tokens = s->tokens + lives[q].start + fed[q],
                                             .n_tokens = lives[q].steps[step],
                                             .all_logits = true,
                                             .prompt = lives[q].prompt};
        }
        expect_ok(context_decode(s->context, parts, N_PARTS, rows, &err), &err);
        const float *row = rows;
        for (int i = 0; i < N_PARTS; i++) {
            unsigned q = order[i];
            size_t n = lives[q].steps[step];
            memcpy(mixed[q] + (size_t)fed[q] * N_VOCAB, row, n * N_VOCAB * sizeof *row);
            row += n * N_VOCAB;
            fed[q] += (uint32_t)n;
        }
    }
}

static void neighbours_change_no_bit(void **state) {
    static const unsigned orders[][N_PARTS] = {{3, 2, 0, 1}, {1, 0, 3, 2}};
    (void)state;
    need_model();
    for (int m = 0; m < N_MODELS; m++) {
        struct scene s;
        use_prompts(true);
        open_scene(&s, models[m]);
        for (uint32_t q = 0; q < N_PARTS; q++)
            append(&s, q, lives[q].start, lives[q].length, N_TOKENS, lives[q].prompt, alone[q]);
        for (int o = 0; o < 2; o++) {
            open_context(&s, o == 1 ? 11 : N_TOKENS, false);
            compute_mixed(&s, orders[o]);
            for (int q = 0; q < N_PARTS; q++)
                expect_same(&s, "among others", mixed[q], alone[q], lives[q].length);
        }
        use_prompts(false); /* generated rows do not know that there is a unit */
        open_context(&s, N_TOKENS, false);
        for (uint32_t q = 0; q < N_PARTS; q++) {
            append(&s, q, lives[q].start, lives[q].length, N_TOKENS, false, rows);
            if (!lives[q].prompt)
                expect_same(&s, "generated", mixed[q], rows, lives[q].length);
            else
                assert_memory_not_equal(mixed[q], rows, lives[q].length * N_VOCAB * sizeof(float));
        }
        close_scene(&s);
    }
}

static void pieces_change_no_bit(void **state) {
    static const uint32_t chunks[] = {1, 16, 17};
    (void)state;
    need_model();
    use_prompts(true);
    for (int m = 1; m < N_MODELS; m += 3) {
        struct scene s;
        open_scene(&s, models[m]);
        append(&s, 0, 0, 34, N_TOKENS, true, rows);
        for (uint32_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            context_sequence_truncate(s.context, c % N_PARTS, 0);
            append(&s, c % N_PARTS, 0, 34, chunks[c], true, again);
            expect_same(&s, "in pieces", again, rows, 34);
        }
        close_scene(&s);
    }
}

static void exact_arithmetic_stays_exact(void **state) {
    (void)state;
    need_model();
    use_prompts(true);
    struct scene s;
    open_scene(&s, "quantmodels/q4_0");
    open_context(&s, N_TOKENS, true);
    append(&s, 0, 0, N_TOKENS, N_TOKENS, false, rows);
    atomic_store(&products, 0);
    append(&s, 1, 0, N_TOKENS, N_TOKENS, true, again);
    expect_same(&s, "exact", again, rows, N_TOKENS);
    assert_int_equal(atomic_load(&products), 0);
    close_scene(&s);
}

static void f32_weights_stay_exact(void **state) {
    (void)state;
    need_model();
    use_prompts(true);
    struct scene s = {.name = "arch/llama-moe"};
    hearth_error err = {0};
    read_tokens(testdata("arch/llama-moe/tokens.txt"), s.tokens);
    expect_ok(model_open(&s.model, testdata("arch/llama-moe/model.gguf"), &err), &err);
    open_context(&s, N_TOKENS, false);
    append(&s, 0, 0, N_TOKENS, N_TOKENS, false, rows);
    atomic_store(&products, 0);
    append(&s, 1, 0, N_TOKENS, N_TOKENS, true, again);
    expect_same(&s, "F32", again, rows, N_TOKENS);
    assert_int_equal(atomic_load(&products), 0);
    close_scene(&s);
}

static void sessions_tell_prompts_from_generated_tokens(void **state) {
    (void)state;
    need_model();
    use_prompts(true);
    struct scene s;
    struct session *session;
    hearth_error err = {0};
    open_scene(&s, "quantmodels/q4_0");
    expect_ok(session_open(&session, s.context, 0, &err), &err);
    atomic_store(&products, 0);
    expect_ok(session_set(session, s.tokens, 20, NULL, NULL, NULL, &err), &err);
    assert_true(atomic_load(&products) > 0);
    atomic_store(&products, 0);
    expect_ok(session_append(session, s.tokens[20], &err), &err);
    assert_int_equal(atomic_load(&products), 0);
    session_close(session);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_as_near_as_generated_rows),
        cmocka_unit_test(neighbours_change_no_bit),
        cmocka_unit_test(pieces_change_no_bit),
        cmocka_unit_test(exact_arithmetic_stays_exact),
        cmocka_unit_test(f32_weights_stay_exact),
        cmocka_unit_test(sessions_tell_prompts_from_generated_tokens),
    };
    return cmocka_run_group_tests_name("infer/prompts", tests, scratch_open, scratch_close);
}
