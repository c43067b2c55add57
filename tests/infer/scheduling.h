/* scheduling.h - a scheduler beside a session over the same model, jobs for the one, and the same
 * questions asked of the other alone. */
#ifndef HEARTH_TESTS_INFER_SCHEDULING_H
#define HEARTH_TESTS_INFER_SCHEDULING_H

#include "answers.h"

#include <pthread.h>

#include "infer/ngram_drafter.h"
#include "infer/scheduler.h"

enum { HALL_CTX = 256, MOST_HEARD = 400 };

/* What a choice hears, and what it does about it. */
struct heard {
    int32_t tokens[MOST_HEARD];
    uint32_t n;
    uint32_t stop_after; /* tokens; 0: never */
    struct scheduler_result result;
    char message[256];
    unsigned ends;
};

static inline enum scheduler_verdict hear(void *context, const struct scheduler_token *token,
                                          struct scheduler_words *words) {
    struct heard *h = context;
    (void)words;
    if (token->ends) return SCHEDULER_GO_ON;
    if (h->n < MOST_HEARD) h->tokens[h->n] = token->token;
    return ++h->n == h->stop_after ? SCHEDULER_STOP : SCHEDULER_GO_ON;
}

static inline void hear_end(void *context, const struct scheduler_result *result) {
    struct heard *h = context;
    h->result = *result;
    snprintf(h->message, sizeof h->message, "%s", result->message);
    h->result.message = h->message;
    h->ends++;
}

/* The scheduler and, with a cache of its own, the session that answers alone. */
struct hall {
    struct scene alone;
    struct context *context;
    struct scheduler *scheduler;
};

struct hall_options {
    uint32_t n_ctx, n_sequences, n_pages, n_states;
    struct scheduler_options scheduler;
};

static inline hearth_status open_lookup(void *context, uint32_t sequence, struct drafter **drafter,
                                        hearth_error *err) {
    (void)context;
    (void)sequence;
    return ngram_drafter_open(drafter, HALL_CTX, err);
}

/* Prompt lookup that drafts whether it pays or not. */
static const struct scheduler_drafting lookup = {
    .open = open_lookup, .max_draft = 7, .min_draft = 5};
/* What halls draft with that do not say it; NULL: nothing. */
static const struct scheduler_drafting *hall_drafting;

static inline void open_hall(struct hall *h, const char *name, const struct hall_options *options) {
    hearth_error err = {0};
    struct context_options settings = context_defaults();
    struct scheduler_options scheduler = options->scheduler;
    open_scene(&h->alone, name, options->n_ctx, 0);
    settings.n_threads = 1;
    settings.n_ctx = options->n_ctx;
    settings.n_sequences = options->n_sequences;
    settings.n_pages = options->n_pages;
    settings.n_states = options->n_states;
    if (!scheduler.drafting) scheduler.drafting = hall_drafting;
    settings.n_draft = scheduler.drafting ? scheduler.drafting->max_draft : 0;
    settings.n_drafting = 2;
    expect_ok(context_open(&h->context, &h->alone.model, &settings, &err), &err);
    scheduler.tokenizer = h->alone.tokenizer;
    expect_ok(scheduler_open(&h->scheduler, h->context, &scheduler, &err), &err);
}

/* Every page is free in the end, or kept for prompts to come. */
static inline void close_hall(struct hall *h) {
    struct page_table *table = context_pages(h->context);
    scheduler_close(h->scheduler);
    for (uint32_t i = 0; i < context_settings(h->context)->n_sequences; i++)
        assert_int_equal(context_sequence_length(h->context, i), 0);
    assert_int_equal(table->n_idle, 0);
    assert_int_equal(table->n_free, table->n_pages);
    context_close(h->context);
    close_scene(&h->alone);
}

struct task {
    int32_t prompt[HALL_CTX];
    uint32_t n_prompt, max_tokens;
    int32_t priority;
    uint64_t client;
    bool ignore_end;
    struct sampler_params params;
    const struct adapter_set *adapters;
    struct heard heard;
    struct scheduler_job *job;
};

static inline struct scheduler_request request_of(const struct task *t,
                                                  const struct scheduler_choice *choice) {
    return (struct scheduler_request){.prompt = t->prompt,
                                      .n_prompt = t->n_prompt,
                                      .max_tokens = t->max_tokens,
                                      .priority = t->priority,
                                      .client = t->client,
                                      .ignore_end = t->ignore_end,
                                      .adapters = t->adapters,
                                      .callbacks = {.take = hear, .end = hear_end},
                                      .choices = choice,
                                      .n_choices = 1};
}

static inline void submit(struct hall *h, struct task *t) {
    hearth_error err = {0};
    struct scheduler_choice choice = {.params = &t->params, .context = &t->heard};
    struct scheduler_request request = request_of(t, &choice);
    expect_ok(scheduler_submit(h->scheduler, &request, &t->job, &err), &err);
}

/* The answer that generate() gives in an empty session. The last token of an answer that
 * reaches its limit is not in the session: it is asked for one more. */
