#include "base/worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { MOST_JOBS = 1024 };

struct worker {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        worker_job run;
        void *context;
    } jobs[MOST_JOBS];     /* job n at n % MOST_JOBS */
    uint64_t posted, done; /* numbers of the last ones */
    bool stop;
};

static void *work(void *context) {
    struct worker *w = context;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->done == w->posted && !w->stop)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (w->done == w->posted) break;
        size_t at = (size_t)((w->done + 1) % MOST_JOBS);
        worker_job run = w->jobs[at].run;
        void *job = w->jobs[at].context;
        pthread_mutex_unlock(&w->mutex);
        run(job);
        pthread_mutex_lock(&w->mutex);
        w->done++;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

hearth_status worker_open(struct worker **out, hearth_error *err) {
    struct worker *w = mem_calloc(1, sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a thread");
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    int code = pthread_create(&w->thread, NULL, work, w);
    if (code != 0) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->mutex);
        mem_free(w);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start a thread: %s", strerror(code));
    }
    *out = w;
    return HEARTH_OK;
}

void worker_close(struct worker *w) {
    if (!w) return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    mem_free(w);
}

uint64_t worker_post(struct worker *w, worker_job job, void *context) {
    pthread_mutex_lock(&w->mutex);
    while (w->posted - w->done == MOST_JOBS)
        pthread_cond_wait(&w->changed, &w->mutex);
    uint64_t number = ++w->posted;
    w->jobs[number % MOST_JOBS].run = job;
    w->jobs[number % MOST_JOBS].context = context;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return number;
}

void worker_wait(struct worker *w, uint64_t number) {
    pthread_mutex_lock(&w->mutex);
    while (w->done < number)
        pthread_cond_wait(&w->changed, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

void worker_drain(struct worker *w) {
    worker_wait(w, w->posted);
}
