/* Sequences with adapters of their own in one batch: every row is, bit for bit, what it is alone in
 * a context of that set, at every level of the processor and in the arithmetic of prompts; and what
 * a sequence may be given. */
#include "kernels/prompt_model.h"
#include "model/golden.h"
#include "model/random_adapter.h"

static const char *const models[] = {"arch/llama-dense", "arch/qwen2-dense", "arch/gpt-oss-moe",
                                     "quantmodels/q4_k_m"};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* Adapters of every kind; what none of them has is there, too: layers without any. */
static const struct random_adapter_shape shapes[] = {
    {.seed = 1, .rank = 8},
    {.seed = 2, .rank = 20, .a_type = ELEM_F16, .b_type = ELEM_F16},
    {.seed = 3, .rank = 32, .a_type = ELEM_Q8_0, .b_type = ELEM_Q8_0, .stem = ".attn_"},
    {.seed = 4, .rank = 3, .decomposed = true, .stem = ".attn_"},
};
enum { N_ADAPTERS = sizeof shapes / sizeof shapes[0] };
static const float decomposed_scale = 0.75f;

/* What a sequence is computed with (scales; 0: without), and what it is: tokens[start ..) in these
 * steps, of which the first are a prompt's. */
enum { N_SEQUENCES = 9, N_STEPS = 4, LONGEST = 48 };
static const struct life {
    float scales[N_ADAPTERS];
    uint32_t start, steps[N_STEPS];
} lives[N_SEQUENCES] = {
    {{0, 0, 0, 0}, 0, {33, 5, 1, 1}},     {{1, 0, 0, 0}, 0, {33, 5, 1, 1}},
    {{1, 0, 0, 0}, 3, {17, 1, 1, 2}},     {{-0.5f, 0, 0, 0}, 0, {1, 20, 1, 0}},
    {{0, 1, 0, 0}, 0, {24, 16, 1, 1}},    {{0, 0, 0.7f, 0}, 9, {5, 0, 1, 1}},
    {{0, 0, 0, 0.75f}, 0, {30, 2, 1, 1}}, {{0.3f, 1, 0.5f, 0.75f}, 0, {8, 9, 1, 1}},
    {{0, 1, 0, 0}, 40, {7, 1, 0, 1}},
};

struct scene {
    struct model model;
    struct random_adapter adapters[N_ADAPTERS];
    struct context *context;
    int32_t tokens[N_TOKENS];
    bool exact;
};

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static struct context *new_context(const struct scene *s, uint32_t n_sequences, unsigned threads) {
    struct context_options options = context_defaults();
    struct context *context;
    hearth_error err = {0};
    options.n_threads = threads;
    options.n_ctx = N_TOKENS;
    options.n_sequences = n_sequences;
    options.max_batch = 100; /* less than the first step has */
    options.activations_f32 = s->exact;
    expect_ok(context_open(&context, &s->model, &options, &err), &err);
    return context;
}

static void load(const struct scene *s, const struct adapter *adapter, float scale,
                 hearth_status expected) {
    const struct adapter_item item = {adapter, scale};
    assert_int_equal(context_load_adapters(s->context, &item, 1, NULL), expected);
}

static void open_scene(struct scene *s, const char *name, bool exact, unsigned threads) {
    char file[128];
    hearth_error err = {0};
    memset(s, 0, sizeof *s);
    s->exact = exact;
    snprintf(file, sizeof file, "%s/tokens.txt", name);
    read_tokens(testdata(file), s->tokens);
    snprintf(file, sizeof file, "%s/model.gguf", name);
    expect_ok(model_open(&s->model, testdata(file), &err), &err);
    for (int a = 0; a < N_ADAPTERS; a++)
        random_adapter_open(&s->adapters[a], &s->model, &shapes[a]);
    s->context = new_context(s, N_SEQUENCES, threads);
    for (int a = 0; a < N_ADAPTERS; a++)
        load(s, &s->adapters[a].adapter, shapes[a].decomposed ? decomposed_scale : 1, HEARTH_OK);
}

