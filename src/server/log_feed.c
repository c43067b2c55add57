#include "server/log_feed.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "server/http_errors.h"

enum { BLOCK_BYTES = 4096 };
static const char comment[] = ":\n\n";

struct log_reader {
    struct log_feed *feed;
    struct MHD_Connection *connection;
    uint64_t at; /* position of the next byte */
    bool suspended, reminded;
    struct log_reader *next;
};

/* Positions count all bytes ever put; those of [end - kept, end) are there. */
struct log_feed {
    pthread_mutex_t mutex;
    struct log_reader *readers;
    size_t n_readers;
    uint64_t end;
    bool ended;
    char ring[LOG_FEED_BYTES];
};

hearth_status log_feed_open(struct log_feed **out, hearth_error *err) {
    *out = mem_calloc(1, sizeof **out);
    if (!*out) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the log");
    pthread_mutex_init(&(*out)->mutex, NULL);
    return HEARTH_OK;
}

void log_feed_close(struct log_feed *feed) {
    if (!feed) return;
    pthread_mutex_destroy(&feed->mutex);
    mem_free(feed);
}

static void append(struct log_feed *feed, const char *data, size_t n) {
    for (size_t i = 0; i < n; i++)
        feed->ring[feed->end++ % LOG_FEED_BYTES] = data[i];
}

static void wake_all(struct log_feed *feed) {
    for (struct log_reader *r = feed->readers; r; r = r->next) {
        if (!r->suspended) continue;
        r->suspended = false;
        MHD_resume_connection(r->connection);
    }
}

void log_feed_put(struct log_feed *feed, const char *line, size_t n) {
    if (n > 0 && line[n - 1] == '\n') n--;
    if (n > LOG_FEED_BYTES / 4) return;
    pthread_mutex_lock(&feed->mutex);
    append(feed, "data: ", 6);
    append(feed, line, n);
    append(feed, "\n\n", 2);
    wake_all(feed);
    pthread_mutex_unlock(&feed->mutex);
}

void log_feed_remind(struct log_feed *feed) {
    pthread_mutex_lock(&feed->mutex);
    for (struct log_reader *r = feed->readers; r; r = r->next)
        r->reminded = true;
    wake_all(feed);
    pthread_mutex_unlock(&feed->mutex);
}

void log_feed_end(struct log_feed *feed) {
    pthread_mutex_lock(&feed->mutex);
    feed->ended = true;
    wake_all(feed);
    pthread_mutex_unlock(&feed->mutex);
}

/* After what was lost, reading goes on at the beginning of an event. */
static void skip_lost(const struct log_feed *feed, struct log_reader *r) {
    if (feed->end - r->at <= LOG_FEED_BYTES) return;
    r->at = feed->end - LOG_FEED_BYTES;
    while (r->at + 1 < feed->end && !(feed->ring[r->at % LOG_FEED_BYTES] == '\n' &&
                                      feed->ring[(r->at + 1) % LOG_FEED_BYTES] == '\n'))
        r->at++;
    r->at += 2;
}

static ssize_t read_more(void *context, uint64_t position, char *out, size_t most) {
    struct log_reader *r = context;
    struct log_feed *feed = r->feed;
    ssize_t n = 0;
    (void)position;
    pthread_mutex_lock(&feed->mutex);
    skip_lost(feed, r);
    while ((size_t)n < most && r->at < feed->end)
        out[n++] = feed->ring[r->at++ % LOG_FEED_BYTES];
    if (n == 0 && feed->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (n == 0 && r->reminded && most >= sizeof comment - 1) {
        memcpy(out, comment, sizeof comment - 1);
        n = sizeof comment - 1;
    } else if (n == 0) {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    r->reminded = false;
    pthread_mutex_unlock(&feed->mutex);
    return n;
}

/* NULL: no memory, or too many readers. */
static struct log_reader *add_reader(struct log_feed *feed, struct http_exchange *x) {
    struct log_reader *r = mem_calloc(1, sizeof *r);
    if (!r) return NULL;
    pthread_mutex_lock(&feed->mutex);
    bool full = feed->n_readers == LOG_FEED_READERS || feed->ended;
    if (!full) {
        *r = (struct log_reader){
            .feed = feed, .connection = x->connection, .reminded = true, .next = feed->readers};
        feed->readers = r;
        feed->n_readers++;
    }
    pthread_mutex_unlock(&feed->mutex);
    if (!full) return r;
    mem_free(r);
    return NULL;
}

void log_feed_answer(struct log_feed *feed, struct http_exchange *x) {
    struct log_reader *r = add_reader(feed, x);
    struct MHD_Response *response =
        r ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_more, r, NULL)
          : NULL;
    x->log_reader = r;
    if (!response) {
        http_reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "", "too many read the log");
        return;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* nginx passes it on at once */
    http_reply_put_headers(x, response);
    x->reply.status = MHD_HTTP_OK;
    x->answered = MHD_queue_response(x->connection, MHD_HTTP_OK, response) == MHD_YES;
    MHD_destroy_response(response);
}

void log_feed_leave(struct log_feed *feed, struct log_reader *reader) {
    if (!reader) return;
    pthread_mutex_lock(&feed->mutex);
    struct log_reader **at = &feed->readers;
    while (*at != reader)
        at = &(*at)->next;
    *at = reader->next;
    feed->n_readers--;
    pthread_mutex_unlock(&feed->mutex);
    mem_free(reader);
}
