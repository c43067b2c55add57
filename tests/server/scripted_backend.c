#include "scripted_backend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

struct scripted {
    struct backend backend;
    struct script script;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct scripted_counts counts;
    double scale; /* of its adapter */
};

struct scripted_job {
    struct job job;
    struct event_sink sink;
    json_t *embeds; /* inputs that become vectors; NULL: none do */
    pthread_t thread;
    atomic_bool cancelled;
};

static void change(struct scripted *s, size_t *counter, int by) {
    pthread_mutex_lock(&s->mutex);
    *counter += (size_t)by;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

static void say(struct scripted_job *job, const struct event *event) {
    job->sink.take(job->sink.context, event);
}

static void say_pieces(struct scripted_job *job, const struct script *script) {
    for (size_t round = 0; script->rounds == 0 || round < script->rounds; round++)
        for (size_t i = 0; i < script->n_pieces; i++) {
            struct event text = {.kind = EVENT_TEXT};
            if (script->pause_ms) clock_rest((uint64_t)script->pause_ms * 1000000);
            if (atomic_load(&job->cancelled)) return;
            text.text.data = script->pieces[i];
            text.text.length = strlen(script->pieces[i]);
            say(job, &text);
        }
}

/* The length of a text and 1. */
static void say_vectors(struct scripted_job *job) {
    size_t i;
    const json_t *text;
    json_array_foreach(job->embeds, i, text) {
        const float values[] = {(float)json_string_length(text), 1};
        struct event event = {.kind = EVENT_EMBEDDING, .choice = (uint32_t)i};
        event.embedding.values = values;
        event.embedding.n = 2;
        say(job, &event);
    }
}

static void say_end(struct scripted_job *job, const struct script *script) {
    struct event finished = {.kind = EVENT_FINISHED}, last = {.kind = EVENT_DONE};
    if (script->fails != HEARTH_OK) {
        last.kind = EVENT_FAILED;
        last.failed.status = script->fails;
        last.failed.message = script->message;
    } else {
        finished.finished.reason = atomic_load(&job->cancelled) ? FINISH_CANCELLED : FINISH_STOP;
        if (!job->embeds) say(job, &finished);
        last.usage = (struct event_usage){.n_prompt = 3, .n_answer = script->n_pieces};
    }
    say(job, &last);
}

static void *run(void *context) {
    struct scripted_job *job = context;
    struct scripted *s = (struct scripted *)job->job.backend;
    struct event started = {.kind = EVENT_STARTED, .model = "scripted"};
    if (s->script.fails == HEARTH_OK || s->script.late) {
        say(job, &started);
        if (job->embeds)
            say_vectors(job);
        else
            say_pieces(job, &s->script);
    }
    if (atomic_load(&job->cancelled)) change(s, &s->counts.cancelled, 1);
    change(s, &s->counts.running, -1);
    say_end(job, &s->script);
    return NULL;
}

static hearth_status start(struct backend *backend, const struct request *request,
                           struct event_sink sink, struct job **out, hearth_error *err) {
    struct scripted *s = (struct scripted *)backend;
    if (request->model && strcmp(request->model, "unknown") == 0)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "no model 'unknown' here");
    pthread_mutex_lock(&s->mutex);
    s->counts.priority = request->priority;
    s->counts.keep_alive_s = request->keep_alive_s;
    bool full = s->script.most_jobs && s->counts.running >= s->script.most_jobs;
    if (full) s->counts.refused++;
    pthread_mutex_unlock(&s->mutex);
    if (full) return error_set(err, HEARTH_ERROR_LIMIT, "too many requests are waiting");
    struct scripted_job *job = mem_calloc(1, sizeof *job);
    assert_non_null(job);
    job->job.backend = backend;
    job->sink = sink;
    job->embeds = request->kind == REQUEST_EMBED ? json_deep_copy(request->inputs) : NULL;
    change(s, &s->counts.started, 1);
    change(s, &s->counts.running, 1);
    if (pthread_create(&job->thread, NULL, run, job) != 0) {
        change(s, &s->counts.running, -1);
        json_decref(job->embeds);
        mem_free(job);
        return error_set(err, HEARTH_ERROR_LIMIT, "no more threads for answers");
    }
    *out = &job->job;
    return HEARTH_OK;
}

static void cancel(struct job *base) {
    atomic_store(&((struct scripted_job *)base)->cancelled, true);
}

static void progress(struct job *base, struct job_progress *out) {
    (void)base;
    out->n_prompt = SCRIPTED_PROMPT;
}

static void finish(struct job *base) {
    pthread_join(((struct scripted_job *)base)->thread, NULL);
    json_decref(((struct scripted_job *)base)->embeds);
    mem_free(base);
}

