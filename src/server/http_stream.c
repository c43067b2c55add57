#include "server/http_stream.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/http_pipe.h"

/* A whole answer is sent when it is complete, however large: embeddings are. */
#define MAX_WHOLE_BYTES ((size_t)512 << 20)
enum { SEND_BLOCK_BYTES = 16384, ENDPOINT_BYTES = 64, MOST_LISTED = 1000 };

struct http_stream {
    struct http_watched watched;
    struct http_server *server;
    struct key_identity key;
    bool has_key, streams;
    uint64_t begun_ns;

    struct http_pipe pipe; /* its lock: of what follows. Cut: no memory, or nobody reads */
    struct job *job;
    struct answer_writer *writer;
    bool hung_up;
    uint64_t first_ns, last_ns; /* of pieces of text; 0: none yet */
    struct event_usage usage;
    char model[USAGE_MODEL_BYTES]; /* that answers */
    bool has_begun;                /* it no longer waits for its turn */

    char id[HTTP_ID_BYTES], endpoint[ENDPOINT_BYTES], asked_model[USAGE_MODEL_BYTES];
    struct key_holder holder;           /* who asks */
    struct http_stream *older, **newer; /* in the server's list; newer NULL: not there */
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
    if (event->kind == EVENT_STARTED) s->has_begun = true;
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
    struct http_pipe *p = &s->pipe;
    if (p->cut || !p->connection) return;
    if (answer_writer_put(s->writer, event, &p->out, NULL) != HEARTH_OK || p->out.failed ||
        http_pipe_waiting(p) > p->most) {
        p->cut = true;
        http_pipe_clear(p);
        atomic_fetch_add(&s->server->metrics.overflowed, 1);
        job_cancel(s->job);
    }
}

/* There is something that the connection's thread can do now. */
static bool is_ready(const struct http_stream *s) {
    return s->pipe.ended || s->pipe.cut || (s->streams && http_pipe_waiting(&s->pipe) > 0);
}

static bool take_event(void *context, const struct event *event) {
    struct http_stream *s = context;
    pthread_mutex_lock(&s->pipe.mutex);
    observe(s, event);
    render(s, event);
    s->pipe.ended = event->kind == EVENT_DONE || event->kind == EVENT_FAILED;
    if (is_ready(s)) http_pipe_wake(&s->pipe);
    bool ended = s->pipe.ended, dead = ended && !s->pipe.connection;
    struct http_server *server = s->server;
    pthread_mutex_unlock(&s->pipe.mutex);
    if (dead) http_watch_bury(server->watch, &s->watched);
    if (ended) http_server_count_stream(server, -1);
    return true;
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
    struct MHD_Response *response = http_pipe_response(&s->pipe, n_bytes, SEND_BLOCK_BYTES);
    if (!response) return false;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            answer_writer_content_type(s->writer));
    if (s->streams) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
        MHD_add_response_header(response, "X-Accel-Buffering",
                                "no"); /* nginx passes it on at once */
    } else
        put_timing(s, response);
    return http_pipe_queue(x, response);
}

bool http_stream_resume(struct http_exchange *x) {
    struct http_stream *s = x->stream;
    pthread_mutex_lock(&s->pipe.mutex);
    const struct dialect_problem *problem = answer_writer_problem(s->writer);
    bool goes_on = !s->pipe.cut, has_bytes = http_pipe_waiting(&s->pipe) > 0;
    uint64_t n_bytes = s->streams ? MHD_SIZE_UNKNOWN : s->pipe.out.length;
    enum { WAIT, RESPOND, REFUSE } next = WAIT;
    if (goes_on && s->pipe.ended && !has_bytes && problem)
        next = REFUSE;
    else if (goes_on && (s->pipe.ended || (s->streams && has_bytes)))
        next = RESPOND;
    if (goes_on && next == WAIT) http_pipe_suspend(&s->pipe);
    pthread_mutex_unlock(&s->pipe.mutex);
    if (next == REFUSE) http_reply_problem(x, problem);
    if (next == RESPOND) goes_on = queue_response(x, s, n_bytes);
    return goes_on;
}

/* ---- for the watch ------------------------------------------------------------------- */

static void hang_up(struct http_watched *watched) {
    struct http_stream *s = (struct http_stream *)watched;
    pthread_mutex_lock(&s->pipe.mutex);
    /* Who has everything may go: the exchange is only about to be over. */
    bool has_all = s->pipe.ended && http_pipe_waiting(&s->pipe) == 0;
    if (!has_all) s->hung_up = s->pipe.cut = true;
    if (!s->pipe.ended) job_cancel(s->job);
    http_pipe_wake(&s->pipe);
    pthread_mutex_unlock(&s->pipe.mutex);
}

static void cancel(struct http_watched *watched) {
    struct http_stream *s = (struct http_stream *)watched;
    pthread_mutex_lock(&s->pipe.mutex);
    if (!s->pipe.ended) job_cancel(s->job);
    pthread_mutex_unlock(&s->pipe.mutex);
}

/* ---- all of them --------------------------------------------------------------------- */

