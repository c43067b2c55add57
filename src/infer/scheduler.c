#include "infer/scheduler_parts.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* ---- the thread ---------------------------------------------------------------- */

/* Those to be ended, as a list: of cancelled jobs, or all. */
static struct choice *list_ended(struct scheduler *s, bool all) {
    struct choice *list = queue_take_ended(s, all);
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        struct choice *c = s->running[i];
        if (!c || !(all || c->job->cancelled)) continue;
        c->next = list;
        list = c;
    }
    return list;
}

static void end_list(struct scheduler *s, struct choice *list) {
    while (list) {
        struct choice *c = list;
        list = c->next;
        choice_end(s, c, SCHEDULER_CANCELLED);
    }
}

void scheduler_show_stats(struct scheduler *s) {
    const struct page_table *table = context_pages(s->context);
    pthread_mutex_lock(&s->mutex);
    s->shown = s->stats;
    s->shown.n_running = s->n_running;
    s->shown.n_pages = table->n_pages;
    s->shown.n_free_pages = table->n_free;
    s->shown.n_kept_pages = table->n_idle;
    pthread_mutex_unlock(&s->mutex);
}

/* Sleeps while there is nothing to do, and ends what was cancelled; false: it is over. */
static bool get_ready(struct scheduler *s) {
    struct choice *ended = NULL;
    scheduler_show_stats(s);
    pthread_mutex_lock(&s->mutex);
    while (!s->stop && !s->waiting && !s->errands && s->n_running == 0)
        pthread_cond_wait(&s->work, &s->mutex);
    bool stop = s->stop;
    if (stop || s->cancels) ended = list_ended(s, stop);
    s->cancels = false;
    pthread_mutex_unlock(&s->mutex);
    end_list(s, ended);
    return !stop;
}

static void run(void *context) {
    struct scheduler *s = context;
    while (get_ready(s)) {
        scheduler_run_errand(s);
        scheduler_admit(s);
        scheduler_pass(s);
    }
}

/* ---- opening and closing --------------------------------------------------------- */

static hearth_status open_parts(struct scheduler *s, hearth_error *err) {
    uint32_t n = s->n_sequences;
    uint32_t n_states = context_n_states(s->context);
    bool keeps = !s->options.no_reuse && (!s->recurrent || n_states > 0);
    s->running = mem_calloc(n, sizeof *s->running);
    s->rows = mem_calloc(n, sizeof *s->rows);
    s->parts = mem_calloc(n, sizeof *s->parts);
    s->logits = mem_alloc_array(((size_t)n + SCHEDULER_SCORE_ROWS) * s->n_vocab, sizeof *s->logits);
    if (!s->running || !s->rows || !s->parts || !s->logits)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u answers at once", n);
    RETURN_IF_ERROR(scheduler_open_queue(s, err));
    RETURN_IF_ERROR(sampler_workspace_open(&s->workspace, s->n_vocab, err));
    if (keeps)
        RETURN_IF_ERROR(prefix_tree_open(&s->tree, context_pages(s->context), n_states, err));
    RETURN_IF_ERROR(scheduler_open_drafts(s, err));
    RETURN_IF_ERROR(worker_open(&s->worker, err));
    worker_post(s->worker, run, s);
    return HEARTH_OK;
}

hearth_status scheduler_open(struct scheduler **out, struct context *context,
                             const struct scheduler_options *options, hearth_error *err) {
    *out = NULL;
    const struct config *config = &context_model(context)->config;
    if (!config->causal)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s' models embed texts and cannot continue them", config->family);
    struct scheduler *s = mem_calloc(1, sizeof *s);
    if (!s) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a scheduler");
    s->context = context;
    s->options = *options;
    if (s->options.max_waiting == 0) s->options.max_waiting = SCHEDULER_WAITING;
    if (s->options.max_prompt_rows == 0) s->options.max_prompt_rows = SCHEDULER_PROMPT_ROWS;
    s->n_ctx = context_length(context);
    s->n_sequences = context_settings(context)->n_sequences;
    s->max_batch = context_settings(context)->max_batch;
    s->n_vocab = config->n_vocab;
    s->recurrent = config_is_recurrent(config);
    s->marks_generated = context_has_prompts(context);
    uint8_t own[SHA256_BYTES];
    adapter_set_identity(context_adapters(context), own);
    scheduler_root(s, own);
    for (uint32_t i = 0; i < s->n_sequences; i++)
        context_sequence_truncate(context, i, 0);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->errand_done, NULL);
    hearth_status status = open_parts(s, err);
    if (status != HEARTH_OK) {
        scheduler_close(s);
        return status;
    }
    *out = s;
    return HEARTH_OK;
}

