/* Pages of the cache that several sequences use: forks that part are as if each had been computed
 * alone, bit for bit, pages are counted, and too few are an error that changes nothing. */
#include "model/golden.h"

#include <string.h>

#include "base/mem.h"
#include "infer/context.h"

enum { N_SEQUENCES = 3, N_CTX = 96, PAGES = N_CTX / CACHE_PAGE_TOKENS };

static const char *const families[] = {"llama-dense",      "qwen35-dense", "granitehybrid-dense",
                                       "lfm2-dense",       "gemma3-dense", "deepseek2-moe",
                                       "nemotron_h-dense", "gpt-oss-moe"};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

struct scene {
    struct model model;
    struct context *context;
    int32_t tokens[N_TOKENS];
};

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static void open_scene(struct scene *s, const char *family, uint32_t n_pages, enum elem cache) {
    char path[128];
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = N_CTX;
    options.n_sequences = N_SEQUENCES;
    options.n_pages = n_pages;
    options.n_states = 2;
    options.k_type = options.v_type = cache;
    snprintf(path, sizeof path, "arch/%s/tokens.txt", family);
    read_tokens(testdata(path), s->tokens);
    snprintf(path, sizeof path, "arch/%s/model.gguf", family);
    expect_ok(model_open(&s->model, testdata(path), &err), &err);
    expect_ok(context_open(&s->context, &s->model, &options, &err), &err);
}

static void close_scene(struct scene *s) {
    context_close(s->context);
    model_close(&s->model);
}

static uint32_t free_pages(const struct scene *s) {
    return context_pages(s->context)->n_free;
}

static hearth_status append(struct scene *s, uint32_t sequence, uint32_t from, uint32_t n,
                            float *logits) {
    struct context_part part = {
        .sequence = sequence, .tokens = s->tokens + from, .n_tokens = n, .all_logits = true};
    return context_decode(s->context, &part, 1, logits, NULL);
}

static float alone[2][N_TOKENS * N_VOCAB], shared[2][N_TOKENS * N_VOCAB];

/* Two continuations of tokens[0 .. at), of 20 tokens each. */
static void fork_at(struct scene *s, uint32_t at, const char *family) {
    hearth_error err = {0};
    for (uint32_t q = 0; q < 2; q++) {
        assert_int_equal(append(s, q, 0, at, alone[q]), HEARTH_OK);
        assert_int_equal(append(s, q, 10 + q, 20, alone[q]), HEARTH_OK);
        context_sequence_truncate(s->context, q, 0);
    }
    assert_int_equal(append(s, 2, 0, at, shared[0]), HEARTH_OK);
    uint32_t before = free_pages(s);
    expect_ok(context_sequence_fork(s->context, 2, 0, &err), &err);
    assert_int_equal(free_pages(s), before);
    assert_int_equal(context_sequence_length(s->context, 0), at);
    assert_int_equal(append(s, 2, 10, 20, shared[0]), HEARTH_OK);
    assert_int_equal(append(s, 0, 11, 20, shared[1]), HEARTH_OK);
    for (int q = 0; q < 2; q++)
        if (memcmp(shared[q], alone[q], 20 * N_VOCAB * sizeof(float)) != 0)
            fail_msg("%s: continuation %d of %u shared tokens is not what it is alone", family, q,
                     at);
    context_sequence_truncate(s->context, 0, 0);
    context_sequence_truncate(s->context, 2, 0);
    assert_int_equal(free_pages(s), N_SEQUENCES * PAGES);
}

static void forks_part_as_if_alone(void **state) {
    static const uint32_t lengths[] = {1, 31, 32, 33, 50, 64};
    (void)state;
    for (int f = 0; f < N_FAMILIES; f++) {
        struct scene s;
        open_scene(&s, families[f], 0, f % 2 ? ELEM_F16 : ELEM_Q8_0);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            fork_at(&s, lengths[i], families[f]);
        close_scene(&s);
    }
}

/* What another sequence, or the table, needs is copied before it is written. */
static void what_is_shared_is_never_written(void **state) {
    struct scene s;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, "llama-dense", 0, ELEM_F16);
    struct page_table *table = context_pages(s.context);
    assert_int_equal(append(&s, 0, 0, 64, alone[0]), HEARTH_OK);
    uint32_t first = context_sequence_page(s.context, 0, 0),
             second = context_sequence_page(s.context, 0, 1);
    page_table_keep(table, first);
    page_table_keep(table, second);
    context_sequence_truncate(s.context, 0, 40);
    assert_int_equal(append(&s, 0, 3, 24, shared[0]), HEARTH_OK);
    assert_int_equal(context_sequence_page(s.context, 0, 0), first);
    assert_int_not_equal(context_sequence_page(s.context, 0, 1), second);
    context_sequence_truncate(s.context, 0, 0);
    assert_int_equal(table->n_idle, 2);
    assert_int_equal(free_pages(&s), N_SEQUENCES * PAGES - 2);
    context_sequence_adopt(s.context, 1, first);
    context_sequence_adopt(s.context, 1, second);
    assert_int_equal(context_sequence_length(s.context, 1), 64);
    assert_int_equal(table->n_idle, 0);
    assert_int_equal(append(&s, 1, 64, 10, shared[0]), HEARTH_OK);
    assert_int_equal(append(&s, 2, 0, 64, alone[1]), HEARTH_OK);
    assert_memory_equal(alone[1], alone[0], 64 * N_VOCAB * sizeof(float));
    assert_int_equal(append(&s, 2, 64, 10, alone[1]), HEARTH_OK);
    assert_memory_equal(shared[0], alone[1], 10 * N_VOCAB * sizeof(float));
    context_sequence_exchange(s.context, 2, 0, first); /* which holds the same */
    context_sequence_truncate(s.context, 1, 0);
    page_table_forget(table, first);
    page_table_forget(table, second);
    assert_int_equal(append(&s, 2, 0, 10, alone[1]), HEARTH_OK);
    expect_ok(context_sequence_fork(s.context, 2, 1, &err), &err);
    for (uint32_t q = 0; q < N_SEQUENCES; q++)
        context_sequence_truncate(s.context, q, 0);
    assert_int_equal(free_pages(&s), N_SEQUENCES * PAGES);
    close_scene(&s);
}

