/* From rows of logits to answers: tokens are chosen or said, given out, and end. */
#include "infer/scheduler_parts.h"

#include <string.h>

#include "base/clock.h"

static double seconds_between(uint64_t from_ns, uint64_t to_ns) {
    return (double)(to_ns - from_ns) * 1e-9;
}

static void measure(struct choice *c) {
    struct scheduler_result *r = &c->result;
    uint64_t now = clock_now_ns(), started = c->begun ? c->started_ns : now;
    uint64_t first = c->first_ns ? c->first_ns : now;
    r->queue_seconds = seconds_between(c->job->submitted_ns, started);
    r->prompt_seconds = c->begun ? seconds_between(started, first) : 0;
    r->generate_seconds = seconds_between(first, now);
}

/* The job may be gone afterwards. */
static void finish(struct scheduler *s, struct choice *c, enum scheduler_reason reason,
                   hearth_status status, const char *message) {
    struct scheduler_job *job = c->job;
    if (c->sequence != NO_SEQUENCE) choice_leave(s, c);
    c->result.reason = reason;
    c->result.status = status;
    c->result.message = message;
    measure(c);
    s->stats.n_prompt += c->result.n_prompt;
    s->stats.n_reused += c->result.n_reused;
    s->stats.n_generated += c->result.n_generated;
    s->stats.n_drafted += c->result.n_drafted;
    s->stats.n_accepted += c->result.n_accepted;
    job->callbacks.end(c->context, &c->result);
    pthread_mutex_lock(&s->mutex);
    job->client->n_open--;
    pthread_mutex_unlock(&s->mutex);
    scheduler_show_stats(s);
    pthread_mutex_lock(&job->mutex);
    if (--job->n_open == 0) pthread_cond_broadcast(&job->ended);
    pthread_mutex_unlock(&job->mutex);
}

void choice_end(struct scheduler *s, struct choice *c, enum scheduler_reason reason) {
    finish(s, c, reason, HEARTH_OK, "");
}

void choice_fail(struct scheduler *s, struct choice *c, hearth_status status, const char *message) {
    finish(s, c, SCHEDULER_FAILED, status, message);
}

static hearth_status set_words(const struct scheduler *s, struct choice *c,
                               const struct scheduler_words *words, hearth_error *err) {
    if (words->n > SCHEDULER_MAX_SAY)
        return error_set(err, HEARTH_ERROR_LIMIT, "%u tokens to say; at most %d", words->n,
                         SCHEDULER_MAX_SAY);
    for (uint32_t i = 0; i < words->n; i++)
        if (words->tokens[i] < 0 || (uint32_t)words->tokens[i] >= s->n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "token %d to say is not in the vocabulary of %u", words->tokens[i],
                             s->n_vocab);
    if (words->n > 0) memcpy(c->said, words->tokens, words->n * sizeof *c->said);
    c->n_said = words->n;
    c->next_said = 0;
    return HEARTH_OK;
}

bool choice_ends_with(const struct scheduler *s, const struct choice *c, int32_t token) {
    return s->options.tokenizer && !c->job->ignore_end &&
           tokenizer_is_end_of_generation(s->options.tokenizer, token);
}

static void append(struct scheduler *s, struct choice *c, int32_t token) {
    choice_check_draft(s, c, token);
    sampler_accept(c->sampler, token);
    c->tokens[c->n_tokens++] = token;
    c->result.n_generated++;
    choice_charge(s, c, SCHEDULER_ANSWER_WEIGHT);
}

/* A token through the callback; false: the answer has ended. */
static bool give(struct scheduler *s, struct choice *c, struct scheduler_token *token) {
    struct scheduler_words words = {0};
    hearth_error err = {0};
    token->ends = choice_ends_with(s, c, token->token);
    if (!token->ends) append(s, c, token->token);
    enum scheduler_verdict verdict = c->job->callbacks.take(c->context, token, &words);
    /* What is said ends where it says so: nothing is said in its place. */
    bool says = verdict == SCHEDULER_SAY && words.n > 0 && !(token->ends && token->said);
    hearth_status status = says ? set_words(s, c, &words, &err) : HEARTH_OK;
    if (status != HEARTH_OK)
        choice_fail(s, c, status, err.message);
    else if (token->ends && !says)
        choice_end(s, c, SCHEDULER_ENDED);
    else if (verdict == SCHEDULER_STOP)
        choice_end(s, c, SCHEDULER_STOPPED);
    else if (c->job->max_tokens && c->result.n_generated >= c->job->max_tokens)
        choice_end(s, c, SCHEDULER_LENGTH);
    else if (c->n_tokens > s->n_ctx)
        choice_end(s, c, SCHEDULER_CONTEXT);
    else
        return true;
    return false;
}

static hearth_status choose(struct scheduler *s, struct choice *c, const float *logits,
                            struct scheduler_token *token, hearth_error *err) {
    const uint64_t *allowed = NULL;
    struct sampler_result result;
    if (c->job->callbacks.allowed && !c->job->callbacks.allowed(c->context, &allowed))
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "cannot tell which tokens may follow in the form that was asked for");
    RETURN_IF_ERROR(sampler_sample(c->sampler, s->workspace, logits, allowed, &result, err));
    *token = (struct scheduler_token){
        .token = result.token, .logprob = result.logprob, .top = result.top, .n_top = result.n_top};
    return HEARTH_OK;
}

void choice_score(struct scheduler *s, struct choice *c, uint32_t first, uint32_t n,
                  const float *logits) {
    struct sampler_result result;
    for (uint32_t at = first; at < first + n && at + 1 < c->job->n_prompt; at++) {
        const float *row = logits + (size_t)(at - first) * s->n_vocab;
        if (at < c->n_scored) continue; /* computed again */
        sampler_score(c->sampler, s->workspace, row, c->tokens[at + 1], &result);
        const struct scheduler_token token = {.token = result.token,
                                              .logprob = result.logprob,
                                              .top = result.top,
                                              .n_top = result.n_top};
        c->job->callbacks.score(c->context, &token);
        c->n_scored = at + 1;
    }
}

bool choice_go_on(struct scheduler *s, struct choice *c, const float *logits) {
    struct scheduler_token token;
    hearth_error err = {0};
    hearth_status status = choose(s, c, logits, &token, &err);
    if (c->first_ns == 0) c->first_ns = clock_now_ns();
    if (status != HEARTH_OK) {
        choice_fail(s, c, status, err.message);
        return false;
    }
    c->n_said = c->next_said = 0;
    for (;;) {
        if (!give(s, c, &token)) return false;
        if (c->next_said == c->n_said) return true;
        token = (struct scheduler_token){.token = c->said[c->next_said++], .said = true};
    }
}