static void close_scene(struct scene *s) {
    context_close(s->context);
    for (int a = 0; a < N_ADAPTERS; a++)
        random_adapter_close(&s->adapters[a]);
    model_close(&s->model);
}

static struct adapter_set set_of(const struct scene *s, const struct life *life) {
    struct adapter_set set = {.count = 0};
    for (int a = 0; a < N_ADAPTERS; a++)
        if (life->scales[a] != 0)
            set.items[set.count++] =
                (struct adapter_item){&s->adapters[a].adapter, life->scales[a]};
    return set;
}

static struct context_part part_of(const struct scene *s, uint32_t sequence, int step,
                                   uint32_t at) {
    return (struct context_part){.tokens = s->tokens + lives[sequence].start + at,
                                 .n_tokens = lives[sequence].steps[step],
                                 .all_logits = true,
                                 .prompt = step < 2};
}

static float alone[N_SEQUENCES][LONGEST * N_VOCAB], mixed[N_SEQUENCES][LONGEST * N_VOCAB];
static float rows[N_SEQUENCES * LONGEST * N_VOCAB], again[N_TOKENS * N_VOCAB];

static void compute_alone(const struct scene *s, uint32_t sequence) {
    struct context *context = new_context(s, 1, 1);
    struct adapter_set set = set_of(s, &lives[sequence]);
    hearth_error err = {0};
    uint32_t at = 0;
    expect_ok(context_set_adapters(context, &set, &err), &err);
    for (int step = 0; step < N_STEPS; step++) {
        struct context_part part = part_of(s, sequence, step, at);
        expect_ok(context_decode(context, &part, 1, alone[sequence] + (size_t)at * N_VOCAB, &err),
                  &err);
        at += part.n_tokens;
    }
    context_close(context);
}

static void compute_mixed(const struct scene *s, const unsigned order[N_SEQUENCES]) {
    uint32_t at[N_SEQUENCES] = {0};
    hearth_error err = {0};
    for (uint32_t q = 0; q < N_SEQUENCES; q++) {
        struct adapter_set set = set_of(s, &lives[q]);
        context_sequence_truncate(s->context, q, 0);
        expect_ok(context_sequence_set_adapters(s->context, q, &set, &err), &err);
    }
    for (int step = 0; step < N_STEPS; step++) {
        struct context_part parts[N_SEQUENCES];
        for (uint32_t i = 0; i < N_SEQUENCES; i++) {
            parts[i] = part_of(s, order[i], step, at[order[i]]);
            parts[i].sequence = order[i];
        }
        expect_ok(context_decode(s->context, parts, N_SEQUENCES, rows, &err), &err);
        const float *row = rows;
        for (uint32_t i = 0; i < N_SEQUENCES; i++) {
            size_t n = (size_t)parts[i].n_tokens * N_VOCAB;
            memcpy(mixed[order[i]] + (size_t)at[order[i]] * N_VOCAB, row, n * sizeof *row);
            at[order[i]] += parts[i].n_tokens;
            row += n;
        }
    }
}

static uint32_t length_of(const struct life *life) {
    uint32_t n = 0;
    for (int step = 0; step < N_STEPS; step++)
        n += life->steps[step];
    return n;
}

static void expect_as_alone(const char *what) {
    for (uint32_t q = 0; q < N_SEQUENCES; q++) {
        size_t n = (size_t)length_of(&lives[q]) * N_VOCAB;
        for (size_t i = 0; i < n; i++)
            if (memcmp(&alone[q][i], &mixed[q][i], sizeof alone[q][i]) != 0)
                fail_msg("%s: sequence %u, row %zu, logit %zu is %.9g, alone %.9g", what, q,
                         i / N_VOCAB, i % N_VOCAB, (double)mixed[q][i], (double)alone[q][i]);
    }
}

/* Lives that begin with the same tokens differ from the one without adapters. */
static void expect_effect(void) {
    for (uint32_t q = 1; q < N_SEQUENCES; q++)
        if (lives[q].start == 0) assert_true(nmse(mixed[q], mixed[0], N_VOCAB) > 1e-4);
}

