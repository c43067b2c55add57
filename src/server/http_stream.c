#include "server/http_stream.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/http_errors.h"
#include "server/http_parts.h"

/* A whole answer is sent when it is complete, however large: embeddings are. */
#define MAX_WHOLE_BYTES ((size_t)512 << 20)
enum { SEND_BLOCK_BYTES = 16384 };

struct http_stream {
    struct http_watched watched;
    struct http_server *server;
    struct key_identity key;
    bool has_key, streams;
    uint64_t begun_ns;

    pthread_mutex_t mutex;             /* of what follows */
    struct MHD_Connection *connection; /* NULL: the exchange is over */
    struct job *job;
    struct answer_writer *writer;
    struct buf out;                         /* what is not sent yet, from `sent` on */
    size_t sent, most;                      /* most: bytes that may wait */
    bool suspended, ended, hung_up, failed; /* failed: no memory, or nobody reads */
    uint64_t first_ns, last_ns, sent_bytes; /* of pieces of text; 0: none yet */
    struct event_usage usage;
    char model[USAGE_MODEL_BYTES]; /* that answers */
};

/* ---- the backend's thread -------------------------------------------------------- */

static void observe_piece(struct http_stream *s) {
    struct metrics *m = &s->server->metrics;
    uint64_t now = clock_now_ns();
    if (!s->first_ns) {
        s->first_ns = now;
        metrics_observe(&m->first_token, (double)(now - s->begun_ns) * 1e-9);
    } else {
        metrics_observe(&m->between_tokens, (double)(now - s->last_ns) * 1e-9);
    }
    s->last_ns = now;
}

static void observe(struct http_stream *s, const struct event *event) {
    if (event->kind == EVENT_TEXT || event->kind == EVENT_REASONING ||
        event->kind == EVENT_TOOL_CALL)
        observe_piece(s);
    if (event->kind == EVENT_STARTED && event->model)
        snprintf(s->model, sizeof s->model, "%s", event->model);
    if (event->kind != EVENT_DONE) return;
    s->usage = event->usage;
    metrics_count_usage(&s->server->metrics, &event->usage);
    if (s->has_key)
        limits_count_tokens(s->server->limits, &s->key,
                            event->usage.n_prompt + event->usage.n_answer, clock_now_ns());
}

static void render(struct http_stream *s, const struct event *event) {
    if (s->failed || !s->connection) return;
    if (answer_writer_put(s->writer, event, &s->out, NULL) != HEARTH_OK || s->out.failed ||
        s->out.length - s->sent > s->most) {
        s->failed = true;
        buf_clear(&s->out);
        s->sent = 0;
        atomic_fetch_add(&s->server->metrics.overflowed, 1);
        job_cancel(s->job);
    }
}

/* There is something that the connection's thread can do now. */
static bool is_ready(const struct http_stream *s) {
    if (s->ended || s->failed || s->hung_up) return true;
    return s->streams && s->out.length > s->sent;
}

static void wake_connection(struct http_stream *s) {
    if (!s->suspended || !s->connection) return;
    s->suspended = false;
    MHD_resume_connection(s->connection);
}

static bool take_event(void *context, const struct event *event) {
    struct http_stream *s = context;
    pthread_mutex_lock(&s->mutex);
    observe(s, event);
    render(s, event);
    s->ended = event->kind == EVENT_DONE || event->kind == EVENT_FAILED;
    if (is_ready(s)) wake_connection(s);
    bool ended = s->ended, dead = ended && !s->connection;
    struct http_server *server = s->server;
    pthread_mutex_unlock(&s->mutex);
    if (dead) http_watch_bury(server->watch, &s->watched);
    if (ended) http_server_count_stream(server, -1);
    return true;
}

/* ---- the connection's thread ------------------------------------------------------ */

static void suspend(struct http_stream *s) {
    s->suspended = true;
    MHD_suspend_connection(s->connection);
}

static ssize_t send_more(void *context, uint64_t position, char *out, size_t most) {
    struct http_stream *s = context;
    (void)position;
    pthread_mutex_lock(&s->mutex);
    size_t n = s->out.length - s->sent;
    ssize_t result = 0;
    if (n > most) n = most;
    if (s->hung_up || s->failed)
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    else if (n > 0) {
        memcpy(out, s->out.data + s->sent, n);
        s->sent += n;
        s->sent_bytes += n;
        result = (ssize_t)n;
    } else if (s->ended)
        result = MHD_CONTENT_READER_END_OF_STREAM;
    else
        suspend(s);
    if (s->sent == s->out.length || s->sent > s->most / 2) {
        s->out.length -= s->sent;
        if (s->out.length) memmove(s->out.data, s->out.data + s->sent, s->out.length);
        s->sent = 0;
    }
    pthread_mutex_unlock(&s->mutex);
    return result;
}

/* ---- the head of the response -------------------------------------------------------- */

/* What is known by then: of whole answers all of it. (W3C, Server Timing) */
static void put_timing(const struct http_stream *s, struct MHD_Response *response) {
    const struct event_usage *u = &s->usage;
    char text[160];
    snprintf(text, sizeof text, "queue;dur=%.1f, load;dur=%.1f, prompt;dur=%.1f, answer;dur=%.1f",
             u->queue_seconds * 1e3, u->load_seconds * 1e3, u->prompt_seconds * 1e3,
             u->answer_seconds * 1e3);
    MHD_add_response_header(response, "Server-Timing", text);
}

