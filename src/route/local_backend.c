/* Jobs go through three hands: the pool finds them a model, a thread that makes prompts takes them
 * from the queue, and the model's scheduler answers them. Invariants: (1) a job is the pool's or in
 * the queue from backend_start until one of these threads takes it; (2) `mutex` guards the queue,
 * the states and the numbers, and is not held during a call of a sink or while the pool is asked
 * for a model; (3) an ended job is touched by job_finish only, which gives its model back. */
#include "route/local_backend.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "route/local_adapters.h"
#include "route/local_answer.h"
#include "route/local_prefix.h"
#include "route/local_queue.h"
#include "route/local_slots.h"
#include "route/local_status.h"
#include "route/request_copy.h"
#include "route/request_prompt.h"

struct local_job {
    struct job job;
    struct request request;
    struct local_answer answer;
    struct model_wait wait;
    bool waits;           /* for its model */
    hearth_error problem; /* why it gets none */
    bool has_begun, has_ended;
    struct queued queued;
    struct local_job *older, **link; /* among all */
};

struct local_backend {
    struct backend backend;
    struct model_pool *pool;
    unsigned n_compute_threads; /* of the first model, and what it is computed by */
    char device[128];
    pthread_t threads[LOCAL_QUEUE_THREADS];
    size_t n_threads;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned n_preparing; /* threads that have begun */
    struct local_queue queue;
    struct local_job *all; /* the newest */
    size_t max_waiting, n_waiting, n_running, n_jobs;
    bool stops;
};

/* ---- preparing ----------------------------------------------------------------- */

/* No message and no time to stay: the model is only to go. */
static bool only_unloads(const struct request *request) {
    return request->kind == REQUEST_CHAT && json_array_size(request->messages) == 0 &&
           request->keep_alive_s == 0;
}

static void answer(struct local_backend *b, struct local_job *job) {
    if (only_unloads(&job->request)) model_pool_unload(b->pool, job->request.model, &job->problem);
    if (job->problem.code == HEARTH_OK || job->problem.code == HEARTH_ERROR_CANCELLED)
        local_answer_run(&job->answer);
    else
        local_answer_refuse(&job->answer, &job->problem);
}

static struct local_job *job_of(struct queued *queued) {
    return (struct local_job *)((char *)queued - offsetof(struct local_job, queued));
}

static void *prepare(void *context) {
    struct local_backend *b = context;
    pthread_mutex_lock(&b->mutex);
    unsigned thread = b->n_preparing++;
    while (!b->stops) {
        struct queued *queued = local_queue_take(&b->queue, thread);
        if (!queued) {
            pthread_cond_wait(&b->changed, &b->mutex);
            continue;
        }
        pthread_mutex_unlock(&b->mutex);
        answer(b, job_of(queued));
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

static void free_job(struct local_backend *b, struct local_job *job) {
    local_answer_release(&job->answer);
    if (job->answer.model)
        model_pool_release(b->pool, job->answer.model, job->request.keep_alive_s);
    request_release(&job->request);
    mem_free(job);
}

/* Refuses one more, where there is no room, or none for this client; under the mutex. */
static hearth_status check_room(const struct local_backend *b, uint64_t client, hearth_error *err) {
    size_t own = 0;
    for (const struct local_job *job = b->all; job && client; job = job->older)
        own += job->request.client == client && !job->has_begun && !job->has_ended;
    if (b->n_waiting >= b->max_waiting)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "%zu requests are waiting already; try again later", b->n_waiting);
    if (!scheduler_leaves_room(b->max_waiting, b->n_waiting, own + 1))
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "%zu of your requests are waiting already, and others need room, too; try "
                         "again later",
                         own);
    return HEARTH_OK;
}

static hearth_status count_in(struct local_backend *b, struct local_job *job, hearth_error *err) {
    pthread_mutex_lock(&b->mutex);
    hearth_status status = check_room(b, job->request.client, err);
    if (status == HEARTH_OK) {
        job->older = b->all;
        job->link = &b->all;
        if (b->all) b->all->link = &job->older;
        b->all = job;
        b->n_waiting++;
        b->n_jobs++;
        job->waits = true;
        job->answer.queued_ns = clock_now_ns();
    }
    pthread_mutex_unlock(&b->mutex);
    return status;
}

