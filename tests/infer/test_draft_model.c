/* A draft model: the model itself, whose every guess is right, one that is cut short, one
 * that forgets, and one of another vocabulary. */
#include "infer/answers.h"

#include "infer/draft_model.h"

/* A second model that drafts for the first. */
struct helper {
    struct scene scene;
    struct speculation *speculation;
};

static void open_helper(struct helper *h, const struct scene *s, const char *name, uint32_t n_ctx,
                        float min_probability) {
    struct drafter *drafter;
    hearth_error err = {0};
    open_scene(&h->scene, name, n_ctx, 6);
    expect_ok(draft_model_open(&drafter, h->scene.session, s->model.config.n_vocab, min_probability,
                               &err),
              &err);
    h->speculation = open_speculation(drafter, 6, 6, context_length(s->context));
}

static void close_helper(struct helper *h) {
    speculation_close(h->speculation);
    close_scene(&h->scene);
}

static void a_model_that_drafts_for_itself_is_always_right(void **state) {
    static const char *const names[] = {stories, "arch/qwen35-dense/model.gguf",
                                        "arch/gemma3-dense/model.gguf"};
    static struct answer plain, a;
    (void)state;
    for (int f = 0; f < 3; f++) {
        struct scene s;
        struct helper h;
        open_scene(&s, names[f], 128, 6);
        open_helper(&h, &s, names[f], 128, 0);
        const int32_t any[] = {1, 40, 41, 26, 7};
        struct question q = {.prompt = f ? any : once,
                             .n = 5,
                             .params = greedy(),
                             .options = {.max_tokens = 60, .ignore_end = true}};
        ask(&s, &q, NULL, &plain);
        session_clear(s.session);
        ask(&s, &q, h.speculation, &a);
        expect_same(names[f], &plain, &a);
        assert_true(a.stats.n_drafted >= 60 * 6 / 7 - 7);
        assert_int_equal(a.stats.n_accepted, a.stats.n_drafted);
        for (unsigned i = 0; i < 5; i++) {
            q.params = sampling(i); /* many guesses are refused and taken back */
            session_clear(s.session);
            ask(&s, &q, NULL, &plain);
            session_clear(s.session);
            ask(&s, &q, h.speculation, &a);
            expect_same(names[f], &plain, &a);
            assert_true(a.stats.n_drafted > a.stats.n_accepted);
        }
        close_helper(&h);
        close_scene(&s);
    }
}

/* A small context of its own, a shifted context of the model, a new prompt. */
static void a_draft_model_follows_the_timeline(void **state) {
    static const char *const names[] = {stories, "arch/lfm2-dense/model.gguf"};
    static const int32_t other[] = {1, 40, 41, 26, 7, 9};
    static struct answer plain, a;
    (void)state;
    for (int f = 0; f < 2; f++) {
        struct scene s;
        struct helper h;
        open_scene(&s, names[f], 48, 6);
        open_helper(&h, &s, names[f], f ? 48 : 40, 0);
        struct question q = {
            .prompt = other,
            .n = 5,
            .params = greedy(),
            .options = {.max_tokens = 80, .ignore_end = true, .shift_context = true, .keep = 3}};
        for (int i = 0; i < 3; i++) {
            q.n = i == 1 ? 6 : 5;
            session_clear(s.session);
            ask(&s, &q, NULL, &plain);
            session_clear(s.session);
            ask(&s, &q, h.speculation, &a);
            expect_same(names[f], &plain, &a);
            assert_true(a.stats.n_accepted > 0);
        }
        close_helper(&h);
        close_scene(&s);
    }
}

static void unsure_guesses_are_not_proposed(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, stories, 128, 6);
    static struct answer a;
    uint32_t drafted[3];
    for (int i = 0; i < 3; i++) {
        static const float least[] = {0, 0.6f, 1.01f};
        struct helper h;
        struct question q = {.prompt = once,
                             .n = 5,
                             .params = sampling(1),
                             .options = {.max_tokens = 60, .ignore_end = true}};
        open_helper(&h, &s, stories, 128, least[i]);
        session_clear(s.session);
        ask(&s, &q, h.speculation, &a);
        drafted[i] = a.stats.n_drafted;
        close_helper(&h);
    }
    assert_true(drafted[0] > drafted[1] && drafted[1] > 0);
    assert_int_equal(drafted[2], 0);
    close_scene(&s);
}