static bool queue_response(struct http_exchange *x, struct http_stream *s, uint64_t n_bytes) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(n_bytes, SEND_BLOCK_BYTES, send_more, s, NULL);
    if (!response) return false;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            answer_writer_content_type(s->writer));
    if (s->streams) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
        MHD_add_response_header(response, "X-Accel-Buffering",
                                "no"); /* nginx passes it on at once */
    } else
        put_timing(s, response);
    http_reply_put_headers(x, response);
    enum MHD_Result queued = MHD_queue_response(x->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    x->answered = queued == MHD_YES;
    x->reply.status = MHD_HTTP_OK;
    return x->answered;
}

bool http_stream_resume(struct http_exchange *x) {
    struct http_stream *s = x->stream;
    pthread_mutex_lock(&s->mutex);
    const struct dialect_problem *problem = answer_writer_problem(s->writer);
    bool goes_on = true, has_bytes = s->out.length > s->sent;
    uint64_t n_bytes = s->streams ? MHD_SIZE_UNKNOWN : s->out.length;
    enum { WAIT, RESPOND, REFUSE } next = WAIT;
    if (s->hung_up || s->failed)
        goes_on = false;
    else if (s->ended && !has_bytes && problem)
        next = REFUSE;
    else if (s->ended || (s->streams && has_bytes))
        next = RESPOND;
    if (goes_on && next == WAIT) suspend(s);
    pthread_mutex_unlock(&s->mutex);
    if (next == REFUSE) http_reply_problem(x, problem);
    if (next == RESPOND) goes_on = queue_response(x, s, n_bytes);
    return goes_on;
}

/* ---- for the watch ------------------------------------------------------------------- */

static void hang_up(struct http_watched *watched) {
    struct http_stream *s = (struct http_stream *)watched;
    pthread_mutex_lock(&s->mutex);
    /* Who has everything may go: the exchange is only about to be over. */
    bool has_all = s->ended && s->sent == s->out.length;
    s->hung_up = s->hung_up || !has_all;
    if (!s->ended) job_cancel(s->job);
    wake_connection(s);
    pthread_mutex_unlock(&s->mutex);
}

static void cancel(struct http_watched *watched) {
    struct http_stream *s = (struct http_stream *)watched;
    pthread_mutex_lock(&s->mutex);
    if (!s->ended) job_cancel(s->job);
    pthread_mutex_unlock(&s->mutex);
}

static void stream_free(struct http_watched *watched) {
    struct http_stream *s = (struct http_stream *)watched;
    if (s->job) job_finish(s->job);
    answer_writer_close(s->writer);
    buf_release(&s->out);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

static const struct http_watched_ops watched_ops = {hang_up, cancel, stream_free};

/* ---- beginning and end ------------------------------------------------------------------ */

static struct http_stream *stream_open(struct http_exchange *x, const struct request *request,
                                       hearth_error *err) {
    struct http_server *server = x->server;
    struct http_stream *s = mem_calloc(1, sizeof *s);
    const struct answer_identity identity = {
        .id = x->id, .created_s = (int64_t)time(NULL), .model = request->model};
    if (!s) {
        error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
        return NULL;
    }
    s->watched.ops = &watched_ops;
    s->server = server;
    s->key = x->key;
    s->has_key = x->has_key;
    s->streams = request->stream;
    s->begun_ns = x->begun_ns;
    s->connection = x->connection;
    s->most = request->stream ? server->settings.max_pending_bytes : MAX_WHOLE_BYTES;
    buf_init(&s->out, s->most * 2);
    pthread_mutex_init(&s->mutex, NULL);
    if (answer_writer_open(&s->writer, x->route->endpoint, request, &identity, err) == HEARTH_OK)
        return s;
    stream_free(&s->watched);
    return NULL;
}

void http_stream_start(struct http_exchange *x, const struct request *request) {
    hearth_error err = {0};
    struct http_stream *s = stream_open(x, request, &err);
    if (!s) {
        http_reply_failure(x, HEARTH_ERROR_NO_MEMORY, &err);
        return;
    }
    const struct event_sink sink = {take_event, s};
    http_server_count_stream(x->server, 1);
    pthread_mutex_lock(&s->mutex);
    hearth_status status = backend_start(x->server->settings.backend, request, sink, &s->job, &err);
    if (status == HEARTH_OK) suspend(s);
    pthread_mutex_unlock(&s->mutex);
    if (status == HEARTH_OK) {
        x->stream = s;
        http_watch_follow(x->server->watch, x->link, &s->watched);
        return;
    }
    http_server_count_stream(x->server, -1);
    stream_free(&s->watched);
    if (status == HEARTH_ERROR_LIMIT) atomic_fetch_add(&x->server->metrics.limited, 1);
    http_reply_failure(x, status, &err);
}

void http_stream_leave(struct http_exchange *x) {
    struct http_stream *s = x->stream;
    if (!s) return;
    http_watch_follow(x->server->watch, x->link, NULL);
    pthread_mutex_lock(&s->mutex);
    bool ended = s->ended;
    s->connection = NULL;
    /* The answer of a client that hung up may have been ended meanwhile. */
    if (!ended || s->hung_up) atomic_fetch_add(&s->server->metrics.gone, 1);
    if (!ended) job_cancel(s->job);
    pthread_mutex_unlock(&s->mutex);
    x->stream = NULL;
    if (ended) stream_free(&s->watched);
}

/* ---- the log --------------------------------------------------------------------------- */

struct http_stream_facts http_stream_facts(struct http_stream *s) {
    pthread_mutex_lock(&s->mutex);
    struct http_stream_facts facts = {
        .usage = s->usage,
        .sent_bytes = s->sent_bytes,
        .first_seconds = s->first_ns ? (double)(s->first_ns - s->begun_ns) * 1e-9 : -1,
        .gone = !s->ended || s->hung_up};
    memcpy(facts.model, s->model, sizeof facts.model);
    pthread_mutex_unlock(&s->mutex);
    return facts;
}