/* The pool has spoken: what waits from now on is the turn. */
static void enqueue(struct local_backend *b, struct local_job *job) {
    uint64_t now = clock_now_ns();
    pthread_mutex_lock(&b->mutex);
    job->waits = false;
    job->answer.usage.load_seconds = (double)(now - job->answer.queued_ns) * 1e-9;
    job->answer.queued_ns = now;
    job->queued.client = job->request.client;
    job->queued.is_long = job->request.kind == REQUEST_EMBED;
    local_queue_put(&b->queue, &job->queued);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* A file that is damaged is not what was wrong with the request. */
static hearth_error as_seen_outside(const hearth_error *problem) {
    hearth_error seen = *problem;
    if (seen.code == HEARTH_ERROR_FORMAT || seen.code == HEARTH_ERROR_ARGUMENT)
        seen.code = HEARTH_ERROR_IO;
    return seen;
}

static void take_model(struct model_wait *wait, struct local_model *model,
                       const hearth_error *problem) {
    struct local_job *job = (struct local_job *)((char *)wait - offsetof(struct local_job, wait));
    job->answer.model = model;
    job->problem = as_seen_outside(problem);
    enqueue((struct local_backend *)job->job.backend, job);
}

static hearth_status start(struct backend *backend, const struct request *request,
                           struct event_sink sink, struct job **out, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    RETURN_IF_ERROR(model_pool_check_name(b->pool, request->model, err));
    struct local_job *job = mem_calloc(1, sizeof *job);
    if (!job) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to queue the request");
    job->job.backend = backend;
    job->wait.ready = take_model;
    job->answer = (struct local_answer){.request = &job->request,
                                        .sink = sink,
                                        .begun = note_begun,
                                        .ended = note_ended,
                                        .context = job};
    local_answer_init(&job->answer);
    hearth_status status = request_copy(&job->request, request, err);
    if (status == HEARTH_OK) status = count_in(b, job, err);
    if (status != HEARTH_OK) {
        free_job(b, job);
        return status;
    }
    *out = &job->job;
    if (only_unloads(&job->request))
        enqueue(b, job);
    else
        model_pool_acquire(b->pool, &job->wait, job->request.model);
    return HEARTH_OK;
}

static void cancel(struct job *base) {
    struct local_job *job = (struct local_job *)base;
    struct local_backend *b = (struct local_backend *)base->backend;
    local_answer_cancel(&job->answer);
    pthread_mutex_lock(&b->mutex);
    if (job->waits)
        model_pool_cancel(b->pool, &job->wait);
    else
        local_queue_hurry(&b->queue, &job->queued);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

static void progress(struct job *base, struct job_progress *out) {
    struct local_job *job = (struct local_job *)base;
    out->n_prompt = atomic_load(&job->answer.n_prompt_now);
    out->n_answer = atomic_load(&job->answer.n_answer_now);
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
    free_job(b, job);
    pthread_mutex_lock(&b->mutex);
    b->n_jobs--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* ---- what there is ---------------------------------------------------------------- */

static hearth_status list_models(struct backend *backend, json_t *out, hearth_error *err) {
    return model_pool_list(((struct local_backend *)backend)->pool, out, err);
}

static void describe_use(void *context, struct local_model *model, const struct model_use *use) {
    json_array_append_new(context, local_status_of_model(model, use));
}

static hearth_status status_of(struct backend *backend, json_t *out, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct model_pool_memory memory = model_pool_memory(b->pool);
    json_t *models = json_array();
    pthread_mutex_lock(&b->mutex);
    size_t waiting = b->n_waiting, running = b->n_running;
    pthread_mutex_unlock(&b->mutex);
    model_pool_visit(b->pool, describe_use, models);
    json_t *status =
        json_pack("{s:I, s:I, s:s, s:I, s:I, s:I, s:o}", "running", (json_int_t)running, "waiting",
                  (json_int_t)waiting, "device", b->device, "threads",
                  (json_int_t)b->n_compute_threads, "models_bytes", (json_int_t)memory.used_bytes,
                  "models_max_bytes", (json_int_t)memory.max_bytes, "models", models);
    int failed = status ? json_object_update(out, status) : -1;
    json_decref(status);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the status");
}

static hearth_status adapters(struct backend *backend, const char *name, const json_t *scales,
                              json_t *out, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, name, &model, err));
    hearth_status status = scales ? local_adapters_switch(model, scales, err) : HEARTH_OK;
    json_t *list = local_adapters_describe(model);
    if (status == HEARTH_OK && (!list || json_array_extend(out, list) != 0))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of adapters");
    json_decref(list);
    model_pool_return(b->pool, model);
    return status;
}

static hearth_status add_adapter(struct backend *backend, const char *name, const char *path,
                                 const char *wanted, char **found, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, name, &model, err));
    hearth_status status = local_adapters_add(model, path, wanted, found, err);
    model_pool_return(b->pool, model);
    return status;
}

static hearth_status tokenize(struct backend *backend, const struct backend_text *text, json_t *ids,
                              hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct token_list list = {0};
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, text->model, &model, err));
    hearth_status status = tokenizer_encode(model->engine.tokenizer, text->data, text->length,
                                            text->add_special, text->parse_special, &list, err);
    model_pool_return(b->pool, model);
    for (size_t i = 0; i < list.count && status == HEARTH_OK; i++)
        if (json_array_append_new(ids, json_integer(list.ids[i])) != 0)
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tokens");
    token_list_release(&list);
    return status;
}

