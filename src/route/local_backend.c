/* Jobs are in one list from backend_start to job_finish. Invariants: (1) a job that is WAITING is
 * in the queue, one that was cancelled there in `cancelled`, one that runs in neither; (2) only the
 * working thread calls sinks; (3) `mutex` guards lists and states and is not held during a call of
 * a sink. */
#include "route/local_backend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "route/local_answer.h"
#include "route/local_model.h"
#include "route/request_copy.h"
#include "route/request_prompt.h"

struct local_job {
    struct job job;
    struct request request;
    struct event_sink sink;
    bool listening;        /* the working thread's */
    atomic_bool cancelled; /* while it runs */
    enum { JOB_WAITING, JOB_RUNNING, JOB_ENDED } state;
    uint64_t queued_ns;
    struct local_job *next; /* in the queue, or among the cancelled */
};

struct job_list {
    struct local_job *first, **end;
    size_t count;
};

struct local_backend {
    struct backend backend;
    struct local_model model;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job_list queue, cancelled;
    struct local_job *running;
    size_t max_waiting, n_jobs;
    uint64_t n_requests;
    bool stops;
};

static void list_init(struct job_list *list) {
    *list = (struct job_list){.end = &list->first};
}

static void list_append(struct job_list *list, struct local_job *job) {
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
    list->count++;
}

static struct local_job *list_take(struct job_list *list) {
    struct local_job *job = list->first;
    if (!job) return NULL;
    list->first = job->next;
    if (!list->first) list->end = &list->first;
    list->count--;
    return job;
}

static bool list_remove(struct job_list *list, struct local_job *job) {
    for (struct local_job **at = &list->first; *at; at = &(*at)->next) {
        if (*at != job) continue;
        *at = job->next;
        if (list->end == &job->next) list->end = at;
        list->count--;
        return true;
    }
    return false;
}

/* ---- the working thread ------------------------------------------------------- */

static bool take_event(void *context, const struct event *event) {
    struct local_job *job = context;
    if (job->listening) job->listening = job->sink.take(job->sink.context, event);
    return job->listening;
}

