/* Jobs go through two hands: a thread that makes prompts takes them from the queue, and the model's
 * scheduler answers them. Invariants: (1) a job is in the queue from backend_start until one of
 * these threads takes it; (2) `mutex` guards the queue, the states and the numbers, and is not held
 * during a call of a sink; (3) an ended job is touched by job_finish only. */
#include "route/local_backend.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "route/local_answer.h"
#include "route/local_model.h"
#include "route/request_copy.h"
#include "route/request_prompt.h"

/* So that a very long prompt keeps none but the very long ones waiting. */
enum { PREPARING_THREADS = 2 };

struct local_job {
    struct job job;
    struct request request;
    struct local_answer answer;
    bool has_begun, has_ended;
    struct local_job *next;          /* in the queue */
    struct local_job *older, **link; /* among all */
};

struct local_backend {
    struct backend backend;
    struct local_model model;
    pthread_t threads[PREPARING_THREADS];
    size_t n_threads;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct local_job *first, **end; /* the queue; cancelled ones stand in front */
    struct local_job *all;          /* the newest */
    size_t max_waiting, n_waiting, n_running, n_jobs;
    uint64_t n_requests;
    bool stops;
};

/* ---- preparing ----------------------------------------------------------------- */

static void *prepare(void *context) {
    struct local_backend *b = context;
    pthread_mutex_lock(&b->mutex);
    while (!b->stops) {
        struct local_job *job = b->first;
        if (!job) {
            pthread_cond_wait(&b->changed, &b->mutex);
            continue;
        }
        b->first = job->next;
        if (!b->first) b->end = &b->first;
        pthread_mutex_unlock(&b->mutex);
        local_answer_run(&job->answer);
        pthread_mutex_lock(&b->mutex);
    }
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}

static void note_begun(void *context) {
    struct local_job *job = context;
    struct local_backend *b = (struct local_backend *)job->job.backend;
    pthread_mutex_lock(&b->mutex);
    job->has_begun = true;
    b->n_waiting--;
    b->n_running++;
    b->n_requests++;
    pthread_mutex_unlock(&b->mutex);
}

