#include "server/http_task.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/http_pipe.h"

enum { SEND_BLOCK_BYTES = 4096, FIELD_BYTES = 64, MAX_WAITING_BYTES = 1 << 16 };
#define DUE_NS UINT64_C(200000000)

struct http_task {
    struct http_watched watched;
    struct http_server *server;
    const struct http_task_plan *plan;
    json_t *input;
    struct buf data;
    pthread_t thread;
    atomic_bool cancelled;
    uint64_t due_ns; /* the thread's */
    int http_status; /* of a failure; 0: as its status says */
    int succeeds_as; /* 0: 200 */
    char field[FIELD_BYTES];

    struct http_pipe pipe; /* its lock: of what follows */
    json_t *last;          /* TASK_REPLY: the last message */
    bool said;
    hearth_error problem; /* once it has ended */
};

/* ---- how many ------------------------------------------------------------------------ */

static bool count_in(struct http_server *server, bool is_long) {
    pthread_mutex_lock(&server->mutex);
    bool may = server->n_tasks < HTTP_TASKS_ALL &&
               (!is_long || server->n_long_tasks < HTTP_TASKS_LONG) && !server->ending;
    if (may) {
        server->n_tasks++;
        server->n_long_tasks += is_long;
        server->n_streams++;
    }
    pthread_mutex_unlock(&server->mutex);
    return may;
}

static void count_out(struct http_server *server, bool is_long) {
    pthread_mutex_lock(&server->mutex);
    server->n_tasks--;
    server->n_long_tasks -= is_long;
    pthread_mutex_unlock(&server->mutex);
    http_server_count_stream(server, -1);
}

/* ---- the task's thread ------------------------------------------------------------------ */

static int append(const char *text, size_t n, void *context) {
    return buf_append(context, text, n) ? 0 : -1;
}

static void put(struct http_task *t, const json_t *message) {
    bool events = t->plan->form == TASK_EVENTS;
    struct buf *out = &t->pipe.out;
    size_t before = out->length;
    if (events) buf_append_text(out, "data: ");
    int code = json_dump_callback(message, append, out, JSON_COMPACT);
    buf_append_text(out, events ? "\n\n" : "\n");
    if (code != 0) out->length = before;
}

struct http_server *http_task_server(const struct http_task *t) {
    return t->server;
}

const struct http_task_plan *http_task_plan_of(const struct http_task *t) {
    return t->plan;
}

const atomic_bool *http_task_cancelled(const struct http_task *t) {
    return &t->cancelled;
}

void http_task_say(struct http_task *t, json_t *message) {
    pthread_mutex_lock(&t->pipe.mutex);
    t->said = true;
    if (t->plan->form == TASK_REPLY) {
        json_decref(t->last);
        t->last = json_incref(message);
    } else if (message && http_pipe_waiting(&t->pipe) < MAX_WAITING_BYTES) {
        put(t, message);
        http_pipe_wake(&t->pipe);
    }
    pthread_mutex_unlock(&t->pipe.mutex);
    json_decref(message);
}

bool http_task_is_due(struct http_task *t) {
    uint64_t now = clock_now_ns();
    if (now < t->due_ns) return false;
    t->due_ns = now + DUE_NS;
    return true;
}

void http_task_fail_as(struct http_task *t, int http_status) {
    t->http_status = http_status;
}

void http_task_fail_at(struct http_task *t, const char *field) {
    snprintf(t->field, sizeof t->field, "%s", field);
}

void http_task_succeed_as(struct http_task *t, int http_status) {
    t->succeeds_as = http_status;
}

const struct buf *http_task_data(const struct http_task *t) {
    return &t->data;
}

static json_t *error_of(const struct http_task *t) {
    const char *message = t->problem.message;
    json_t *text = json_string(message);
    if (!text) text = json_string("failed, for a reason that is no UTF-8");
    if (t->plan->form == TASK_LINES) return json_pack("{s:o}", "error", text);
    return json_pack("{s:{s:o}}", "error", "message", text);
}

static void end(struct http_task *t, hearth_status status, const hearth_error *problem) {
    struct http_server *server = t->server;
    bool is_long = t->plan->is_long;
    pthread_mutex_lock(&t->pipe.mutex);
    t->problem = *problem;
    t->problem.code = status;
    if (status != HEARTH_OK && t->said && t->plan->form != TASK_REPLY) {
        json_t *error = error_of(t);
        put(t, error);
        json_decref(error);
    }
    t->pipe.ended = true;
    http_pipe_wake(&t->pipe);
    bool dead = !t->pipe.connection;
    pthread_mutex_unlock(&t->pipe.mutex);
    if (dead) http_watch_bury(server->watch, &t->watched);
    count_out(server, is_long);
}

static void *run(void *context) {
    struct http_task *t = context;
    hearth_error problem = {0};
    hearth_status status = t->plan->work(t, t->input, &problem);
    end(t, status, &problem);
    return NULL;
}

/* ---- the connection's thread --------------------------------------------------------------- */

