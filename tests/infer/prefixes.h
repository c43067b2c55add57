/* prefixes.h - a model with a scheduler, questions to it, and files of what it computed of them. */
#ifndef HEARTH_TESTS_INFER_PREFIXES_H
#define HEARTH_TESTS_INFER_PREFIXES_H

#include "format/scratch.h"
#include "model/golden.h"

#include "infer/scheduler.h"

enum { N_CTX = 128, N_PROMPT = 90, N_WHOLE = 64, N_ANSWER = 5 };

static const char *const families[] = {"llama-dense",     "qwen35-dense",  "granitehybrid-dense",
                                       "lfm2-dense",      "deepseek2-moe", "gemma3-dense",
                                       "nemotron_h-dense"};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

struct scene {
    struct model model;
    struct context *context;
    struct scheduler *scheduler;
    int32_t tokens[N_TOKENS];
    const struct adapter_set *adapters; /* of questions and files; NULL: the context's */
};

static inline struct context_options options_of(enum elem cache) {
    struct context_options options = context_defaults();
    options.n_threads = 1;
    options.n_ctx = N_CTX;
    options.n_sequences = 2;
    options.n_states = 4;
    options.n_draft = 3; /* recurrent ones then have several states each */
    options.k_type = options.v_type = cache;
    return options;
}

static inline void open_scheduler(struct scene *s, bool no_reuse) {
    hearth_error err = {0};
    const struct scheduler_options options = {.no_reuse = no_reuse};
    assert_ok(scheduler_open(&s->scheduler, s->context, &options, &err), &err);
}

static inline void open_model(struct scene *s, const char *path,
                              const struct context_options *options) {
    hearth_error err = {0};
    *s = (struct scene){0};
    assert_ok(model_open(&s->model, path, &err), &err);
    assert_ok(context_open(&s->context, &s->model, options, &err), &err);
    open_scheduler(s, false);
    read_tokens(testdata("arch/llama-dense/tokens.txt"), s->tokens);
}

static inline const char *family_path(const char *family) {
    char path[128];
    snprintf(path, sizeof path, "arch/%s/model.gguf", family);
    return testdata(path);
}

static inline void open_scene(struct scene *s, const char *family, enum elem cache) {
    struct context_options options = options_of(cache);
    open_model(s, family_path(family), &options);
}

static inline void close_scene(struct scene *s) {
    scheduler_close(s->scheduler);
    context_close(s->context);
    model_close(&s->model);
}

/* ---- questions ------------------------------------------------------------- */

struct answer {
    int32_t tokens[N_ANSWER];
    float logprobs[N_ANSWER];
    uint32_t n, n_reused;
    hearth_status status;
};

static inline enum scheduler_verdict take(void *context, const struct scheduler_token *token,
                                          struct scheduler_words *words) {
    struct answer *a = context;
    (void)words;
    a->tokens[a->n] = token->token;
    a->logprobs[a->n++] = token->logprob;
    return SCHEDULER_GO_ON;
}

static inline void end(void *context, const struct scheduler_result *result) {
    struct answer *a = context;
    a->n_reused = result->n_reused;
    a->status = result->status;
}

/* The answer to the first n tokens. */
static inline void ask(struct scene *s, uint32_t n, struct answer *a) {
    hearth_error err = {0};
    struct scheduler_job *job;
    struct sampler_params params = sampler_params_default();
    struct scheduler_choice choice = {.params = &params, .context = a};
    const struct scheduler_request request = {.prompt = s->tokens,
                                              .n_prompt = n,
                                              .max_tokens = N_ANSWER,
                                              .adapters = s->adapters,
                                              .callbacks = {.take = take, .end = end},
                                              .choices = &choice,
                                              .n_choices = 1};
    params.temperature = 0;
    params.n_probs = 0;
    *a = (struct answer){0};
    assert_ok(scheduler_submit(s->scheduler, &request, &job, &err), &err);
    scheduler_finish(job);
    assert_int_equal(a->status, HEARTH_OK);
    assert_int_equal(a->n, N_ANSWER);
}

static inline void expect_same(const struct answer *a, const struct answer *expected,
                               const char *what) {
    if (memcmp(a->tokens, expected->tokens, sizeof a->tokens) != 0 ||
        memcmp(a->logprobs, expected->logprobs, sizeof a->logprobs) != 0)
        fail_msg("%s: another answer", what);
}

/* Asks without any past. */
static inline void ask_alone(const struct scene *s, const char *family, enum elem cache, uint32_t n,
                             struct answer *a) {
    struct scene fresh;
    open_scene(&fresh, family, cache);
    memcpy(fresh.tokens, s->tokens, sizeof fresh.tokens);
    ask(&fresh, n, a);
    assert_int_equal(a->n_reused, 0);
    close_scene(&fresh);
}

static inline hearth_status try_save(struct scene *s, const char *path, uint32_t n,
                                     uint32_t *n_saved, hearth_error *err) {
    const struct scheduler_prefix prefix = {
        .tokens = s->tokens, .n_tokens = n, .adapters = s->adapters};
    return scheduler_save_prefix(s->scheduler, &prefix, path, n_saved, err);
}

static inline hearth_status try_load(struct scene *s, const char *path, uint32_t n,
                                     uint32_t *n_found, hearth_error *err) {
    const struct scheduler_prefix prefix = {
        .tokens = s->tokens, .n_tokens = n, .adapters = s->adapters};
    return scheduler_load_prefix(s->scheduler, &prefix, path, n_found, err);
}

static inline uint32_t save(struct scene *s, const char *name, uint32_t n) {
    uint32_t n_saved;
    hearth_error err = {0};
    assert_ok(try_save(s, scratch(name), n, &n_saved, &err), &err);
    return n_saved;
}

static inline uint32_t load(struct scene *s, const char *name, uint32_t n) {
    uint32_t n_found;
    hearth_error err = {0};
    assert_ok(try_load(s, scratch(name), n, &n_found, &err), &err);
    return n_found;
}

/* Computes the prompt and saves what is whole of it. */
static inline void save_prompt(struct scene *s, const char *name) {
    struct answer a;
    ask(s, N_PROMPT, &a);
    assert_int_equal(save(s, name, N_PROMPT), N_WHOLE);
}

#endif
