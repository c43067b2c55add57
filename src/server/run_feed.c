#include "server/run_feed.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "server/http_errors.h"
#include "server/run_course.h"

enum { SEND_BLOCK_BYTES = 16384, REMIND_SECONDS = 10, STATE_BYTES = 16 };
#define MOST_PENDING_BYTES ((size_t)64 << 20)
static const char comment[] = ":\n\n";

/* What is above `suspended` only the thread of its connection touches. */
struct run_reader {
    struct run_feed *feed;
    struct MHD_Connection *connection;
    char id[SERVED_RUN_ID_BYTES];
    char *folder, *log;      /* log: its path */
    char state[STATE_BYTES]; /* the last that was sent */
    struct run_course course;
    uint64_t at;    /* bytes of the log that were taken */
    struct buf out; /* what is not sent yet, from `sent` on */
    size_t sent;
    uint64_t sent_ns; /* when something was sent the last time */
    bool is_over;     /* nothing more comes */
    bool suspended;
    struct run_reader *next;
};

struct run_feed {
    struct run_queue *queue;
    pthread_mutex_t mutex; /* of what follows, and of the readers' `suspended` */
    struct run_reader *readers;
    size_t n_readers;
    bool ended;
};

hearth_status run_feed_open(struct run_feed **out, hearth_error *err) {
    *out = mem_calloc(1, sizeof **out);
    if (!*out) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the events of runs");
    pthread_mutex_init(&(*out)->mutex, NULL);
    return HEARTH_OK;
}

void run_feed_set_queue(struct run_feed *feed, struct run_queue *queue) {
    feed->queue = queue;
}

void run_feed_close(struct run_feed *feed) {
    if (!feed) return;
    pthread_mutex_destroy(&feed->mutex);
    mem_free(feed);
}

static void wake_all(struct run_feed *feed) {
    for (struct run_reader *r = feed->readers; r; r = r->next) {
        if (!r->suspended) continue;
        r->suspended = false;
        MHD_resume_connection(r->connection);
    }
}

void run_feed_tick(struct run_feed *feed) {
    pthread_mutex_lock(&feed->mutex);
    wake_all(feed);
    pthread_mutex_unlock(&feed->mutex);
}

void run_feed_end(struct run_feed *feed) {
    pthread_mutex_lock(&feed->mutex);
    feed->ended = true;
    wake_all(feed);
    pthread_mutex_unlock(&feed->mutex);
}

/* ---- reading the log: the connection's thread ------------------------------------------------ */

static void begin_again(struct run_reader *r) {
    r->at = 0;
    r->course = (struct run_course){.steps = r->course.steps};
}

/* Up to the last whole line of a piece; returns how many bytes were taken. */
static size_t take_lines(struct run_reader *r, const char *piece, size_t n) {
    size_t taken = 0;
    for (const char *end; (end = memchr(piece + taken, '\n', n - taken)) != NULL;) {
        size_t length = (size_t)(end - piece) - taken;
        run_course_take(&r->course, piece + taken, length, &r->out);
        taken += length + 1;
    }
    /* A line that fills the whole piece is none of the log's. */
    return taken == 0 && n == RUN_FEED_READ_BYTES ? n : taken;
}

/* Whether there was anything new. */
static bool read_log(struct run_reader *r) {
    static _Thread_local char piece[RUN_FEED_READ_BYTES];
    uint64_t size;
    if (file_size(r->log, &size, NULL) != HEARTH_OK) return false;
    if (size < r->at) begin_again(r);
    if (size == r->at) return false;
    FILE *file = fopen(r->log, "re");
    if (!file) return false;
    size_t n = fseek(file, (long)r->at, SEEK_SET) == 0 ? fread(piece, 1, sizeof piece, file) : 0;
    fclose(file);
    size_t taken = take_lines(r, piece, n);
    r->at += taken;
    return taken > 0;
}

static void put_state(struct run_reader *r, const struct served_run *run, const char *state) {
    json_t *whole = served_run_describe(run, false);
    const json_t *error = strcmp(state, "failed") == 0 ? json_object_get(whole, "error") : NULL;
    run_course_put(json_pack("{s:s, s:O*}", "state", state, "error", error), &r->out);
    json_decref(whole);
    snprintf(r->state, sizeof r->state, "%s", state);
}

