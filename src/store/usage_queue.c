#include "store/usage_queue.h"

#include <pthread.h>
#include <string.h>

#include "base/date.h"
#include "base/mem.h"

struct usage_queue {
    struct store_pool *pool;
    pthread_mutex_t mutex;
    size_t count;
    uint64_t dropped;
    int64_t folded_day; /* the last on which old rows were folded */
    struct usage_row rows[USAGE_QUEUE_MAX], flushed[USAGE_QUEUE_MAX];
};

hearth_status usage_queue_open(struct usage_queue **out, struct store_pool *pool,
                               hearth_error *err) {
    *out = mem_calloc(1, sizeof **out);
    if (!*out) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the usage of requests");
    (*out)->pool = pool;
    pthread_mutex_init(&(*out)->mutex, NULL);
    return HEARTH_OK;
}

void usage_queue_close(struct usage_queue *queue) {
    if (!queue) return;
    pthread_mutex_destroy(&queue->mutex);
    mem_free(queue);
}

void usage_queue_put(struct usage_queue *queue, const struct usage_row *row) {
    pthread_mutex_lock(&queue->mutex);
    if (queue->count < USAGE_QUEUE_MAX)
        queue->rows[queue->count++] = *row;
    else
        queue->dropped++;
    pthread_mutex_unlock(&queue->mutex);
}

uint64_t usage_queue_dropped(struct usage_queue *queue) {
    pthread_mutex_lock(&queue->mutex);
    uint64_t dropped = queue->dropped;
    pthread_mutex_unlock(&queue->mutex);
    return dropped;
}

/* ---- flushing ------------------------------------------------------------------------------- */

struct flush {
    const struct usage_row *rows;
    size_t count;
    int64_t fold_before; /* 0: nothing is folded */
};

static hearth_status write_rows(struct store *store, void *context, hearth_error *err) {
    const struct flush *flush = context;
    RETURN_IF_ERROR(stored_usage_add(store, flush->rows, flush->count, err));
    return flush->fold_before ? stored_usage_fold(store, flush->fold_before, err) : HEARTH_OK;
}

static size_t copy_rows(struct usage_queue *queue) {
    pthread_mutex_lock(&queue->mutex);
    size_t count = queue->count;
    memcpy(queue->flushed, queue->rows, count * sizeof *queue->rows);
    pthread_mutex_unlock(&queue->mutex);
    return count;
}

static void forget_rows(struct usage_queue *queue, size_t count) {
    pthread_mutex_lock(&queue->mutex);
    queue->count -= count;
    memmove(queue->rows, queue->rows + count, queue->count * sizeof *queue->rows);
    pthread_mutex_unlock(&queue->mutex);
}

hearth_status usage_queue_flush(struct usage_queue *queue, int64_t now, hearth_error *err) {
    int64_t day = now / DATE_DAY_MS;
    struct flush flush = {.rows = queue->flushed, .count = copy_rows(queue)};
    if (day != queue->folded_day) flush.fold_before = (day - USAGE_KEPT_DAYS) * DATE_DAY_MS;
    if (flush.count == 0 && !flush.fold_before) return HEARTH_OK;
    RETURN_IF_ERROR(store_pool_write(queue->pool, write_rows, &flush, err));
    queue->folded_day = day;
    forget_rows(queue, flush.count);
    return HEARTH_OK;
}
