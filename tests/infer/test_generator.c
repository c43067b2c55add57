/* Sessions and the generator, with a real small model: the golden greedy continuations,
 * reuse of prefixes, shifting, and every way an answer ends. */
#include "testdata.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "infer/generator.h"

enum { MAX_TOKENS = 600, MAX_TEXT = 8192 };

struct scene {
    struct model model;
    struct tokenizer *tokenizer;
    struct context *context;
    struct session *session;
    struct sampler *sampler;
    struct sampler_workspace *workspace;
};

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static void open_scene(struct scene *s, const char *name, uint32_t n_ctx) {
    hearth_error err = {0};
    struct sampler_params params = sampler_params_default();
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = n_ctx;
    options.n_sequences = 2;
    options.k_type = options.v_type = ELEM_F32;
    params.temperature = 0;
    params.repeat_penalty = 1;
    *s = (struct scene){0};
    expect_ok(model_open(&s->model, testdata(name), &err), &err);
    tokenizer_open(&s->tokenizer, &s->model.directory.metadata, NULL);
    expect_ok(context_open(&s->context, &s->model, &options, &err), &err);
    expect_ok(session_open(&s->session, s->context, 1, &err), &err);
    expect_ok(sampler_open(&s->sampler, &params, s->model.config.n_vocab, &err), &err);
    expect_ok(sampler_workspace_open(&s->workspace, s->model.config.n_vocab, &err), &err);
}

static void close_scene(struct scene *s) {
    sampler_workspace_close(s->workspace);
    sampler_close(s->sampler);
    session_close(s->session);
    context_close(s->context);
    tokenizer_close(s->tokenizer);
    model_close(&s->model);
}

struct answer {
    char text[MAX_TEXT];
    size_t length, calls, stop_after; /* stop_after calls; 0: never */
};

static bool collect(void *context, const char *text, size_t n) {
    struct answer *a = context;
    assert_true(a->length + n < MAX_TEXT);
    memcpy(a->text + a->length, text, n);
    a->length += n;
    a->text[a->length] = '\0';
    return ++a->calls != a->stop_after;
}

static struct generation_stats answer(struct scene *s, const int32_t *prompt, uint32_t n,
                                      struct generation_options options, struct answer *a) {
    struct generation_stats stats;
    hearth_error err = {0};
    options.on_text = collect;
    options.context = a;
    expect_ok(generate(s->session, s->sampler, s->workspace, s->tokenizer, prompt, n, &options,
                       &stats, &err),
              &err);
    return stats;
}

static const char model_name[] = "models/stories260K/stories260K.gguf";
static const int32_t once[] = {1, 403, 407, 261, 378}; /* "Once upon a time" */

static uint32_t read_ids(const json_t *array, int32_t *ids) {
    size_t n = json_array_size(array);
    assert_true(n > 0 && n <= MAX_TOKENS);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return (uint32_t)n;
}

static void continue_greedily(struct scene *s, const json_t *object) {
    int32_t prompt[MAX_TOKENS], expected[MAX_TOKENS];
    uint32_t n_prompt = read_ids(json_object_get(object, "prompt_ids"), prompt), n;
    uint32_t n_expected = read_ids(json_object_get(object, "greedy_ids"), expected);
    struct answer a = {0};
    struct generation_stats stats =
        answer(s, prompt, n_prompt,
               (struct generation_options){.max_tokens = n_expected, .ignore_end = true}, &a);
    assert_int_equal(stats.n_generated, n_expected);
    assert_int_equal(stats.end, GENERATION_LENGTH);
    const int32_t *ids = session_tokens(s->session, &n);
    assert_int_equal(n, n_prompt + n_expected - 1);
    for (uint32_t i = 0; i + 1 < n_expected; i++)
        if (ids[n_prompt + i] != expected[i])
            fail_msg("token %u is %d; %d was expected", i, ids[n_prompt + i], expected[i]);
    const char *text = json_string_value(json_object_get(object, "text"));
    if (text) assert_string_equal(a.text + (*a.text == ' ' && *text != ' '), text);
}

static void greedy_answers_are_the_golden_ones(void **state) {
    static const char *const files[] = {"perplexity/greedy.json",
                                        "models/stories260K/greedy_ids.json"};
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        size_t i;
        json_t *one;
        open_scene(&s, model_name, 512);
        json_t *file = json_load_file(testdata(files[f]), 0, NULL);
        const json_t *cases = json_object_get(file, "cases");
        json_array_foreach(cases, i, one) continue_greedily(&s, one);
        if (!cases) continue_greedily(&s, file);
        json_decref(file);
        close_scene(&s);
    }
}

