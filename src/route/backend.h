/* backend.h - who answers requests: requests in, events out, cancel. Whatever asks a model
 * anything, the command line, every endpoint, comparisons, goes through here.
 *
 * A job is one request being answered. Its events come one after the other, from one thread of the
 * backend at a time, never from within backend_start; a sink must not wait for long. */
#ifndef HEARTH_ROUTE_BACKEND_H
#define HEARTH_ROUTE_BACKEND_H

#include "chat/event.h"
#include "chat/request.h"

struct backend;
struct job;

struct backend_ops {
    /* See the functions below. */
    hearth_status (*start)(struct backend *backend, const struct request *request,
                           struct event_sink sink, struct job **out, hearth_error *err);
    void (*cancel)(struct job *job);
    void (*finish)(struct job *job);
    hearth_status (*list_models)(struct backend *backend, json_t *out, hearth_error *err);
    void (*close)(struct backend *backend);
};

/* What every backend begins with. */
struct backend {
    const struct backend_ops *ops;
};

struct job {
    struct backend *backend;
};

/* Queues the request, which is read before this returns and borrowed no longer. Refuses at once
 * what needs no model to be refused: HEARTH_ERROR_LIMIT, the queue is full; HEARTH_ERROR_NOT_FOUND,
 * no such model. `*out` is given: job_finish. */
hearth_status backend_start(struct backend *backend, const struct request *request,
                            struct event_sink sink, struct job **out, hearth_error *err);
/* Ends the answer as soon as may be; any thread, any number of times. FINISHED and DONE still
 * come, unless the sink has said that nobody listens. */
void job_cancel(struct job *job);
/* Waits for the last event (soon after job_cancel) and releases the job. */
void job_finish(struct job *job);

/* Appends to the array what can be asked: {"name", "size_bytes", "n_parameters", "type",
 * "family", "n_ctx", "loaded", …}. */
hearth_status backend_list_models(struct backend *backend, json_t *out, hearth_error *err);
void backend_close(struct backend *backend); /* cancels what still runs; NULL is fine */

#endif