static const unsigned orders[][N_SEQUENCES] = {{0, 1, 2, 3, 4, 5, 6, 7, 8},
                                               {7, 1, 0, 8, 6, 4, 2, 5, 3}};

static void check_model(const char *name, const char *what, unsigned threads) {
    struct scene s;
    open_scene(&s, name, false, threads);
    for (uint32_t q = 0; q < N_SEQUENCES; q++)
        compute_alone(&s, q);
    for (int o = 0; o < 2; o++) {
        compute_mixed(&s, orders[o]);
        expect_as_alone(what);
        expect_effect();
    }
    close_scene(&s);
}

/* ---- rows --------------------------------------------------------------------------- */

static const enum cpu_level levels[] = {CPU_SCALAR, CPU_AVX2,    CPU_AVX512, CPU_AMX,
                                        CPU_NEON,   CPU_DOTPROD, CPU_I8MM};
enum { N_LEVELS = sizeof levels / sizeof levels[0] };

static void every_level_gives_rows_as_alone(void **state) {
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        if (!cpu_has(levels[l])) continue;
        setenv("HEARTH_CPU", cpu_level_name(levels[l]), 1);
        for (int m = 0; m < N_MODELS; m++) {
            char what[128];
            snprintf(what, sizeof what, "%s, %s", models[m], cpu_level_name(levels[l]));
            check_model(models[m], what, levels[l] == cpu_best() && m == 0 ? 2 : 1);
        }
    }
    unsetenv("HEARTH_CPU");
}

static void levels_agree_with_scalar(void **state) {
    static float scalar[N_SEQUENCES][LONGEST * N_VOCAB];
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        struct scene s;
        if (!cpu_has(levels[l])) continue;
        setenv("HEARTH_CPU", cpu_level_name(levels[l]), 1);
        open_scene(&s, "arch/llama-dense", true, 1);
        compute_mixed(&s, orders[0]);
        if (levels[l] == CPU_SCALAR) memcpy(scalar, mixed, sizeof scalar);
        for (uint32_t q = 0; q < N_SEQUENCES; q++)
            assert_true(nmse(mixed[q], scalar[q], (size_t)length_of(&lives[q]) * N_VOCAB) < 1e-8);
        close_scene(&s);
    }
    unsetenv("HEARTH_CPU");
}

static void so_does_the_arithmetic_of_prompts(void **state) {
    enum cpu_level level;
    hearth_error err = {0};
    (void)state;
    expect_ok(cpu_choose(&level, &err), &err);
    if (!prompt_model_runs()) {
        print_message("[  SKIPPED ] no AVX-512 with VBMI and BF16 here\n");
        skip();
    }
    const struct prompt_kernels *own = kernels_for(level)->prompt;
    prompt_model_use(level, &amx_model_prompt);
    for (int m = 0; m < N_MODELS; m++)
        check_model(models[m], models[m], 1);
    prompt_model_use(level, own);
}

/* ---- sets --------------------------------------------------------------------------- */

