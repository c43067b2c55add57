#include "server/http_task.h"

#include <pthread.h>

#include "base/mem.h"
#include "server/http_errors.h"

struct http_tasks {
    pthread_t threads[HTTP_TASK_THREADS];
    size_t n_threads;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t more;
    struct http_exchange *first, **last; /* those that wait, by `next_task` */
    bool closing;
};

static struct http_exchange *take(struct http_tasks *tasks) {
    pthread_mutex_lock(&tasks->mutex);
    while (!tasks->first && !tasks->closing)
        pthread_cond_wait(&tasks->more, &tasks->mutex);
    struct http_exchange *x = tasks->first;
    if (x) tasks->first = x->next_task;
    if (!tasks->first) tasks->last = &tasks->first;
    pthread_mutex_unlock(&tasks->mutex);
    return x;
}

/* Once its connection goes on, the exchange is no longer the task's. */
static void *work(void *context) {
    for (struct http_exchange *x; (x = take(context)) != NULL;) {
        struct MHD_Connection *connection = x->connection;
        x->task(x);
        MHD_resume_connection(connection);
    }
    return NULL;
}

hearth_status http_tasks_open(struct http_tasks **out, hearth_error *err) {
    struct http_tasks *tasks = *out = mem_calloc(1, sizeof *tasks);
    if (!tasks) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for threads");
    tasks->last = &tasks->first;
    pthread_mutex_init(&tasks->mutex, NULL);
    pthread_cond_init(&tasks->more, NULL);
    for (size_t i = 0; i < HTTP_TASK_THREADS; i++)
        if (pthread_create(&tasks->threads[tasks->n_threads], NULL, work, tasks) == 0)
            tasks->n_threads++;
    if (tasks->n_threads > 0) return HEARTH_OK;
    http_tasks_close(tasks);
    *out = NULL;
    return error_set(err, HEARTH_ERROR_IO, "cannot start a thread");
}

void http_tasks_end(struct http_tasks *tasks) {
    if (!tasks) return;
    pthread_mutex_lock(&tasks->mutex);
    tasks->closing = true;
    pthread_cond_broadcast(&tasks->more);
    pthread_mutex_unlock(&tasks->mutex);
    for (size_t i = 0; i < tasks->n_threads; i++)
        pthread_join(tasks->threads[i], NULL);
    tasks->n_threads = 0;
}

void http_tasks_close(struct http_tasks *tasks) {
    if (!tasks) return;
    http_tasks_end(tasks);
    pthread_cond_destroy(&tasks->more);
    pthread_mutex_destroy(&tasks->mutex);
    mem_free(tasks);
}

void http_task_start(struct http_tasks *tasks, struct http_exchange *x,
                     void (*run)(struct http_exchange *x)) {
    pthread_mutex_lock(&tasks->mutex);
    bool starts = !tasks->closing;
    if (starts) {
        x->task = run;
        x->next_task = NULL;
        MHD_suspend_connection(x->connection);
        *tasks->last = x;
        tasks->last = &x->next_task;
        pthread_cond_signal(&tasks->more);
    }
    pthread_mutex_unlock(&tasks->mutex);
    if (!starts)
        http_reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "", "the server is shutting down");
}
