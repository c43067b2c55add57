/* http_task.h - requests whose answer takes a while: made on threads of their own, while the
 * connection is suspended and the threads of connections go on; private to the room.
 *
 * A task has the exchange to itself and leaves it with a reply. A client that hangs up meanwhile
 * changes nothing: the task is done to its end. */
#ifndef HEARTH_SERVER_HTTP_TASK_H
#define HEARTH_SERVER_HTTP_TASK_H

#include "server/http_exchange.h"

struct http_tasks;

enum { HTTP_TASK_THREADS = 2 };

hearth_status http_tasks_open(struct http_tasks **out, hearth_error *err);
/* Waits for every task; further ones are refused. Twice and NULL are fine. */
void http_tasks_end(struct http_tasks *tasks);
void http_tasks_close(struct http_tasks *tasks); /* when none can be started; NULL is fine */

/* On the thread of the connection: suspends it, or leaves a reply that there is no more. */
void http_task_start(struct http_tasks *tasks, struct http_exchange *x,
                     void (*run)(struct http_exchange *x));

#endif