static bool queue_stream(struct http_exchange *x, struct http_task *t) {
    struct MHD_Response *response =
        http_pipe_response(&t->pipe, MHD_SIZE_UNKNOWN, SEND_BLOCK_BYTES);
    if (!response) return false;
    bool events = t->plan->form == TASK_EVENTS;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            events ? "text/event-stream" : "application/x-ndjson");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    return http_pipe_queue(x, response);
}

/* It has ended, and nothing of an answer is sent. */
static void reply(struct http_exchange *x, struct http_task *t) {
    if (t->problem.code == HEARTH_OK)
        http_reply_json(x, t->succeeds_as ? t->succeeds_as : MHD_HTTP_OK,
                        t->last ? json_incref(t->last) : json_object());
    else if (t->http_status)
        http_reply_error(x, t->http_status, t->field, "%s", t->problem.message);
    else
        http_reply_failure(x, t->problem.code, &t->problem);
}

bool http_task_resume(struct http_exchange *x) {
    struct http_task *t = x->task;
    enum { WAIT, STREAM, REPLY, CLOSE } next = WAIT;
    pthread_mutex_lock(&t->pipe.mutex);
    if (t->pipe.cut)
        next = CLOSE;
    else if (t->pipe.ended && (t->plan->form == TASK_REPLY || !t->said))
        next = REPLY;
    else if (t->plan->form != TASK_REPLY && http_pipe_waiting(&t->pipe) > 0)
        next = STREAM;
    else
        http_pipe_suspend(&t->pipe);
    pthread_mutex_unlock(&t->pipe.mutex);
    if (next == REPLY) reply(x, t);
    return next == STREAM ? queue_stream(x, t) : next != CLOSE;
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

static void hang_up(struct http_watched *watched) {
    struct http_task *t = (struct http_task *)watched;
    pthread_mutex_lock(&t->pipe.mutex);
    t->pipe.cut = true;
    atomic_store(&t->cancelled, true);
    http_pipe_wake(&t->pipe);
    pthread_mutex_unlock(&t->pipe.mutex);
}

static void cancel(struct http_watched *watched) {
    atomic_store(&((struct http_task *)watched)->cancelled, true);
}

static void release(struct http_task *t) {
    json_decref(t->input);
    json_decref(t->last);
    buf_release(&t->data);
    http_pipe_release(&t->pipe);
    mem_free(t);
}

static void task_free(struct http_watched *watched) {
    struct http_task *t = (struct http_task *)watched;
    pthread_join(t->thread, NULL);
    release(t);
}

static const struct http_watched_ops watched_ops = {hang_up, cancel, task_free};

static struct http_task *task_open(struct http_exchange *x, const struct http_task_plan *plan,
                                   json_t *input) {
    struct http_task *t = mem_calloc(1, sizeof *t);
    if (!t) {
        json_decref(input);
        return NULL;
    }
    t->watched.ops = &watched_ops;
    t->server = x->server;
    t->plan = plan;
    t->input = input;
    atomic_init(&t->cancelled, false);
    http_pipe_init(&t->pipe, x->connection, MAX_WAITING_BYTES);
    return t;
}

/* The thread may be faster than this one: it cannot wake the connection before that waits. */
static bool start(struct http_task *t) {
    pthread_mutex_lock(&t->pipe.mutex);
    bool started = pthread_create(&t->thread, NULL, run, t) == 0;
    if (started) http_pipe_suspend(&t->pipe);
    pthread_mutex_unlock(&t->pipe.mutex);
    return started;
}

void http_task_start(struct http_exchange *x, const struct http_task_plan *plan, json_t *input) {
    struct buf none;
    buf_init(&none, 0);
    http_task_start_with(x, plan, input, &none);
}

void http_task_start_with(struct http_exchange *x, const struct http_task_plan *plan, json_t *input,
                          struct buf *data) {
    if (!input || !count_in(x->server, plan->is_long)) {
        json_decref(input);
        http_reply_error(x, input ? MHD_HTTP_TOO_MANY_REQUESTS : MHD_HTTP_INTERNAL_SERVER_ERROR, "",
                         input ? "as much is going on already as may at a time; try again later"
                               : "no memory to begin");
        return;
    }
    struct http_task *t = task_open(x, plan, input);
    if (t) {
        t->data = *data;
        buf_init(data, 0);
    }
    if (t && start(t)) {
        x->task = t;
        http_watch_follow(x->server->watch, x->link, &t->watched);
        return;
    }
    if (t) release(t);
    count_out(x->server, plan->is_long);
    http_reply_error(x, MHD_HTTP_INTERNAL_SERVER_ERROR, "", "no memory to begin");
}

void http_task_leave(struct http_exchange *x) {
    struct http_task *t = x->task;
    if (!t) return;
    http_watch_follow(x->server->watch, x->link, NULL);
    pthread_mutex_lock(&t->pipe.mutex);
    bool ended = t->pipe.ended;
    t->pipe.connection = NULL;
    atomic_store(&t->cancelled, true);
    pthread_mutex_unlock(&t->pipe.mutex);
    x->task = NULL;
    if (ended) task_free(&t->watched);
}

uint64_t http_task_sent_bytes(struct http_task *t) {
    pthread_mutex_lock(&t->pipe.mutex);
    uint64_t n = t->pipe.sent_bytes;
    pthread_mutex_unlock(&t->pipe.mutex);
    return n;
}
