#include "server/model_holding.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/http_parts.h"

enum {
    LOOK_MS = 100,      /* how soon it is noticed that the client has left */
    PATIENCE_LOOKS = 10 /* in so much time, for a model to become idle */
};

typedef hearth_status (*model_use)(void *context, const char *name, hearth_error *err);

/* What comes of a request that asks for no answer. */
struct holding {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char *name; /* that the model goes by; NULL: none is loaded */
    bool ended;
    hearth_error problem;
};

static bool take_event(void *context, const struct event *event) {
    struct holding *h = context;
    pthread_mutex_lock(&h->mutex);
    if (event->kind == EVENT_STARTED && event->model && !h->name)
        h->name = mem_strdup(event->model);
    if (event->kind == EVENT_FAILED)
        error_set(&h->problem, event->failed.status, "%s", event->failed.message);
    h->ended = event->kind == EVENT_DONE || event->kind == EVENT_FAILED;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->mutex);
    return true;
}

static void await(struct holding *h, struct job *job, const atomic_bool *cancelled) {
    pthread_mutex_lock(&h->mutex);
    for (bool told = false; !h->ended;) {
        struct timespec until;
        timespec_get(&until, TIME_UTC);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&h->changed, &h->mutex, &until);
        if (told || !atomic_load(cancelled)) continue;
        told = true;
        pthread_mutex_unlock(&h->mutex);
        job_cancel(job);
        pthread_mutex_lock(&h->mutex);
    }
    pthread_mutex_unlock(&h->mutex);
}

/* The job holds its model until it is finished. */
static hearth_status use_model(const struct holding *h, const atomic_bool *cancelled, model_use use,
                               void *context, hearth_error *err) {
    if (atomic_load(cancelled)) return error_set(err, HEARTH_ERROR_CANCELLED, "cancelled");
    if (!h->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    return use(context, h->name, err);
}

static hearth_status run(struct http_task *task, const struct request *request, struct holding *h,
                         model_use use, void *context, hearth_error *err) {
    struct backend *backend = http_task_server(task)->settings.backend;
    const atomic_bool *cancelled = http_task_cancelled(task);
    struct job *job;
    RETURN_IF_ERROR(backend_start(backend, request, (struct event_sink){take_event, h}, &job, err));
    await(h, job, cancelled);
    hearth_status status = h->problem.code;
    if (status != HEARTH_OK)
        error_set(err, status, "%s", h->problem.message);
    else if (use)
        status = use_model(h, cancelled, use, context, err);
    job_finish(job);
    return status;
}

/* A request without messages loads a model or, where it is not to stay, unloads it. */
static hearth_status ask(struct http_task *task, const char *name, double keep_alive_s,
                         model_use use, void *context, hearth_error *err) {
    struct request request;
    struct holding h = {.ended = false};
    request_init(&request);
    request.kind = REQUEST_CHAT;
    request.model = name ? mem_strdup(name) : NULL;
    request.messages = json_array();
    request.keep_alive_s = keep_alive_s;
    pthread_mutex_init(&h.mutex, NULL);
    pthread_cond_init(&h.changed, NULL);
    hearth_status status = (request.model || !name) && request.messages
                               ? run(task, &request, &h, use, context, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a request");
    mem_free(h.name);
    pthread_cond_destroy(&h.changed);
    pthread_mutex_destroy(&h.mutex);
    request_release(&request);
    return status;
}

hearth_status model_holding_load(struct http_task *task, const char *name, hearth_error *err) {
    return ask(task, name, INFINITY, NULL, NULL, err);
}

hearth_status model_holding_use(struct http_task *task, const char *name, model_use use,
                                void *context, hearth_error *err) {
    return ask(task, name, NAN, use, context, err);
}

static bool is_loaded(const json_t *models, const char *name) {
    size_t i;
    const json_t *model;
    json_array_foreach(models, i, model) {
        const char *own = json_string_value(json_object_get(model, "name"));
        if (own && strcmp(own, name) == 0) return json_is_true(json_object_get(model, "loaded"));
    }
    return false;
}

static hearth_status look(struct http_task *task, const char *name, bool *loaded,
                          hearth_error *err) {
    json_t *models = json_array();
    hearth_status status =
        models ? backend_list_models(http_task_server(task)->settings.backend, models, err)
               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
    *loaded = is_loaded(models, name);
    json_decref(models);
    return status;
}

/* An answer that its client has read may need a moment more to end here. */
hearth_status model_holding_unload(struct http_task *task, const char *name, bool *in_use,
                                   hearth_error *err) {
    const atomic_bool *cancelled = http_task_cancelled(task);
    *in_use = false;
    RETURN_IF_ERROR(ask(task, name, 0, NULL, NULL, err));
    for (int i = 0; i < PATIENCE_LOOKS && !atomic_load(cancelled); i++) {
        RETURN_IF_ERROR(look(task, name, in_use, err));
        if (!*in_use) break;
        clock_rest((uint64_t)LOOK_MS * 1000000 / PATIENCE_LOOKS);
    }
    return HEARTH_OK;
}
