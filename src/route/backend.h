/* backend.h - who answers requests: requests in, events out, cancel. Whatever asks a model
 * anything, the command line, every endpoint, comparisons, goes through here.
 *
 * A job is one request being answered. Its events come one after the other, from one thread of the
 * backend at a time, never from within backend_start; a sink must not wait for long. */
#ifndef HEARTH_ROUTE_BACKEND_H
#define HEARTH_ROUTE_BACKEND_H

#include "base/buf.h"
#include "chat/event.h"
#include "chat/request.h"

struct backend;
struct job;

struct backend_text {
    const char *model; /* NULL: the backend's own */
    const char *data;
    size_t length;
    bool add_special, parse_special; /* as in token/tokenizer.h */
};

/* A place of a model's answers, as llama.cpp's server numbers them. */
struct backend_slot {
    const char *model; /* NULL: the backend's own */
    uint32_t number;   /* from 0, of this model */
    enum backend_slot_action { SLOT_SAVE, SLOT_RESTORE, SLOT_ERASE } action;
    const char *path; /* of the file; SLOT_ERASE: none */
};

/* How far an answer is, in tokens. */
struct job_progress {
    uint64_t n_prompt; /* 0: not known yet */
    uint64_t n_answer; /* so far, of all choices */
};

struct backend_ops {
    /* See the functions below. */
    hearth_status (*start)(struct backend *backend, const struct request *request,
                           struct event_sink sink, struct job **out, hearth_error *err);
    void (*cancel)(struct job *job);
    void (*finish)(struct job *job);
    hearth_status (*list_models)(struct backend *backend, json_t *out, hearth_error *err);
    hearth_status (*status)(struct backend *backend, json_t *out, hearth_error *err);
    void (*close)(struct backend *backend);
    /* NULL, all three: the backend has no vocabulary at hand. */
    hearth_status (*tokenize)(struct backend *backend, const struct backend_text *text, json_t *ids,
                              hearth_error *err);
    hearth_status (*detokenize)(struct backend *backend, const char *model, const json_t *ids,
                                struct buf *text, hearth_error *err);
    hearth_status (*render)(struct backend *backend, const struct request *request,
                            struct buf *prompt, hearth_error *err);
    /* NULL: the backend has none. */
    hearth_status (*adapters)(struct backend *backend, const char *model, const json_t *scales,
                              json_t *out, hearth_error *err);
    /* NULL: it is not known. */
    void (*progress)(struct job *job, struct job_progress *out);
    /* NULL: the backend has none. */
    hearth_status (*add_adapter)(struct backend *backend, const char *model, const char *path,
                                 const char *name, char **found, hearth_error *err);
    hearth_status (*slot)(struct backend *backend, const struct backend_slot *slot, json_t *out,
                          hearth_error *err);
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
 * no such model, unless that must be looked for and is said by EVENT_FAILED. `*out` is given:
 * job_finish. */
hearth_status backend_start(struct backend *backend, const struct request *request,
                            struct event_sink sink, struct job **out, hearth_error *err);
/* Ends the answer as soon as may be; any thread, any number of times. FINISHED and DONE still
 * come, unless the sink has said that nobody listens. */
void job_cancel(struct job *job);
/* Any thread, until job_finish. */
struct job_progress job_progress(struct job *job);
/* Waits for the last event (soon after job_cancel) and releases the job. */
void job_finish(struct job *job);

/* Appends to the array what can be asked: {"name", "size_bytes", "n_parameters", "type",
 * "family", "n_ctx", "loaded", "fits" (it could be loaded), "adapters" (names), …}; "seconds_left":
 * until it is unloaded, if it is not used; "problem": why its file cannot be used. */
hearth_status backend_list_models(struct backend *backend, json_t *out, hearth_error *err);
/* Sets in the object what goes on: "running" and "waiting", numbers of jobs; "device", "threads";
 * "models", those loaded: {"name", "n_ctx", "cache_bytes", "requests"}, and where it is known
 * "bytes" (in memory), "slots" (answers at a time), "running" (of these), "scheduler" (what
 * infer/scheduler.h counts: "waiting", "running", "pages", "free_pages", "kept_pages", "passes",
 * "rows", "prompt_tokens", "reused_tokens", "generated_tokens", "preempted",
 * "recomputed_tokens"). */
hearth_status backend_status(struct backend *backend, json_t *out, hearth_error *err);

/* The adapters of a model (NULL: the backend's own), appended to the array: {"id", "name", "path",
 * "scale"}. With `scales`, [{"id", "scale"}], these are on from now on, where a request names none
 * of its own, and others are off; HEARTH_ERROR_NOT_FOUND, HEARTH_ERROR_ARGUMENT. */
hearth_status backend_adapters(struct backend *backend, const char *model, const json_t *scales,
                               json_t *out, hearth_error *err);

/* Loads the adapter in a file, which must not be a client's choice, onto a model that is open, for
 * requests that name it; `found` is given its name, `name` or one like it. What is loaded already
 * is not loaded again. HEARTH_ERROR_NOT_FOUND: the model is not open; HEARTH_ERROR_LIMIT;
 * HEARTH_ERROR_UNSUPPORTED: this backend has none; or what opening the file said. */
hearth_status backend_add_adapter(struct backend *backend, const char *model, const char *path,
                                  const char *name, char **found, hearth_error *err);

/* Keeps in a file what the last answer of a place has computed, takes that back, or forgets it;
 * waits until that is done. Sets in the object {"n_saved", "n_written"}, {"n_restored", "n_read"}
 * or
 * {"n_erased"}: tokens, and bytes of the file. Nothing is written where there is nothing to keep.
 * HEARTH_ERROR_UNSUPPORTED: not with this backend, or the file is no such file or of another model;
 * HEARTH_ERROR_FORMAT: it is damaged; HEARTH_ERROR_NOT_FOUND: no such file, or the model is not
 * loaded; HEARTH_ERROR_ARGUMENT: no such place. */
hearth_status backend_slot(struct backend *backend, const struct backend_slot *slot, json_t *out,
                           hearth_error *err);

/* ---- texts and tokens; any thread. HEARTH_ERROR_UNSUPPORTED: not with this backend;
 * HEARTH_ERROR_NOT_FOUND: the model is not loaded ---- */

/* Appends the ids of a text to the array. */
hearth_status backend_tokenize(struct backend *backend, const struct backend_text *text,
                               json_t *ids, hearth_error *err);
/* Appends the bytes of an array of ids, control tokens too. */
hearth_status backend_detokenize(struct backend *backend, const char *model, const json_t *ids,
                                 struct buf *text, hearth_error *err);
/* Appends the prompt that the messages of the request become. */
hearth_status backend_render(struct backend *backend, const struct request *request,
                             struct buf *prompt, hearth_error *err);

void backend_close(struct backend *backend); /* cancels what still runs; NULL is fine */

#endif