static hearth_status adapters(struct backend *backend, const char *model, const json_t *scales,
                              json_t *out, hearth_error *err) {
    struct scripted *s = (struct scripted *)backend;
    (void)model;
    if (!s->script.adapter) return HEARTH_OK;
    if (scales && !json_is_array(scales))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "an array of adapters is expected");
    pthread_mutex_lock(&s->mutex);
    if (scales) s->scale = json_number_value(json_object_get(json_array_get(scales, 0), "scale"));
    json_array_append_new(
        out, json_pack("{s:i, s:s, s:f}", "id", 0, "name", s->script.adapter, "scale", s->scale));
    pthread_mutex_unlock(&s->mutex);
    return HEARTH_OK;
}

static hearth_status slot(struct backend *backend, const struct backend_slot *call, json_t *out,
                          hearth_error *err) {
    struct scripted *s = (struct scripted *)backend;
    (void)err;
    pthread_mutex_lock(&s->mutex);
    snprintf(s->counts.slot_path, sizeof s->counts.slot_path, "%s", call->path ? call->path : "");
    pthread_mutex_unlock(&s->mutex);
    json_object_set_new(out, "n_saved", json_integer(0));
    return HEARTH_OK;
}

static hearth_status add_adapter(struct backend *backend, const char *model, const char *path,
                                 const char *name, char **found, hearth_error *err) {
    (void)backend;
    (void)model;
    if (!file_exists(path)) return error_set(err, HEARTH_ERROR_NOT_FOUND, "no file '%s'", path);
    *found = mem_strdup(name);
    return HEARTH_OK;
}

static hearth_status list_models(struct backend *backend, json_t *out, hearth_error *err) {
    const struct scripted *s = (const struct scripted *)backend;
    (void)err;
    json_t *model =
        json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:i, s:i, s:b, s:b}", "name", "org/scripted:q8_0",
                  "path", "scripted.gguf", "size_bytes", 1000, "n_parameters", 1000, "type", "q8_0",
                  "family", "llama", "n_ctx", 512, "n_ctx_train", 1024, "loaded", 1, "embeds", 0);
    if (s->script.adapter)
        json_object_set_new(model, "adapters", json_pack("[s]", s->script.adapter));
    json_array_append_new(out, model);
    return HEARTH_OK;
}

/* The same number everywhere but for the pages. */
static json_t *scheduler(void) {
    static const char *const facts[] = {
        "waiting",           "running",       "passes",           "rows",
        "prompt_tokens",     "reused_tokens", "generated_tokens", "preempted",
        "recomputed_tokens", "free_pages",    "kept_pages"};
    json_t *object = json_pack("{s:i}", "pages", 8);
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        json_object_set_new(object, facts[i], json_integer(2));
    return object;
}

static hearth_status status_of(struct backend *backend, json_t *out, hearth_error *err) {
    struct scripted_counts counts = scripted_counts(backend);
    (void)err;
    json_object_set_new(out, "running", json_integer((json_int_t)counts.running));
    json_object_set_new(out, "waiting", json_integer(0));
    json_object_set_new(out, "device", json_string("none"));
    json_object_set_new(out, "threads", json_integer(1));
    json_object_set_new(out, "models",
                        json_pack("[{s:s, s:i, s:i, s:i, s:I, s:o}]", "name", "org/scripted:q8_0",
                                  "n_ctx", 512, "cache_bytes", 0, "slots", 2, "running",
                                  (json_int_t)counts.running, "scheduler", scheduler()));
    return HEARTH_OK;
}

static void close_backend(struct backend *backend) {
    struct scripted *s = (struct scripted *)backend;
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

struct backend *scripted_open(const struct script *script) {
    static const struct backend_ops ops = {.start = start,
                                           .cancel = cancel,
                                           .finish = finish,
                                           .list_models = list_models,
                                           .adapters = adapters,
                                           .slot = slot,
                                           .add_adapter = add_adapter,
                                           .progress = progress,
                                           .status = status_of,
                                           .close = close_backend};
    struct scripted *s = mem_calloc(1, sizeof *s);
    assert_non_null(s);
    s->backend.ops = &ops;
    s->script = *script;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
    return &s->backend;
}

struct scripted_counts scripted_counts(struct backend *backend) {
    struct scripted *s = (struct scripted *)backend;
    pthread_mutex_lock(&s->mutex);
    struct scripted_counts counts = s->counts;
    pthread_mutex_unlock(&s->mutex);
    return counts;
}

static void await(struct backend *backend, const size_t *counter, size_t n, const char *what) {
    struct scripted *s = (struct scripted *)backend;
    struct timespec end;
    int code = 0;
    timespec_get(&end, TIME_UTC);
    end.tv_sec += 10;
    pthread_mutex_lock(&s->mutex);
    while (*counter != n && code == 0)
        code = pthread_cond_timedwait(&s->changed, &s->mutex, &end);
    size_t found = *counter;
    pthread_mutex_unlock(&s->mutex);
    if (code != 0) fail_msg("%zu answers are %s, not %zu", found, what, n);
}

void scripted_await_running(struct backend *backend, size_t n) {
    await(backend, &((struct scripted *)backend)->counts.running, n, "running");
}

void scripted_await_cancelled(struct backend *backend, size_t n) {
    await(backend, &((struct scripted *)backend)->counts.cancelled, n, "cancelled");
}