void scheduler_close(struct scheduler *s) {
    if (!s) return;
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    worker_close(s->worker);
    prefix_tree_close(s->tree);
    sampler_workspace_close(s->workspace);
    scheduler_close_drafts(s);
    mem_free(s->running);
    mem_free(s->rows);
    mem_free(s->parts);
    mem_free(s->logits);
    mem_free(s->clients);
    pthread_cond_destroy(&s->errand_done);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

void scheduler_read_stats(struct scheduler *s, struct scheduler_stats *stats) {
    pthread_mutex_lock(&s->mutex);
    *stats = s->shown;
    stats->n_waiting = s->n_waiting;
    pthread_mutex_unlock(&s->mutex);
}

/* ---- jobs ------------------------------------------------------------------------ */

static void release_job(struct scheduler_job *job) {
    for (uint32_t i = 0; i < job->n_choices; i++) {
        sampler_close(job->choices[i].sampler);
        mem_free(job->choices[i].tokens);
    }
    pthread_cond_destroy(&job->ended);
    pthread_mutex_destroy(&job->mutex);
    mem_free(job);
}

static hearth_status check_request(const struct scheduler *s, const struct scheduler_request *r,
                                   hearth_error *err) {
    if (r->n_choices == 0 || r->n_choices > SCHEDULER_MAX_CHOICES)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%u choices; 1 to %d are possible",
                         r->n_choices, SCHEDULER_MAX_CHOICES);
    if (r->n_choices > 1 && r->callbacks.score)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a prompt is scored for one choice, not %u",
                         r->n_choices);
    if (r->n_prompt == 0) return error_set(err, HEARTH_ERROR_ARGUMENT, "an empty prompt");
    if (r->n_prompt > s->n_ctx)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the prompt has %u tokens, the context %u; shorten it or ask for a longer "
                         "context",
                         r->n_prompt, s->n_ctx);
    for (uint32_t i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || (uint32_t)r->prompt[i] >= s->n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "token %d at place %u is not in the vocabulary of %u", r->prompt[i], i,
                             s->n_vocab);
    return HEARTH_OK;
}

static hearth_status open_choice(const struct scheduler *s, const struct scheduler_request *r,
                                 uint32_t i, struct choice *c, hearth_error *err) {
    /* The last token of a full context is said and not computed. */
    uint32_t room = s->n_ctx + 1 - r->n_prompt;
    uint32_t most = r->max_tokens && r->max_tokens < room ? r->max_tokens : room;
    c->context = r->choices[i].context;
    c->sequence = NO_SEQUENCE;
    c->result.n_prompt = c->n_tokens = r->n_prompt;
    c->max_length = r->n_prompt + most - 1;
    c->tokens = mem_alloc_array((size_t)r->n_prompt + most, sizeof *c->tokens);
    if (!c->tokens)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer of %u tokens", most);
    memcpy(c->tokens, r->prompt, r->n_prompt * sizeof *c->tokens);
    RETURN_IF_ERROR(sampler_open(&c->sampler, r->choices[i].params, s->n_vocab, err));
    for (uint32_t k = 0; k < r->n_prompt; k++)
        sampler_accept(c->sampler, r->prompt[k]);
    return HEARTH_OK;
}

static hearth_status open_job(struct scheduler *s, const struct scheduler_request *r,
                              struct scheduler_job **out, hearth_error *err) {
    struct scheduler_job *job = mem_calloc(1, sizeof *job + r->n_choices * sizeof job->choices[0]);
    if (!job) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a job");
    job->scheduler = s;
    job->callbacks = r->callbacks;
    job->priority = r->priority;
    job->n_prompt = r->n_prompt;
    job->max_tokens = r->max_tokens;
    job->ignore_end = r->ignore_end;
    job->n_open = job->n_choices = r->n_choices;
    pthread_mutex_init(&job->mutex, NULL);
    pthread_cond_init(&job->ended, NULL);
    hearth_status status = job_set_adapters(job, r->adapters, err);
    for (uint32_t i = 0; i < r->n_choices && status == HEARTH_OK; i++) {
        job->choices[i].job = job;
        status = open_choice(s, r, i, &job->choices[i], err);
    }
    if (status == HEARTH_OK)
        *out = job;
    else
        release_job(job);
    return status;
}

/* Refuses what does not fit into the queue; under the mutex. */
static hearth_status check_room(const struct scheduler *s, const struct scheduler_client *client,
                                uint32_t n, hearth_error *err) {
    uint32_t most = s->options.max_waiting, own = client->number ? client->n_waiting : 0;
    if (s->n_waiting + n > most)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the queue is full: %u answers wait, %u more are asked for, at most %u",
                         s->n_waiting, n, most);
    if (!scheduler_leaves_room(most, s->n_waiting, own + n))
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the queue has no more room for one client: %u of its answers wait, %u "
                         "more are asked for",
                         own, n);
    return HEARTH_OK;
}

static hearth_status enqueue(struct scheduler *s, struct scheduler_job *job, uint64_t client,
                             hearth_error *err) {
    pthread_mutex_lock(&s->mutex);
    job->client = scheduler_client_of(s, client);
    hearth_status status = check_room(s, job->client, job->n_choices, err);
    if (status == HEARTH_OK) {
        job->number = ++s->n_jobs;
        job->submitted_ns = clock_now_ns();
        job->root = scheduler_root(s, job->adapters_identity);
        job->client->n_open += job->n_choices;
        for (uint32_t i = 0; i < job->n_choices; i++)
            queue_insert(s, &job->choices[i]);
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->mutex);
    return status;
}

hearth_status scheduler_submit(struct scheduler *s, const struct scheduler_request *request,
                               struct scheduler_job **out, hearth_error *err) {
    struct scheduler_job *job = NULL;
    *out = NULL;
    RETURN_IF_ERROR(check_request(s, request, err));
    RETURN_IF_ERROR(open_job(s, request, &job, err));
    *out = job;
    hearth_status status = enqueue(s, job, request->client, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    *out = NULL;
    release_job(job);
    return status;
}

void scheduler_cancel(struct scheduler_job *job) {
    struct scheduler *s = job->scheduler;
    pthread_mutex_lock(&s->mutex);
    job->cancelled = s->cancels = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
}

void scheduler_finish(struct scheduler_job *job) {
    pthread_mutex_lock(&job->mutex);
    while (job->n_open > 0)
        pthread_cond_wait(&job->ended, &job->mutex);
    pthread_mutex_unlock(&job->mutex);
    release_job(job);
}