static void a_stop_text_may_lie_across_tokens(void **state) {
    struct scene s;
    static struct answer whole, cut;
    (void)state;
    open_scene(&s, model_name, 512);
    whole = (struct answer){0};
    answer(&s, once, 5, (struct generation_options){.max_tokens = 60}, &whole);
    for (size_t at = 3; at + 12 < whole.length; at += 7)
        for (size_t n = 1; n <= 11; n += 5) {
            char stop[16] = {0};
            memcpy(stop, whole.text + at, n);
            const char *stops[] = {"never said", stop, ""};
            cut = (struct answer){0};
            struct generation_stats stats = answer(
                &s, once, 5,
                (struct generation_options){.max_tokens = 60, .stops = stops, .n_stops = 3}, &cut);
            size_t first = (size_t)(strstr(whole.text, stop) - whole.text);
            assert_int_equal(stats.end, GENERATION_STOP_TEXT);
            if (cut.length != first || memcmp(cut.text, whole.text, first) != 0)
                fail_msg("stop '%s': '%s'", stop, cut.text);
        }
    close_scene(&s);
}

/* What could begin a stop text is held back, but not lost. */
static void what_only_begins_like_a_stop_text_is_given(void **state) {
    struct scene s;
    static struct answer whole, held;
    (void)state;
    open_scene(&s, model_name, 512);
    whole = held = (struct answer){0};
    answer(&s, once, 5, (struct generation_options){.max_tokens = 40}, &whole);
    char almost[64];
    size_t tail = whole.length - 9;
    snprintf(almost, sizeof almost, "%s#", whole.text + tail);
    const char *stops[] = {almost, " a girl", "xyz"};
    struct generation_stats stats =
        answer(&s, once, 5,
               (struct generation_options){.max_tokens = 40, .stops = stops, .n_stops = 3}, &held);
    assert_int_equal(stats.end, GENERATION_LENGTH);
    assert_string_equal(held.text, whole.text);
    close_scene(&s);
}

static bool refuse(void *context, uint32_t done, uint32_t total) {
    (void)total;
    (void)context;
    return done < 512;
}

static void answers_end_when_told(void **state) {
    struct scene s;
    static struct answer a;
    hearth_error err = {0};
    struct generation_stats stats;
    (void)state;
    open_scene(&s, model_name, 1024);
    a = (struct answer){.stop_after = 4};
    stats = answer(&s, once, 5, (struct generation_options){.max_tokens = 60}, &a);
    assert_int_equal(stats.end, GENERATION_CANCELLED);
    assert_int_equal(a.calls, 4);
    a = (struct answer){0};
    stats = answer(&s, once, 5, (struct generation_options){.max_tokens = 1}, &a);
    assert_int_equal(stats.end, GENERATION_LENGTH);
    assert_int_equal(stats.n_generated, 1);
    int32_t longer[600];
    for (int i = 0; i < 600; i++)
        longer[i] = once[i % 5];
    struct generation_options options = {.max_tokens = 3, .on_progress = refuse};
    session_clear(s.session);
    assert_int_equal(generate(s.session, s.sampler, s.workspace, s.tokenizer, longer, 600, &options,
                              &stats, &err),
                     HEARTH_ERROR_CANCELLED);
    uint32_t n;
    session_tokens(s.session, &n);
    assert_int_equal(n, 512); /* what was computed stays */
    options.on_progress = NULL;
    expect_ok(generate(s.session, s.sampler, s.workspace, s.tokenizer, longer, 600, &options,
                       &stats, &err),
              &err);
    assert_int_equal(stats.n_reused, 512);
    close_scene(&s);
}

static void a_full_context_ends_or_shifts(void **state) {
    struct scene s;
    static struct answer a;
    (void)state;
    for (uint32_t n_ctx = 5; n_ctx < 40; n_ctx += 9) {
        open_scene(&s, model_name, n_ctx);
        a = (struct answer){0};
        struct generation_stats stats =
            answer(&s, once, 5, (struct generation_options){.ignore_end = true}, &a);
        assert_int_equal(stats.end, GENERATION_CONTEXT);
        assert_int_equal(stats.n_generated, n_ctx - 5 + 1);
        assert_int_equal(session_room(s.session), 0);
        a = (struct answer){0};
        stats = answer(
            &s, once, 5,
            (struct generation_options){
                .ignore_end = true, .max_tokens = 70, .shift_context = true, .keep = n_ctx % 7},
            &a);
        assert_int_equal(stats.end, GENERATION_LENGTH);
        assert_int_equal(stats.n_generated, 70);
        close_scene(&s);
    }
}

/* What is sampled is not asked for, but the timeline and its logits are those of the given
 * answer. */
