#include "store/store_pool.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/mem.h"
#include "store/database.h"

/* A job that waits; it lies on the stack of the thread that waits for it. */
struct waiting {
    store_job job;
    void *context;
    hearth_status status;
    hearth_error error;
    bool done;
    struct waiting *next;
};

struct store_pool {
    pthread_mutex_t mutex;
    pthread_cond_t written, returned;
    char *path;
    struct store *writer;
    bool writing; /* some thread uses `writer`, without the mutex */
    struct waiting *first, **last;
    struct store *idle[STORE_POOL_READERS];
    size_t n_idle, n_readers; /* of those that are open */
};

hearth_status store_pool_open(struct store_pool **out, const char *path, hearth_error *err) {
    struct store_pool *pool = mem_calloc(1, sizeof *pool);
    *out = NULL;
    if (!pool) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the database");
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->written, NULL);
    pthread_cond_init(&pool->returned, NULL);
    pool->last = &pool->first;
    pool->path = mem_strdup(path);
    hearth_status status = pool->path
                               ? store_open(&pool->writer, path, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (status == HEARTH_OK)
        *out = pool;
    else
        store_pool_close(pool);
    return status;
}

void store_pool_close(struct store_pool *pool) {
    if (!pool) return;
    for (size_t i = 0; i < pool->n_idle; i++)
        store_close(pool->idle[i]);
    store_close(pool->writer);
    mem_free(pool->path);
    pthread_cond_destroy(&pool->returned);
    pthread_cond_destroy(&pool->written);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void do_job(struct store *store, struct waiting *w) {
    w->status = store_begin(store, &w->error);
    if (w->status == HEARTH_OK)
        w->status = store_end(store, w->job(store, w->context, &w->error), &w->error);
}

/* Jobs that failed did so alone, each for its reason; if the whole is not committed, all have. */
static void do_together(struct store *store, struct waiting *first) {
    hearth_error error = {0};
    hearth_status status = store_begin(store, &error);
    if (status == HEARTH_OK) {
        for (struct waiting *w = first; w; w = w->next)
            do_job(store, w);
        status = store_end(store, HEARTH_OK, &error);
    }
    for (struct waiting *w = first; w && status != HEARTH_OK; w = w->next) {
        if (w->status != HEARTH_OK) continue;
        w->status = status;
        w->error = error;
    }
}

/* Takes up to STORE_POOL_TOGETHER jobs from the front. */
static struct waiting *take_some(struct store_pool *pool) {
    struct waiting *first = pool->first, **end = &pool->first;
    for (size_t n = 0; *end && n < STORE_POOL_TOGETHER; n++)
        end = &(*end)->next;
    pool->first = *end;
    if (!pool->first) pool->last = &pool->first;
    *end = NULL;
    return first;
}

static void write_some(struct store_pool *pool) {
    struct waiting *some = take_some(pool);
    pool->writing = true;
    pthread_mutex_unlock(&pool->mutex);
    do_together(pool->writer, some);
    pthread_mutex_lock(&pool->mutex);
    pool->writing = false;
    for (struct waiting *w = some, *next; w; w = next) {
        next = w->next; /* whoever waits may go as soon as it is done */
        w->done = true;
    }
    pthread_cond_broadcast(&pool->written);
}

static void wait_in_line(struct store_pool *pool, struct waiting *w) {
    *pool->last = w;
    pool->last = &w->next;
}

hearth_status store_pool_write(struct store_pool *pool, store_job job, void *context,
                               hearth_error *err) {
    struct waiting mine = {.job = job, .context = context};
    pthread_mutex_lock(&pool->mutex);
    wait_in_line(pool, &mine);
    while (!mine.done)
        if (pool->writing)
            pthread_cond_wait(&pool->written, &pool->mutex);
        else
            write_some(pool);
    pthread_mutex_unlock(&pool->mutex);
    if (err && mine.status != HEARTH_OK) *err = mine.error;
    return mine.status;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* `*reader` NULL: the caller is to open one. */
static void take_reader(struct store_pool *pool, struct store **reader) {
    pthread_mutex_lock(&pool->mutex);
    while (pool->n_idle == 0 && pool->n_readers == STORE_POOL_READERS)
        pthread_cond_wait(&pool->returned, &pool->mutex);
    *reader = pool->n_idle > 0 ? pool->idle[--pool->n_idle] : NULL;
    if (!*reader) pool->n_readers++;
    pthread_mutex_unlock(&pool->mutex);
}

static void return_reader(struct store_pool *pool, struct store *reader) {
    pthread_mutex_lock(&pool->mutex);
    if (reader)
        pool->idle[pool->n_idle++] = reader;
    else
        pool->n_readers--;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->mutex);
}

hearth_status store_pool_read(struct store_pool *pool, store_job job, void *context,
                              hearth_error *err) {
    struct store *reader;
    hearth_status status = HEARTH_OK;
    take_reader(pool, &reader);
    if (!reader) status = store_open(&reader, pool->path, err);
    if (status == HEARTH_OK) status = store_begin_reading(reader, err);
    if (status == HEARTH_OK) status = store_end(reader, job(reader, context, err), err);
    return_reader(pool, reader);
    return status;
}