static void sequences_have_the_contexts_own_by_default(void **state) {
    struct scene s;
    struct life own = {.scales = {0.5f, 0, 1}};
    hearth_error err = {0};
    (void)state;
    open_scene(&s, models[0], false, 1);
    struct adapter_set set = set_of(&s, &own), half = {.items = {set.items[0]}, .count = 1};
    struct context_part parts[3];
    for (uint32_t q = 0; q < 3; q++)
        parts[q] = (struct context_part){
            .sequence = q, .tokens = s.tokens, .n_tokens = 12, .all_logits = true};
    expect_ok(context_set_adapters(s.context, &set, &err), &err);
    expect_ok(context_sequence_set_adapters(s.context, 1, &half, &err), &err);
    expect_ok(context_sequence_set_adapters(s.context, 2, &half, &err), &err);
    expect_ok(context_sequence_set_adapters(s.context, 2, NULL, &err), &err);
    expect_ok(context_decode(s.context, parts, 3, rows, &err), &err);
    assert_memory_equal(rows, rows + (size_t)24 * N_VOCAB, sizeof *rows * 12 * N_VOCAB);
    assert_memory_not_equal(rows, rows + (size_t)12 * N_VOCAB, sizeof *rows * 12 * N_VOCAB);
    for (uint32_t q = 0; q < 3; q++)
        context_sequence_truncate(s.context, q, 0);
    expect_ok(context_use_adapters(s.context, &half, &err), &err);
    expect_ok(context_decode(s.context, parts, 1, again, &err), &err);
    assert_memory_equal(again, rows + (size_t)12 * N_VOCAB, sizeof *rows * 12 * N_VOCAB);
    context_sequence_truncate(s.context, 0, 0);
    assert_int_equal(context_adapters(s.context)->count, 1);
    expect_ok(context_set_adapters(s.context, &half, &err), &err); /* and forgets theirs */
    expect_ok(context_decode(s.context, parts, 3, again, &err), &err);
    assert_memory_equal(again, rows + (size_t)12 * N_VOCAB, sizeof *rows * 12 * N_VOCAB);
    assert_memory_equal(again, again + (size_t)12 * N_VOCAB, sizeof *rows * 12 * N_VOCAB);
    close_scene(&s);
}

static void forks_keep_them(void **state) {
    struct scene s;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, models[0], false, 1);
    struct adapter_set set = set_of(&s, &lives[7]);
    struct context_part parts[2] = {{.tokens = s.tokens, .n_tokens = 20, .all_logits = true}};
    expect_ok(context_sequence_set_adapters(s.context, 0, &set, &err), &err);
    expect_ok(context_decode(s.context, parts, 1, rows, &err), &err);
    expect_ok(context_sequence_fork(s.context, 0, 5, &err), &err);
    for (int i = 0; i < 2; i++)
        parts[i] = (struct context_part){
            .sequence = i ? 5 : 0, .tokens = s.tokens + 20, .n_tokens = 4, .all_logits = true};
    expect_ok(context_decode(s.context, parts, 2, rows, &err), &err);
    assert_memory_equal(rows, rows + (size_t)4 * N_VOCAB, sizeof *rows * 4 * N_VOCAB);
    close_scene(&s);
}

static void expect_refused(struct scene *s, struct adapter_set set, hearth_status status,
                           const char *what) {
    hearth_error err = {0};
    assert_int_equal(context_sequence_set_adapters(s->context, 0, &set, &err), status);
    if (!strstr(err.message, what)) fail_msg("'%s' is not in '%s'", what, err.message);
}

static void what_cannot_be_is_refused(void **state) {
    struct scene s;
    struct random_adapter other, also_decomposed;
    struct random_adapter_shape decomposed = shapes[3];
    hearth_error err = {0};
    (void)state;
    open_scene(&s, models[0], false, 1);
    decomposed.seed = 5;
    random_adapter_open(&other, &s.model, &shapes[0]);
    random_adapter_open(&also_decomposed, &s.model, &decomposed);
    const struct adapter *a = &s.adapters[0].adapter, *b = &s.adapters[1].adapter;
    const struct adapter *dora = &s.adapters[3].adapter, *dora2 = &also_decomposed.adapter;
    load(&s, dora2, 1, HEARTH_OK);
    expect_refused(&s, (struct adapter_set){{{&other.adapter, 1}}, 1}, HEARTH_ERROR_NOT_FOUND,
                   "not loaded");
    expect_refused(&s, (struct adapter_set){{{a, 1}, {a, 0.5f}}, 2}, HEARTH_ERROR_ARGUMENT,
                   "twice");
    expect_refused(&s, (struct adapter_set){{{b, 1}, {a, 0.5f}}, 2}, HEARTH_ERROR_ARGUMENT,
                   "order of loading");
    expect_refused(&s, (struct adapter_set){{{a, NAN}}, 1}, HEARTH_ERROR_ARGUMENT, "scale");
    expect_refused(&s, (struct adapter_set){{{dora, 0.5f}}, 1}, HEARTH_ERROR_UNSUPPORTED,
                   "loaded with scale 0.75");
    expect_refused(&s, (struct adapter_set){{{dora, decomposed_scale}, {dora2, 1}}, 2},
                   HEARTH_ERROR_UNSUPPORTED, "two weight-decomposed adapters");
    struct adapter_set fine = {{{dora, decomposed_scale}, {dora2, 0}}, 2};
    expect_ok(context_sequence_set_adapters(s.context, 0, &fine, &err), &err);
    struct context_part part = {.tokens = s.tokens, .n_tokens = 3};
    expect_ok(context_decode(s.context, &part, 1, NULL, &err), &err);
    expect_refused(&s, fine, HEARTH_ERROR_ARGUMENT, "holds 3 tokens");
    close_scene(&s);
    random_adapter_close(&other);
    random_adapter_close(&also_decomposed);
}