static void enlist(struct http_stream *s) {
    struct http_server *server = s->server;
    pthread_mutex_lock(&server->streams_mutex);
    s->older = server->streams;
    s->newer = &server->streams;
    if (s->older) s->older->newer = &s->older;
    server->streams = s;
    pthread_mutex_unlock(&server->streams_mutex);
}

static void strike(struct http_stream *s) {
    pthread_mutex_lock(&s->server->streams_mutex);
    if (s->newer) *s->newer = s->older; /* else it never was among them */
    if (s->newer && s->older) s->older->newer = s->newer;
    pthread_mutex_unlock(&s->server->streams_mutex);
}

static bool may_see(const struct asker *asker, const struct http_stream *s) {
    return asker_is_admin(asker) || strcmp(asker->holder.id, s->holder.id) == 0;
}

/* NULL: no memory. */
static json_t *describe(struct http_stream *s) {
    const struct job_progress progress = job_progress(s->job);
    const char *model = *s->model ? s->model : s->asked_model, *key = s->holder.name;
    return json_pack("{s:s, s:s, s:o*, s:o*, s:s, s:b, s:I, s:I, s:f}", "id", s->id, "endpoint",
                     s->endpoint, "model", *model ? json_string(model) : NULL, "key",
                     *key ? json_string(key) : NULL, "state", s->has_begun ? "running" : "waiting",
                     "stream", (int)s->streams, "prompt_tokens", (json_int_t)progress.n_prompt,
                     "answer_tokens", (json_int_t)progress.n_answer, "seconds",
                     clock_seconds_since(s->begun_ns));
}

hearth_status http_stream_list(struct http_server *server, const struct asker *asker, json_t *out,
                               hearth_error *err) {
    int failed = 0;
    pthread_mutex_lock(&server->streams_mutex);
    for (struct http_stream *s = server->streams; s && !failed; s = s->older) {
        if (!may_see(asker, s) || json_array_size(out) == MOST_LISTED) continue;
        pthread_mutex_lock(&s->pipe.mutex);
        if (!s->pipe.ended) failed = json_array_insert_new(out, 0, describe(s));
        pthread_mutex_unlock(&s->pipe.mutex);
    }
    pthread_mutex_unlock(&server->streams_mutex);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of requests");
}

bool http_stream_cancel(struct http_server *server, const struct asker *asker, const char *id) {
    bool found = false;
    pthread_mutex_lock(&server->streams_mutex);
    for (struct http_stream *s = server->streams; s && !found; s = s->older) {
        if (strcmp(s->id, id) != 0 || !may_see(asker, s)) continue;
        pthread_mutex_lock(&s->pipe.mutex);
        found = !s->pipe.ended;
        if (found) job_cancel(s->job);
        pthread_mutex_unlock(&s->pipe.mutex);
    }
    pthread_mutex_unlock(&server->streams_mutex);
    return found;
}

static void stream_free(struct http_watched *watched) {
    struct http_stream *s = (struct http_stream *)watched;
    strike(s);
    if (s->job) job_finish(s->job);
    answer_writer_close(s->writer);
    http_pipe_release(&s->pipe);
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
    s->holder = x->asker.holder;
    memcpy(s->id, x->id, sizeof s->id);
    snprintf(s->endpoint, sizeof s->endpoint, "%s", x->route->path);
    if (request->model) snprintf(s->asked_model, sizeof s->asked_model, "%s", request->model);
    http_pipe_init(&s->pipe, x->connection,
                   request->stream ? server->settings.max_pending_bytes : MAX_WHOLE_BYTES);
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
    pthread_mutex_lock(&s->pipe.mutex);
    hearth_status status = backend_start(x->server->settings.backend, request, sink, &s->job, &err);
    if (status == HEARTH_OK) http_pipe_suspend(&s->pipe);
    pthread_mutex_unlock(&s->pipe.mutex);
    if (status == HEARTH_OK) {
        x->stream = s;
        enlist(s);
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
    pthread_mutex_lock(&s->pipe.mutex);
    bool ended = s->pipe.ended;
    s->pipe.connection = NULL;
    /* The answer of a client that hung up may have been ended meanwhile. */
    if (!ended || s->hung_up) atomic_fetch_add(&s->server->metrics.gone, 1);
    if (!ended) job_cancel(s->job);
    pthread_mutex_unlock(&s->pipe.mutex);
    x->stream = NULL;
    if (ended) stream_free(&s->watched);
}

/* ---- the log --------------------------------------------------------------------------- */

struct http_stream_facts http_stream_facts(struct http_stream *s) {
    pthread_mutex_lock(&s->pipe.mutex);
    struct http_stream_facts facts = {
        .usage = s->usage,
        .sent_bytes = s->pipe.sent_bytes,
        .first_seconds = s->first_ns ? (double)(s->first_ns - s->begun_ns) * 1e-9 : -1,
        .gone = !s->pipe.ended || s->hung_up};
    memcpy(facts.model, s->model, sizeof facts.model);
    pthread_mutex_unlock(&s->pipe.mutex);
    return facts;
}
