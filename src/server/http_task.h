/* http_task.h - work that takes long, on a thread of its own, while its client reads how far it is:
 * fetching a model, making another of it; private to the room.
 *
 *     task's thread: messages → a bounded buffer → connection's thread: the socket
 *
 * A task belongs to its connection and to its thread, and the later of their ends frees it. One
 * whose client hangs up is cancelled. */
#ifndef HEARTH_SERVER_HTTP_TASK_H
#define HEARTH_SERVER_HTTP_TASK_H

#include <stdatomic.h>

#include "server/http_exchange.h"

enum {
    HTTP_TASKS_LONG = 2, /* at a time: they use the disk, the network and the processor */
    HTTP_TASKS_ALL = 16
};

enum http_task_form {
    TASK_EVENTS, /* server-sent events of JSON objects; a failure is {"error":{"message"}} */
    TASK_LINES,  /* lines of JSON (Ollama's); {"error"} */
    TASK_REPLY   /* one JSON object, the last message, or {} */
};

struct http_task;

/* What a task does. What fails before it has said anything is answered with the status that the
 * failure stands for. */
typedef hearth_status (*http_task_work)(struct http_task *task, const json_t *input,
                                        hearth_error *err);

struct http_task_plan {
    http_task_work work;
    enum http_task_form form;
    bool is_long;
};

/* Starts it and suspends the connection; takes `input`; the plan is borrowed for ever. 429 where as
 * many run as may. */
void http_task_start(struct http_exchange *x, const struct http_task_plan *plan, json_t *input);
/* The same with bytes besides, which it takes, too: `data` is empty afterwards. */
void http_task_start_with(struct http_exchange *x, const struct http_task_plan *plan, json_t *input,
                          struct buf *data);
/* The connection goes on, as http_stream_resume. */
bool http_task_resume(struct http_exchange *x);
/* The exchange is over; the task is not its any more. */
void http_task_leave(struct http_exchange *x);
uint64_t http_task_sent_bytes(struct http_task *task);

/* ---- for the work ------------------------------------------------------------------- */

struct http_server *http_task_server(const struct http_task *task);
const struct http_task_plan *http_task_plan_of(const struct http_task *task);
const atomic_bool *http_task_cancelled(const struct http_task *task);
/* Takes `message`. Where the client does not read, it is left out. */
void http_task_say(struct http_task *task, json_t *message);
/* Whether enough time has passed since this last said so: for messages about progress. */
bool http_task_is_due(struct http_task *task);
const struct buf *http_task_data(const struct http_task *task);
/* A failure has this status of HTTP, if nothing was said; and is about a field of the body (""
 * for none), of which so many bytes are kept. */
void http_task_fail_as(struct http_task *task, int http_status);
void http_task_fail_at(struct http_task *task, const char *field);
/* TASK_REPLY: success has this status. */
void http_task_succeed_as(struct http_task *task, int http_status);

#endif