static void a_given_answer_is_replayed(void **state) {
    static const int32_t given[] = {410, 3, 499, 3, 77, 260, 11};
    struct scene s;
    static struct answer a;
    uint32_t n, n_vocab;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, model_name, 64);
    a = (struct answer){0};
    struct generation_stats stats =
        answer(&s, once, 5, (struct generation_options){.max_tokens = 7, .replay = given}, &a);
    assert_int_equal(stats.n_generated, 7);
    const int32_t *tokens = session_tokens(s.session, &n);
    assert_int_equal(n, 5 + 7 - 1);
    assert_memory_equal(tokens + 5, given, 6 * sizeof *given);
    n_vocab = s.model.config.n_vocab;
    float *fresh = mem_alloc_array(n_vocab, sizeof *fresh);
    struct context_part part = {.tokens = tokens, .n_tokens = n, .last_logits = true};
    expect_ok(context_decode(s.context, &part, 1, fresh, &err), &err);
    assert_memory_equal(fresh, session_logits(s.session), n_vocab * sizeof *fresh);
    mem_free(fresh);
    close_scene(&s);
}

/* ---- sessions ---- */

/* The session's logits against those of its tokens computed afresh. */
static void expect_exact(struct scene *s, const char *what) {
    uint32_t n, n_vocab = s->model.config.n_vocab;
    hearth_error err = {0};
    const int32_t *tokens = session_tokens(s->session, &n);
    float *fresh = mem_alloc_array(n_vocab, sizeof *fresh);
    assert_non_null(fresh);
    struct context_part part = {
        .sequence = 0, .tokens = tokens, .n_tokens = n, .last_logits = true};
    context_sequence_truncate(s->context, 0, 0);
    expect_ok(context_decode(s->context, &part, 1, fresh, &err), &err);
    if (memcmp(fresh, session_logits(s->session), n_vocab * sizeof *fresh) != 0)
        fail_msg("%s: the logits after %u tokens are not those of the timeline", what, n);
    assert_int_equal(context_sequence_length(s->context, 1), n);
    mem_free(fresh);
}

static void prefixes_are_reused_and_differences_computed(void **state) {
    static const char *const names[] = {"arch/llama-dense/model.gguf", "arch/lfm2-dense/model.gguf",
                                        "arch/qwen35-dense/model.gguf"};
    (void)state;
    for (int f = 0; f < 3; f++) {
        struct scene s;
        hearth_error err = {0};
        uint32_t reused, n;
        int32_t tokens[64];
        open_scene(&s, names[f], 64);
        bool recurrent = config_is_recurrent(&s.model.config);
        for (int i = 0; i < 64; i++)
            tokens[i] = (i * 37 + 11) % 128;
        const struct {
            uint32_t n, changed, reused, recurrent;
        } steps[] = {{20, 64, 0, 0},  {40, 64, 20, 20}, {40, 64, 40, 40}, {30, 64, 29, 0},
                     {50, 10, 10, 0}, {50, 49, 49, 0},  {64, 64, 50, 50}, {1, 64, 0, 0}};
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            if (steps[i].changed < 64) tokens[steps[i].changed] ^= 1;
            expect_ok(session_set(s.session, tokens, steps[i].n, NULL, NULL, &reused, &err), &err);
            assert_int_equal(reused, recurrent ? steps[i].recurrent : steps[i].reused);
            expect_exact(&s, "set");
        }
        expect_ok(session_append(s.session, 5, &err), &err);
        expect_exact(&s, "append");
        assert_int_equal(session_append(s.session, 128, &err), HEARTH_ERROR_ARGUMENT);
        session_tokens(s.session, &n);
        assert_int_equal(n, 2); /* a refused token costs nothing */
        expect_exact(&s, "after a refused token");
        assert_int_equal(session_set(s.session, tokens, 0, NULL, NULL, NULL, &err),
                         HEARTH_ERROR_ARGUMENT);
        assert_int_equal(session_set(s.session, tokens, 65, NULL, NULL, NULL, &err),
                         HEARTH_ERROR_LIMIT);
        expect_ok(session_set(s.session, tokens, 64, NULL, NULL, NULL, &err), &err);
        assert_int_equal(session_append(s.session, 5, &err), HEARTH_ERROR_LIMIT);
        expect_exact(&s, "after a full context");
        expect_ok(session_shift(s.session, 4, &err), &err);
        const int32_t *kept = session_tokens(s.session, &n);
        assert_int_equal(n, 34);
        assert_memory_equal(kept, tokens, 4 * sizeof *kept);
        assert_memory_equal(kept + 4, tokens + 34, 30 * sizeof *kept);
        expect_exact(&s, "shift");
        session_clear(s.session);
        assert_int_equal(session_room(s.session), 64);
        assert_int_equal(context_sequence_length(s.context, 1), 0);
        close_scene(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_reused_and_differences_computed),
        cmocka_unit_test(greedy_answers_are_the_golden_ones),
        cmocka_unit_test(a_stop_text_may_lie_across_tokens),
        cmocka_unit_test(what_only_begins_like_a_stop_text_is_given),
        cmocka_unit_test(answers_end_when_told),
        cmocka_unit_test(a_full_context_ends_or_shifts),
        cmocka_unit_test(a_given_answer_is_replayed),
    };
    return cmocka_run_group_tests_name("infer/generator", tests, NULL, NULL);
}