static hearth_status detokenize(struct backend *backend, const char *name, const json_t *ids,
                                struct buf *text, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct token_list list = {0};
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, name, &model, err));
    const struct tokenizer *tokenizer = model->engine.tokenizer;
    hearth_status status = request_prompt_ids(ids, tokenizer, &list, err);
    if (status == HEARTH_OK)
        status = tokenizer_decode(tokenizer, list.ids, list.count, true, text, err);
    model_pool_return(b->pool, model);
    token_list_release(&list);
    return status;
}

static hearth_status render(struct backend *backend, const struct request *request,
                            struct buf *prompt, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, request->model, &model, err));
    hearth_status status = request_prompt_render(request, model->engine.tokenizer, model->template,
                                                 model->form, prompt, err);
    model_pool_return(b->pool, model);
    return status;
}

static hearth_status slot(struct backend *backend, const struct backend_slot *call, json_t *out,
                          hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, call->model, &model, err));
    hearth_status status = local_slots_call(model, call, out, err);
    model_pool_return(b->pool, model);
    return status;
}

hearth_status local_backend_save_prefix(struct backend *backend, const struct request *request,
                                        const char *path, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, request->model, &model, err));
    hearth_status status = local_prefix_save(model, request, path, err);
    model_pool_return(b->pool, model);
    return status;
}

hearth_status local_backend_load_prefix(struct backend *backend, const struct request *request,
                                        const char *path, bool *complete, hearth_error *err) {
    struct local_backend *b = (struct local_backend *)backend;
    struct local_model *model;
    RETURN_IF_ERROR(model_pool_borrow(b->pool, request->model, &model, err));
    hearth_status status = local_prefix_load(model, request, path, complete, err);
    model_pool_return(b->pool, model);
    return status;
}

/* ---- open and close ---------------------------------------------------------------- */

/* What still waits or runs is cancelled; its events still come, and whoever started it finishes
 * it before this goes on. */
static void end_jobs(struct local_backend *b) {
    pthread_mutex_lock(&b->mutex);
    for (struct local_job *job = b->all; job; job = job->older) {
        local_answer_cancel(&job->answer);
        if (job->waits) model_pool_cancel(b->pool, &job->wait);
    }
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
    model_pool_close(b->pool);
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
                                             .render = render,
                                             .adapters = adapters,
                                             .add_adapter = add_adapter,
                                             .progress = progress,
                                             .slot = slot};

static hearth_status start_threads(struct local_backend *b, hearth_error *err) {
    while (b->n_threads < LOCAL_QUEUE_THREADS) {
        int code = pthread_create(&b->threads[b->n_threads], NULL, prepare, b);
        if (code != 0)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start a thread: %s",
                             strerror(code));
        b->n_threads++;
    }
    return HEARTH_OK;
}

static void note_first(void *context, struct local_model *model, const struct model_use *use) {
    struct local_backend *b = context;
    const struct context *computing = model->engine.context;
    (void)use;
    if (b->n_compute_threads) return;
    b->n_compute_threads = context_settings(computing)->n_threads;
    snprintf(b->device, sizeof b->device, "%s", context_device(computing));
}

static hearth_status open_pool(struct local_backend *b,
                               const struct local_backend_settings *settings, hearth_error *err) {
    struct model_pool_settings pool = {.engine = settings->engine,
                                       .drafting = settings->drafting,
                                       .n_parallel = settings->n_parallel,
                                       .max_waiting = (uint32_t)b->max_waiting,
                                       .keeps_slots = settings->keeps_slots,
                                       .models = settings->models,
                                       .n_models = settings->n_models,
                                       .name = settings->name,
                                       .template_file = settings->template_file,
                                       .no_template = settings->no_template,
                                       .only_named = !settings->on_demand,
                                       .max_bytes = settings->max_bytes,
                                       .max_models = settings->max_models,
                                       .keep_alive_s = settings->keep_alive_s,
                                       .max_wait_s = settings->max_wait_s,
                                       .patience_s = MODEL_POOL_PATIENCE_S};
    if (!pool.n_models) {
        pool.models = &settings->engine.model;
        pool.n_models = 1;
    }
    if (!pool.models[0])
        return error_set(err, HEARTH_ERROR_ARGUMENT, "no model given; use -m FILE");
    RETURN_IF_ERROR(model_pool_open(&b->pool, &pool, err));
    model_pool_visit(b->pool, note_first, b);
    return HEARTH_OK;
}

hearth_status local_backend_open(struct backend **out,
                                 const struct local_backend_settings *settings, hearth_error *err) {
    struct local_backend *b = mem_calloc(1, sizeof *b);
    *out = NULL;
    if (!b) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a backend");
    b->backend.ops = &local_ops;
    b->max_waiting = settings->max_waiting ? settings->max_waiting : LOCAL_BACKEND_WAITING;
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->changed, NULL);
    hearth_status status = open_pool(b, settings, err);
    if (status == HEARTH_OK) status = start_threads(b, err);
    if (status == HEARTH_OK)
        *out = &b->backend;
    else
        close_backend(&b->backend);
    return status;
}