static inline uint32_t answer_alone(struct hall *h, const struct task *t,
                                    const struct sampler_params *params, int32_t *tokens,
                                    enum generation_end *end) {
    struct scene *s = &h->alone;
    struct sampler *sampler;
    struct generation_stats stats;
    struct generation_options options = {.max_tokens = t->max_tokens ? t->max_tokens + 1 : 0,
                                         .ignore_end = t->ignore_end};
    hearth_error err = {0};
    uint32_t n;
    session_clear(s->session);
    if (t->adapters) expect_ok(context_set_adapters(s->context, t->adapters, &err), &err);
    expect_ok(sampler_open(&sampler, params, s->model.config.n_vocab, &err), &err);
    expect_ok(generate(s->session, sampler, s->workspace, s->tokenizer, t->prompt, t->n_prompt,
                       &options, &stats, &err),
              &err);
    sampler_close(sampler);
    const int32_t *all = session_tokens(s->session, &n);
    n -= t->n_prompt;
    assert_true(n <= MOST_HEARD);
    memcpy(tokens, all + t->n_prompt, n * sizeof *tokens);
    *end = stats.end;
    return n;
}

static inline void expect_as_alone(struct hall *h, const struct task *t, const char *what,
                                   const struct sampler_params *params, const struct heard *heard) {
    static int32_t tokens[MOST_HEARD];
    enum generation_end end;
    uint32_t n = answer_alone(h, t, params, tokens, &end);
    if (heard->result.status != HEARTH_OK) fail_msg("%s: %s", what, heard->message);
    assert_int_equal(heard->ends, 1);
    assert_int_equal(heard->result.n_generated, heard->n);
    assert_int_equal(heard->result.n_prompt, t->n_prompt);
    if (t->max_tokens && heard->n == t->max_tokens)
        assert_int_equal(heard->result.reason, SCHEDULER_LENGTH);
    else
        assert_int_equal(heard->result.reason,
                         end == GENERATION_CONTEXT ? SCHEDULER_CONTEXT : SCHEDULER_ENDED);
    /* With a full context the last token is in no session. */
    assert_int_equal(heard->n, n + (heard->result.reason == SCHEDULER_CONTEXT));
    for (uint32_t i = 0; i < n; i++)
        if (heard->tokens[i] != tokens[i])
            fail_msg("%s: token %u after a prompt of %u is %d, alone %d", what, i, t->n_prompt,
                     heard->tokens[i], tokens[i]);
}

static inline void finish(struct hall *h, struct task *t, const char *what) {
    scheduler_finish(t->job);
    expect_as_alone(h, t, what, &t->params, &t->heard);
}

static inline struct scheduler_stats stats_of(struct hall *h) {
    struct scheduler_stats stats;
    scheduler_read_stats(h->scheduler, &stats);
    return stats;
}

/* Prompts of every length up to `longest`, greedy and sampled. */
static inline void make_task(struct task *t, unsigned i, const struct scene *s, uint32_t longest) {
    uint32_t n_vocab = s->model.config.n_vocab;
    *t = (struct task){.n_prompt = 1 + i * 37 % longest, .max_tokens = 1 + i * 29 % 40};
    t->params = i % 3 == 0 ? greedy() : sampling(i);
    for (uint32_t k = 0; k < t->n_prompt; k++)
        t->prompt[k] = (int32_t)(3 + (k * k + 17 * k + 7 * (i % 11)) % (n_vocab - 3));
}

static inline void expect_refused(struct hall *h, const struct scheduler_request *request,
                                  hearth_status status, const char *text) {
    struct scheduler_job *job;
    hearth_error err = {0};
    assert_int_equal(scheduler_submit(h->scheduler, request, &job, &err), status);
    assert_null(job);
    if (!strstr(err.message, text)) fail_msg("'%s' does not say '%s'", err.message, text);
}

/* Holds the scheduler's thread until told. */
struct gate {
    struct heard heard;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool reached, open;
};

static inline enum scheduler_verdict
wait_at_gate(void *context, const struct scheduler_token *token, struct scheduler_words *words) {
    struct gate *g = context;
    pthread_mutex_lock(&g->mutex);
    g->reached = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
    return hear(&g->heard, token, words);
}

static inline void begin_gate(struct gate *g) {
    *g = (struct gate){0};
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static inline void await_gate(struct gate *g) {
    pthread_mutex_lock(&g->mutex);
    while (!g->reached)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

static inline void submit_gate(struct hall *h, struct task *t, struct gate *g) {
    struct scheduler_choice choice = {.params = &t->params, .context = g};
    struct scheduler_request request = request_of(t, &choice);
    hearth_error err = {0};
    begin_gate(g);
    request.callbacks.take = wait_at_gate;
    expect_ok(scheduler_submit(h->scheduler, &request, &t->job, &err), &err);
    await_gate(g);
}

static inline void open_gate(struct gate *g) {
    pthread_mutex_lock(&g->mutex);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

/* The order in which answers begin. */
static unsigned n_started;
struct starter {
    struct heard heard;
    unsigned place; /* among those that began, from 1 */
};

static inline enum scheduler_verdict start(void *context, const struct scheduler_token *token,
                                           struct scheduler_words *words) {
    struct starter *s = context;
    if (s->place == 0) s->place = ++n_started;
    return hear(&s->heard, token, words);
}

#endif
