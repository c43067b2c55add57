/* answers.h - a model with a session, questions to it, and what must be equal between two
 * answers to the same question. */
#ifndef HEARTH_TESTS_INFER_ANSWERS_H
#define HEARTH_TESTS_INFER_ANSWERS_H

#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "infer/generator.h"

enum { MAX_TOKENS = 400, MAX_TEXT = 16384 };

struct scene {
    struct model model;
    struct tokenizer *tokenizer;
    struct context *context;
    struct session *session;
    struct sampler_workspace *workspace;
};

static inline void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static const char stories[] = "models/stories260K/stories260K.gguf";

/* Models without a vocabulary answer in the letters of stories260K, which has 512. */
static inline void open_tokenizer(struct scene *s) {
    struct model letters;
    hearth_error err = {0};
    expect_ok(model_open(&letters, testdata(stories), &err), &err);
    expect_ok(tokenizer_open(&s->tokenizer, &letters.directory.metadata, &err), &err);
    model_close(&letters);
}

static inline void open_scene(struct scene *s, const char *name, uint32_t n_ctx, uint32_t n_draft) {
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = n_ctx;
    options.n_draft = n_draft;
    *s = (struct scene){0};
    expect_ok(model_open(&s->model, testdata(name), &err), &err);
    open_tokenizer(s);
    expect_ok(context_open(&s->context, &s->model, &options, &err), &err);
    expect_ok(session_open(&s->session, s->context, 0, &err), &err);
    expect_ok(sampler_workspace_open(&s->workspace, s->model.config.n_vocab, &err), &err);
}

static inline void close_scene(struct scene *s) {
    sampler_workspace_close(s->workspace);
    session_close(s->session);
    context_close(s->context);
    tokenizer_close(s->tokenizer);
    model_close(&s->model);
}

struct answer {
    struct generation_stats stats;
    char text[MAX_TEXT];
    size_t length, calls, stop_after; /* calls of the callback; 0: never stopped */
    int32_t tokens[MAX_TOKENS];       /* the session's, afterwards */
    uint32_t n_tokens;
    float logits[512];
};

static inline bool collect(void *context, const char *text, size_t n) {
    struct answer *a = context;
    assert_true(a->length + n < MAX_TEXT);
    memcpy(a->text + a->length, text, n);
    a->text[a->length += n] = '\0';
    return ++a->calls != a->stop_after;
}

struct question {
    const int32_t *prompt;
    uint32_t n;
    struct sampler_params params;
    struct generation_options options;
    size_t stop_after;
};

static inline void ask(struct scene *s, const struct question *q, struct speculation *speculation,
                       struct answer *a) {
    hearth_error err = {0};
    struct sampler *sampler;
    struct generation_options options = q->options;
    *a = (struct answer){.stop_after = q->stop_after};
    options.on_text = collect;
    options.context = a;
    options.speculation = speculation;
    expect_ok(sampler_open(&sampler, &q->params, s->model.config.n_vocab, &err), &err);
    expect_ok(generate(s->session, sampler, s->workspace, s->tokenizer, q->prompt, q->n, &options,
                       &a->stats, &err),
              &err);
    const int32_t *tokens = session_tokens(s->session, &a->n_tokens);
    assert_true(a->n_tokens <= MAX_TOKENS && s->model.config.n_vocab <= 512);
    memcpy(a->tokens, tokens, a->n_tokens * sizeof *tokens);
    memcpy(a->logits, session_logits(s->session), s->model.config.n_vocab * sizeof *a->logits);
    assert_int_equal(context_sequence_length(s->context, 0), a->n_tokens);
    sampler_close(sampler);
}

static inline void expect_same(const char *what, const struct answer *plain,
                               const struct answer *a) {
    if (a->n_tokens != plain->n_tokens ||
        memcmp(a->tokens, plain->tokens, a->n_tokens * sizeof *a->tokens) != 0)
        fail_msg("%s: another answer: '%s', plain '%s'", what, a->text, plain->text);
    assert_string_equal(a->text, plain->text);
    assert_int_equal(a->calls, plain->calls);
    assert_int_equal(a->stats.end, plain->stats.end);
    assert_int_equal(a->stats.n_generated, plain->stats.n_generated);
    assert_memory_equal(a->logits, plain->logits, sizeof a->logits);
    assert_true(a->stats.n_accepted <= a->stats.n_drafted);
}

static inline struct speculation *open_speculation(struct drafter *drafter, uint32_t min_draft,
                                                   uint32_t max_draft, uint32_t capacity) {
    struct speculation *speculation;
    hearth_error err = {0};
    const struct speculation_options options = {.max_draft = max_draft, .min_draft = min_draft};
    expect_ok(speculation_open(&speculation, drafter, &options, capacity, &err), &err);
    return speculation;
}

static const int32_t once[] = {1, 403, 407, 261, 378}; /* "Once upon a time" */

static inline struct sampler_params greedy(void) {
    struct sampler_params params = sampler_params_default();
    params.temperature = 0;
    return params;
}

/* Chains of every kind; `i` is also the seed. */
static inline struct sampler_params sampling(unsigned i) {
    struct sampler_params p = sampler_params_default();
    p.seed_is_set = true;
    p.seed = i;
    p.temperature = 1;
    if (i % 5 == 1) p.top_k = 0, p.top_p = 1, p.min_p = 0;
    if (i % 5 == 2) p.repeat_penalty = 1.3f, p.frequency_penalty = 0.5f, p.repeat_last_n = 20;
    if (i % 5 == 3) p.dry_multiplier = 0.8f, p.xtc_probability = 0.5f, p.temperature = 0.5f;
    if (i % 5 == 4) p.mirostat = 2, p.mirostat_tau = 3;
    return p;
}

#endif