/* The last thing that happens to a job here: from now on job_finish may release it. */
static void note_ended(void *context) {
    struct local_job *job = context;
    struct local_backend *b = (struct local_backend *)job->job.backend;
    pthread_mutex_lock(&b->mutex);
    if (job->has_begun)
        b->n_running--;
    else
        b->n_waiting--;
    job->has_ended = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* ---- jobs ---------------------------------------------------------------------- */

static void free_job(struct local_job *job) {
    local_answer_release(&job->answer);
    request_release(&job->request);
    mem_free(job);
}

static hearth_status enqueue(struct local_backend *b, struct local_job *job, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    pthread_mutex_lock(&b->mutex);
    if (b->n_waiting >= b->max_waiting) {
        status = error_set(err, HEARTH_ERROR_LIMIT,
                           "%zu requests are waiting already; try again later", b->n_waiting);
    } else {
        job->answer.queued_ns = clock_now_ns();
        *b->end = job;
        b->end = &job->next;
        job->older = b->all;
        job->link = &b->all;
        if (b->all) b->all->link = &job->older;
        b->all = job;
        b->n_waiting++;
        b->n_jobs++;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->mutex);
    return status;
}

static hearth_status check_name(const struct local_backend *b, const char *name,
                                hearth_error *err) {
    if (local_model_is(&b->model, name)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no model '%.200s' here; there is '%s'", name,
                     b->model.name);
}

static hearth_status start(struct backend *backend, const struct request *request,
                           struct event_sink sink, struct job **out, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    RETURN_IF_ERROR(check_name(b, request->model, err));
    struct local_job *job = mem_calloc(1, sizeof *job);
    if (!job) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to queue the request");
    job->job.backend = backend;
    job->answer = (struct local_answer){.model = &b->model,
                                        .request = &job->request,
                                        .sink = sink,
                                        .begun = note_begun,
                                        .ended = note_ended,
                                        .context = job};
    local_answer_init(&job->answer);
    hearth_status status = request_copy(&job->request, request, err);
    if (status == HEARTH_OK) status = enqueue(b, job, err);
    if (status == HEARTH_OK)
        *out = &job->job;
    else
        free_job(job);
    return status;
}

/* Those that wait for a thread need not wait for their turn to hear of it. */
static void move_to_front(struct local_backend *b, struct local_job *job) {
    for (struct local_job **at = &b->first; *at; at = &(*at)->next) {
        if (*at != job) continue;
        *at = job->next;
        if (b->end == &job->next) b->end = at;
        job->next = b->first;
        b->first = job;
        if (!job->next) b->end = &job->next;
        return;
    }
}

static void cancel(struct job *base) {
    struct local_job *job = (struct local_job *)base;
    struct local_backend *b = (struct local_backend *)base->backend;
    local_answer_cancel(&job->answer);
    pthread_mutex_lock(&b->mutex);
    move_to_front(b, job);
    pthread_mutex_unlock(&b->mutex);
}

static void finish(struct job *base) {
    struct local_job *job = (struct local_job *)base;
    struct local_backend *b = (struct local_backend *)base->backend;
    pthread_mutex_lock(&b->mutex);
    while (!job->has_ended)
        pthread_cond_wait(&b->changed, &b->mutex);
    *job->link = job->older;
    if (job->older) job->older->link = job->link;
    pthread_mutex_unlock(&b->mutex);
    free_job(job);
    pthread_mutex_lock(&b->mutex);
    b->n_jobs--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* ---- what there is ---------------------------------------------------------------- */

static hearth_status list_models(struct backend *backend, json_t *out, hearth_error *err) {
    const struct local_backend *b = (const struct local_backend *)backend;
    if (json_array_append_new(out, local_model_describe(&b->model)) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
}

static hearth_status status_of(struct backend *backend, json_t *out, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    const struct context *context = b->model.engine.context;
    pthread_mutex_lock(&b->mutex);
    size_t waiting = b->n_waiting, running = b->n_running;
    uint64_t n_requests = b->n_requests;
    pthread_mutex_unlock(&b->mutex);
    json_t *status =
        json_pack("{s:I, s:I, s:s, s:I, s:[{s:s, s:I, s:I, s:I}]}", "running", (json_int_t)running,
                  "waiting", (json_int_t)waiting, "device", context_device(context), "threads",
                  (json_int_t)context_settings(context)->n_threads, "models", "name", b->model.name,
                  "n_ctx", (json_int_t)context_length(context), "cache_bytes",
                  (json_int_t)context_cache_bytes(context), "requests", (json_int_t)n_requests);
    int failed = status ? json_object_update(out, status) : -1;
    json_decref(status);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the status");
}

static hearth_status tokenize(struct backend *backend, const struct backend_text *text, json_t *ids,
                              hearth_error *err) {
    const struct local_backend *b = (const struct local_backend *)backend;
    struct token_list list = {0};
    RETURN_IF_ERROR(check_name(b, text->model, err));
    hearth_status status = tokenizer_encode(b->model.engine.tokenizer, text->data, text->length,
                                            text->add_special, text->parse_special, &list, err);
    for (size_t i = 0; i < list.count && status == HEARTH_OK; i++)
        if (json_array_append_new(ids, json_integer(list.ids[i])) != 0)
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokens");
    token_list_release(&list);
    return status;
}

static hearth_status detokenize(struct backend *backend, const char *model, const json_t *ids,
                                struct buf *text, hearth_error *err) {
    const struct local_backend *b = (const struct local_backend *)backend;
    const struct tokenizer *tokenizer = b->model.engine.tokenizer;
    struct token_list list = {0};
    RETURN_IF_ERROR(check_name(b, model, err));
    hearth_status status = request_prompt_ids(ids, tokenizer, &list, err);
    if (status == HEARTH_OK)
        status = tokenizer_decode(tokenizer, list.ids, list.count, true, text, err);
    token_list_release(&list);
    return status;
}

static hearth_status render(struct backend *backend, const struct request *request,
                            struct buf *prompt, hearth_error *err) {
    const struct local_backend *b = (const struct local_backend *)backend;
    RETURN_IF_ERROR(check_name(b, request->model, err));
    return request_prompt_render(request, b->model.engine.tokenizer, b->model.template,
                                 b->model.form, prompt, err);
}

/* ---- open and close ---------------------------------------------------------------- */

/* What still waits or runs is cancelled; its events still come, and whoever started it finishes
 * it before this goes on. */
static void end_jobs(struct local_backend *b) {
    pthread_mutex_lock(&b->mutex);
    for (struct local_job *job = b->all; job; job = job->older)
        local_answer_cancel(&job->answer);
    while (b->n_jobs > 0)
        pthread_cond_wait(&b->changed, &b->mutex);
    b->stops = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void close_backend(struct backend *backend) {
    struct local_backend *b = (struct local_backend *)backend;
    end_jobs(b);
    for (size_t i = 0; i < b->n_threads; i++)
        pthread_join(b->threads[i], NULL);
    local_model_close(&b->model);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->mutex);
    mem_free(b);
}

static const struct backend_ops local_ops = {.start = start,
                                             .cancel = cancel,
                                             .finish = finish,
                                             .list_models = list_models,
                                             .status = status_of,
                                             .close = close_backend,
                                             .tokenize = tokenize,
                                             .detokenize = detokenize,
                                             .render = render};

static hearth_status start_threads(struct local_backend *b, hearth_error *err) {
    while (b->n_threads < PREPARING_THREADS) {
        int code = pthread_create(&b->threads[b->n_threads], NULL, prepare, b);
        if (code != 0)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start a thread: %s",
                             strerror(code));
        b->n_threads++;
    }
    return HEARTH_OK;
}

hearth_status local_backend_open(struct backend **out,
                                 const struct local_backend_settings *settings, hearth_error *err) {
    struct local_backend *b = mem_calloc(1, sizeof *b);
    *out = NULL;
    if (!b) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a backend");
    b->backend.ops = &local_ops;
    b->max_waiting = settings->max_waiting ? settings->max_waiting : LOCAL_BACKEND_WAITING;
    b->end = &b->first;
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->changed, NULL);
    const struct local_model_settings model = {.engine = &settings->engine,
                                               .drafting = &settings->drafting,
                                               .name = settings->name,
                                               .n_parallel = settings->n_parallel,
                                               .max_waiting = (uint32_t)b->max_waiting};
    hearth_status status = local_model_open(&b->model, &model, err);
    if (status == HEARTH_OK) status = start_threads(b, err);
    if (status == HEARTH_OK)
        *out = &b->backend;
    else
        close_backend(&b->backend);
    return status;
}