/* Ids that the model does not have are never proposed. */
static void a_larger_vocabulary_is_cut(void **state) {
    static const uint32_t worth[DRAFT_CONFIDENCES] = {3, 3, 3, 3, 3, 3, 3, 3};
    struct scene s;
    struct drafter *drafter;
    struct draft draft;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, stories, 64, 6);
    expect_ok(draft_model_open(&drafter, s.session, 512, 0, &err), &err);
    expect_ok(drafter->propose(drafter, once, 5, worth, &draft, &err), &err);
    assert_int_equal(draft.n, 3);
    int32_t first = draft.tokens[0];
    drafter->close(drafter);
    expect_ok(draft_model_open(&drafter, s.session, (uint32_t)first, 0, &err), &err);
    expect_ok(drafter->propose(drafter, once, 5, worth, &draft, &err), &err);
    assert_int_equal(draft.n, 0);
    drafter->close(drafter);
    close_scene(&s);
}

static struct tokenizer *vocabulary(const char *name) {
    struct model model;
    struct tokenizer *tokenizer;
    hearth_error err = {0};
    expect_ok(model_open_files(&model, testdata(name), &err), &err);
    expect_ok(tokenizer_open(&tokenizer, &model.directory.metadata, &err), &err);
    model_close(&model);
    return tokenizer;
}

/* The vocabulary with another spelling of one id. */
static struct tokenizer *respelled(const struct tokenizer *original, size_t changed) {
    struct metadata metadata;
    struct tokenizer *tokenizer;
    hearth_error err = {0};
    size_t n = tokenizer_n_vocab(original);
    struct text *texts = mem_alloc_array(n, sizeof *texts);
    assert_non_null(texts);
    metadata_init(&metadata, 1 << 24);
    expect_ok(tokenizer_to_metadata(original, &metadata, &err), &err);
    for (size_t i = 0; i < n; i++)
        texts[i] =
            i == changed ? (struct text){"changed", 7} : tokenizer_text(original, (int32_t)i);
    expect_ok(metadata_set_strings(&metadata, "tokenizer.ggml.tokens", texts, n, &err), &err);
    expect_ok(tokenizer_open(&tokenizer, &metadata, &err), &err);
    metadata_release(&metadata);
    mem_free(texts);
    return tokenizer;
}

static void vocabularies_must_be_the_same(void **state) {
    hearth_error err = {0};
    (void)state;
    struct tokenizer *llama = vocabulary("tokenizers/llama-spm/vocab.gguf"),
                     *phi = vocabulary("tokenizers/phi-3/vocab.gguf"), *story = vocabulary(stories),
                     *control = respelled(story, 2), *letter = respelled(story, 511);
    assert_int_equal(draft_model_check(llama, llama, &err), HEARTH_OK);
    assert_int_equal(draft_model_check(llama, phi, &err), HEARTH_OK); /* 64 more at the end */
    assert_int_equal(draft_model_check(phi, llama, &err), HEARTH_OK);
    assert_int_equal(draft_model_check(llama, story, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "vocabulary of 512 tokens, the model one of 32000"));
    assert_int_equal(draft_model_check(story, control, &err), HEARTH_OK);
    assert_int_equal(draft_model_check(story, letter, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "token 511 is 'changed', in the model '"));
    tokenizer_close(llama);
    tokenizer_close(phi);
    tokenizer_close(story);
    tokenizer_close(control);
    tokenizer_close(letter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_drafts_for_itself_is_always_right),
        cmocka_unit_test(a_draft_model_follows_the_timeline),
        cmocka_unit_test(unsure_guesses_are_not_proposed),
        cmocka_unit_test(a_larger_vocabulary_is_cut),
        cmocka_unit_test(vocabularies_must_be_the_same),
    };
    return cmocka_run_group_tests_name("infer/draft_model", tests, NULL, NULL);
}