/* The state is read before the log: when it says that the run is over, the log is whole. */
static void read_more(struct run_reader *r) {
    struct served_run run;
    bool computes = run_queue_computes(r->feed->queue, r->id);
    if (served_run_open(&run, r->id, r->folder, NULL) != HEARTH_OK) {
        r->is_over = true; /* it was deleted */
    } else {
        const char *state = served_run_state(&run, computes);
        bool changed = strcmp(state, r->state) != 0;
        r->course.steps = (uint64_t)json_integer_value(json_object_get(run.facts, "steps"));
        if (changed && strcmp(state, "running") == 0) {
            begin_again(r);
            put_state(r, &run, state);
        } else if (!read_log(r) && changed) {
            put_state(r, &run, state);
            r->is_over = served_run_state_is_last(state);
        }
    }
    served_run_close(&run);
}

/* ---- sending: the connection's thread ----------------------------------------------------------
 */

static ssize_t send_some(struct run_reader *r, char *out, size_t most) {
    size_t n = r->out.length - r->sent;
    if (n > most) n = most;
    memcpy(out, r->out.data + r->sent, n);
    r->sent += n;
    if (r->sent == r->out.length) {
        buf_clear(&r->out);
        r->sent = 0;
    }
    r->sent_ns = clock_now_ns();
    return (ssize_t)n;
}

/* What was written while the log was read is seen at the next tick. */
static ssize_t wait_for_tick(struct run_reader *r) {
    struct run_feed *feed = r->feed;
    ssize_t n = 0;
    pthread_mutex_lock(&feed->mutex);
    if (feed->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&feed->mutex);
    return n;
}

static ssize_t send_more(void *context, uint64_t position, char *out, size_t most) {
    struct run_reader *r = context;
    (void)position;
    if (r->out.length == r->sent && !r->is_over) read_more(r);
    if (r->out.failed) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (r->out.length > r->sent) return send_some(r, out, most);
    if (r->is_over) return MHD_CONTENT_READER_END_OF_STREAM;
    if (clock_seconds_since(r->sent_ns) > REMIND_SECONDS) buf_append_text(&r->out, comment);
    if (r->out.length > 0) return send_some(r, out, most);
    return wait_for_tick(r);
}

/* ---- readers ------------------------------------------------------------------------------------
 */

static void reader_free(struct run_reader *r) {
    if (!r) return;
    buf_release(&r->out);
    mem_free(r->folder);
    mem_free(r->log);
    mem_free(r);
}

static struct run_reader *reader_open(struct run_feed *feed, struct http_exchange *x,
                                      const struct served_run *run) {
    struct run_reader *r = mem_calloc(1, sizeof *r);
    if (!r) return NULL;
    r->feed = feed;
    r->connection = x->connection;
    memcpy(r->id, run->id, sizeof r->id);
    r->folder = mem_strdup(run->folder);
    r->log = path_join(run->folder, "log.jsonl");
    r->sent_ns = clock_now_ns();
    buf_init(&r->out, MOST_PENDING_BYTES);
    if (r->folder && r->log) return r;
    reader_free(r);
    return NULL;
}

/* Takes the reader; false: there are too many. */
static bool add_reader(struct run_feed *feed, struct run_reader *r) {
    pthread_mutex_lock(&feed->mutex);
    bool full = feed->n_readers == RUN_FEED_READERS || feed->ended;
    if (!full) {
        r->next = feed->readers;
        feed->readers = r;
        feed->n_readers++;
    }
    pthread_mutex_unlock(&feed->mutex);
    if (full) reader_free(r);
    return !full;
}

void run_feed_answer(struct run_feed *feed, struct http_exchange *x, const struct served_run *run) {
    struct run_reader *r = reader_open(feed, x, run);
    struct MHD_Response *response = NULL;
    if (r && add_reader(feed, r)) {
        x->run_reader = r;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SEND_BLOCK_BYTES, send_more,
                                                     r, NULL);
    }
    if (!response) {
        http_reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "", "too many follow runs");
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

void run_feed_leave(struct run_feed *feed, struct run_reader *reader) {
    if (!reader) return;
    pthread_mutex_lock(&feed->mutex);
    struct run_reader **at = &feed->readers;
    while (*at != reader)
        at = &(*at)->next;
    *at = reader->next;
    feed->n_readers--;
    pthread_mutex_unlock(&feed->mutex);
    reader_free(reader);
}