static void many_can_be_loaded(void **state) {
    static struct random_adapter many[ADAPTER_LOADED_MAX + 1];
    struct scene s;
    struct random_adapter_shape shape = {.rank = 2, .stem = "blk.0.attn_q."};
    hearth_error err = {0};
    (void)state;
    open_scene(&s, models[0], false, 1);
    expect_ok(context_set_adapters(s.context, NULL, &err), &err);
    for (int i = 0; i <= ADAPTER_LOADED_MAX; i++) {
        shape.seed = (uint64_t)i;
        random_adapter_open(&many[i], &s.model, &shape);
        load(&s, &many[i].adapter, 1, i < ADAPTER_LOADED_MAX ? HEARTH_OK : HEARTH_ERROR_LIMIT);
    }
    struct adapter_set last = {{{&many[ADAPTER_LOADED_MAX - 1].adapter, 1}}, 1};
    struct context *context = new_context(&s, 1, 1);
    struct context_part part = {.tokens = s.tokens, .n_tokens = 9, .all_logits = true};
    expect_ok(context_sequence_set_adapters(s.context, 0, &last, &err), &err);
    expect_ok(context_set_adapters(context, &last, &err), &err);
    expect_ok(context_decode(s.context, &part, 1, rows, &err), &err);
    expect_ok(context_decode(context, &part, 1, again, &err), &err);
    assert_memory_equal(rows, again, sizeof *rows * 9 * N_VOCAB);
    context_close(context);
    close_scene(&s);
    for (int i = 0; i <= ADAPTER_LOADED_MAX; i++)
        random_adapter_close(&many[i]);
}

static void identities_say_what_a_set_does(void **state) {
    struct scene s;
    uint8_t none[SHA256_BYTES], other[SHA256_BYTES], same[SHA256_BYTES];
    (void)state;
    open_scene(&s, models[0], false, 1);
    const struct adapter *a = &s.adapters[0].adapter, *b = &s.adapters[1].adapter;
    const struct adapter_set sets[] = {
        {.count = 0}, {{{a, 1}}, 1}, {{{a, 0.5f}}, 1}, {{{b, 1}}, 1}, {{{a, 1}, {b, 1}}, 2}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        adapter_set_identity(&sets[i], none);
        for (size_t j = 0; j < i; j++) {
            adapter_set_identity(&sets[j], other);
            assert_memory_not_equal(none, other, sizeof none);
        }
    }
    const struct adapter_set without = {{{a, 0}, {b, 1}}, 2};
    adapter_set_identity(&without, other);
    adapter_set_identity(&sets[3], same);
    assert_memory_equal(other, same, sizeof same);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_gives_rows_as_alone),
        cmocka_unit_test(levels_agree_with_scalar),
        cmocka_unit_test(so_does_the_arithmetic_of_prompts),
        cmocka_unit_test(sequences_have_the_contexts_own_by_default),
        cmocka_unit_test(forks_keep_them),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(many_can_be_loaded),
        cmocka_unit_test(identities_say_what_a_set_does),
    };
    return cmocka_run_group_tests_name("infer/sequence_adapters", tests, NULL, NULL);
}