static void too_few_pages_are_refused(void **state) {
    static const char *const names[] = {"llama-dense", "lfm2-dense"};
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        hearth_error err = {0};
        open_scene(&s, names[f], 1, ELEM_F16); /* raised to what one sequence needs */
        assert_int_equal(free_pages(&s), PAGES);
        assert_int_equal(append(&s, 0, 0, 40, alone[0]), HEARTH_OK);
        assert_int_equal(append(&s, 1, 0, 33, alone[1]), HEARTH_ERROR_LIMIT);
        assert_int_equal(context_sequence_length(s.context, 1), 0);
        assert_int_equal(free_pages(&s), 1);
        struct context_part parts[] = {
            {.sequence = 1, .tokens = s.tokens, .n_tokens = 20, .all_logits = true},
            {.sequence = 0, .tokens = s.tokens + 40, .n_tokens = 30, .all_logits = true}};
        assert_int_equal(context_pages_wanted(s.context, 1, 20), 1);
        assert_int_equal(context_pages_wanted(s.context, 0, 24), 0);
        assert_int_equal(context_pages_wanted(s.context, 0, 30), 1);
        assert_int_equal(context_decode(s.context, parts, 2, alone[1], &err), HEARTH_ERROR_LIMIT);
        assert_non_null(strstr(err.message, "pages"));
        assert_int_equal(append(&s, 0, 40, 24, alone[1]), HEARTH_OK); /* nothing was lost */
        expect_ok(context_sequence_fork(s.context, 0, 2, &err), &err);
        assert_int_equal(append(&s, 2, 0, 32, alone[1]), HEARTH_OK);
        assert_int_equal(append(&s, 0, 0, 1, alone[1]), HEARTH_ERROR_LIMIT);
        context_sequence_truncate(s.context, 2, 0);
        assert_int_equal(append(&s, 0, 0, 1, alone[1]), HEARTH_OK);
        close_scene(&s);
    }
}

static uint32_t states_of(const char *family, uint32_t wanted, uint64_t max_bytes) {
    char path[128];
    struct model model;
    struct context *context;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = N_CTX;
    options.n_states = wanted;
    options.max_bytes = max_bytes;
    snprintf(path, sizeof path, "arch/%s/model.gguf", family);
    expect_ok(model_open(&model, testdata(path), &err), &err);
    expect_ok(context_open(&context, &model, &options, &err), &err);
    uint32_t n = context_n_states(context);
    context_close(context);
    model_close(&model);
    return n;
}

static void saved_states_are_bounded(void **state) {
    const uint64_t much = UINT64_C(64) << 20;
    (void)state;
    assert_int_equal(states_of("llama-dense", 5, 0), 0);
    assert_int_equal(states_of("lfm2-dense", 5, 0), 5);
    uint32_t most = states_of("qwen35-dense", UINT32_MAX, much);
    assert_true(most > 0 && states_of("qwen35-dense", UINT32_MAX, 2 * much) > most);
}

/* A state is that of the end where it was saved, for whichever sequence is there. */
static void states_come_back(void **state) {
    static const char *const recurrent[] = {"qwen35-dense", "granitehybrid-dense", "lfm2-dense",
                                            "nemotron_h-dense"};
    (void)state;
    for (int f = 0; f < 4; f++) {
        struct scene s;
        hearth_error err = {0};
        open_scene(&s, recurrent[f], 0, ELEM_F16);
        assert_int_equal(append(&s, 0, 0, 32, alone[0]), HEARTH_OK);
        expect_ok(context_save_state(s.context, 0, 1, &err), &err);
        assert_int_equal(append(&s, 0, 32, 20, alone[0]), HEARTH_OK);
        context_sequence_adopt(s.context, 2, context_sequence_page(s.context, 0, 0));
        expect_ok(context_load_state(s.context, 2, 1, &err), &err);
        assert_int_equal(append(&s, 2, 32, 20, shared[0]), HEARTH_OK);
        assert_memory_equal(shared[0], alone[0], 20 * N_VOCAB * sizeof(float));
        close_scene(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_part_as_if_alone),
        cmocka_unit_test(what_is_shared_is_never_written),
        cmocka_unit_test(too_few_pages_are_refused),
        cmocka_unit_test(saved_states_are_bounded),
        cmocka_unit_test(states_come_back),
    };
    return cmocka_run_group_tests_name("infer/shared_pages", tests, NULL, NULL);
}