/* The last thing that happens to a job here: from now on job_finish may release it. */
static void end_job(struct local_backend *b, struct local_job *job) {
    pthread_mutex_lock(&b->mutex);
    if (b->running == job) b->running = NULL;
    job->state = JOB_ENDED;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* Jobs that were cancelled while they waited hear so without waiting for their turn. */
static void end_cancelled(struct local_backend *b) {
    pthread_mutex_lock(&b->mutex);
    for (struct local_job *job; (job = list_take(&b->cancelled)) != NULL;) {
        struct event finished = {.kind = EVENT_FINISHED}, done = {.kind = EVENT_DONE};
        pthread_mutex_unlock(&b->mutex);
        finished.finished.reason = FINISH_CANCELLED;
        done.usage.queue_seconds = clock_seconds_since(job->queued_ns);
        take_event(job, &finished);
        take_event(job, &done);
        end_job(b, job);
        pthread_mutex_lock(&b->mutex);
    }
    pthread_mutex_unlock(&b->mutex);
}

static bool goes_on(void *context) {
    struct local_job *job = context;
    end_cancelled((struct local_backend *)job->job.backend);
    return job->listening && !atomic_load(&job->cancelled);
}

static void run_job(struct local_backend *b, struct local_job *job) {
    const struct local_answer answer = {.model = &b->model,
                                        .request = &job->request,
                                        .sink = {take_event, job},
                                        .queue_seconds = clock_seconds_since(job->queued_ns),
                                        .goes_on = goes_on,
                                        .context = job};
    local_answer_run(&answer);
    end_job(b, job);
}

static void *work(void *context) {
    struct local_backend *b = context;
    pthread_mutex_lock(&b->mutex);
    while (!b->stops) {
        struct local_job *job = b->cancelled.count ? NULL : list_take(&b->queue);
        if (!job && !b->cancelled.count) {
            pthread_cond_wait(&b->changed, &b->mutex);
            continue;
        }
        if (job) {
            job->state = JOB_RUNNING;
            b->running = job;
            b->n_requests++;
        }
        pthread_mutex_unlock(&b->mutex);
        if (job)
            run_job(b, job);
        else
            end_cancelled(b);
        pthread_mutex_lock(&b->mutex);
    }
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}

/* ---- jobs ---------------------------------------------------------------------- */

static void free_job(struct local_job *job) {
    request_release(&job->request);
    mem_free(job);
}

static hearth_status enqueue(struct local_backend *b, struct local_job *job, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    pthread_mutex_lock(&b->mutex);
    if (b->queue.count >= b->max_waiting) {
        status = error_set(err, HEARTH_ERROR_LIMIT,
                           "%zu requests are waiting already; try again later", b->queue.count);
    } else {
        job->queued_ns = clock_now_ns();
        list_append(&b->queue, job);
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
    job->sink = sink;
    job->listening = true;
    atomic_init(&job->cancelled, false);
    hearth_status status = request_copy(&job->request, request, err);
    if (status == HEARTH_OK) status = enqueue(b, job, err);
    if (status == HEARTH_OK)
        *out = &job->job;
    else
        free_job(job);
    return status;
}

static void cancel(struct job *base) {
    struct local_job *job = (struct local_job *)base;
    struct local_backend *b = (struct local_backend *)base->backend;
    pthread_mutex_lock(&b->mutex);
    atomic_store(&job->cancelled, true);
    if (job->state == JOB_WAITING && list_remove(&b->queue, job)) {
        list_append(&b->cancelled, job);
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->mutex);
}

static void finish(struct job *base) {
    struct local_job *job = (struct local_job *)base;
    struct local_backend *b = (struct local_backend *)base->backend;
    pthread_mutex_lock(&b->mutex);
    while (job->state != JOB_ENDED)
        pthread_cond_wait(&b->changed, &b->mutex);
    b->n_jobs--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
    free_job(job);
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
    size_t waiting = b->queue.count, running = b->running ? 1 : 0;
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
    return request_prompt_render(request, b->model.engine.tokenizer, b->model.template, prompt,
                                 err);
}

/* ---- open and close ---------------------------------------------------------------- */

/* What still waits or runs is cancelled; its events still come, and whoever started it finishes
 * it before this goes on. */
static void cancel_all(struct local_backend *b) {
    pthread_mutex_lock(&b->mutex);
    for (struct local_job *job; (job = list_take(&b->queue)) != NULL;)
        list_append(&b->cancelled, job);
    if (b->running) atomic_store(&b->running->cancelled, true);
    pthread_cond_broadcast(&b->changed);
    while (b->n_jobs > 0)
        pthread_cond_wait(&b->changed, &b->mutex);
    b->stops = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void close_backend(struct backend *backend) {
    struct local_backend *b = (struct local_backend *)backend;
    if (b->has_thread) {
        cancel_all(b);
        pthread_join(b->thread, NULL);
    }
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

static hearth_status start_thread(struct local_backend *b, hearth_error *err) {
    int code = pthread_create(&b->thread, NULL, work, b);
    b->has_thread = code == 0;
    if (code == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start a thread: %s", strerror(code));
}

hearth_status local_backend_open(struct backend **out,
                                 const struct local_backend_settings *settings, hearth_error *err) {
    struct local_backend *b = mem_calloc(1, sizeof *b);
    *out = NULL;
    if (!b) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a backend");
    b->backend.ops = &local_ops;
    b->max_waiting = settings->max_waiting ? settings->max_waiting : LOCAL_BACKEND_WAITING;
    list_init(&b->queue);
    list_init(&b->cancelled);
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->changed, NULL);
    hearth_status status =
        local_model_open(&b->model, settings->name, &settings->engine, &settings->drafting, err);
    if (status == HEARTH_OK) status = start_thread(b, err);
    if (status == HEARTH_OK)
        *out = &b->backend;
    else
        close_backend(&b->backend);
    return status;
}
