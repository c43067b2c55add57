/* model_pool.h - the models of this machine that may answer: opened when one is asked for, closed
 * when nobody needs them or when others need their memory.
 *
 * What may be asked for: the models that the settings name, which are open from the beginning, and
 * every model that 'hearth list' shows (model_catalogue.h). Nothing else: what a client writes is
 * never a path.
 *
 *            named first             its turn             open
 *     (none) ------------> WANTED ------------> OPENING --------> OPEN --+
 *                            ^                     |               ^     | idle, and: its time is
 * over, |                     | cannot        +-----+ others need the memory, | v used  | or it was
 * told to go |                   FAILED                  v
 *                            +--------------------------------------- CLOSING ---> (none)
 *                                    asked for meanwhile
 *
 * Two threads of the pool: one opens and closes models, one at a time; the other finds out what
 * names mean, tells those who wait, and sees to it that the time of models ends.
 *
 * Invariants:
 * (1) A file is open at most once, whatever names it is asked for by; whoever asks for one that is
 *     being opened waits for that.
 * (2) A model is closed only while nobody holds it, and nobody gets one that is about to be.
 * (3) The models that are open take no more than the budget together, as far as could be known
 *     before they were opened: one that would not fit makes those make way that nobody holds and
 *     that the settings do not name, the longest unused first; where that is not enough, it waits
 *     until others are held no more; where it would not fit even then, it is refused.
 * (4) Every wait hears exactly once, and with no lock of the pool held.
 * (5) One that waits gets its turn: after `patience_s` those whose memory it needs are given to
 *     nobody new, and those that are wanted after it come after it. */
#ifndef HEARTH_ROUTE_MODEL_POOL_H
#define HEARTH_ROUTE_MODEL_POOL_H

#include "route/local_model.h"

struct model_pool;

enum { MODEL_POOL_KEEP_ALIVE_S = 300, MODEL_POOL_MAX_WAIT_S = 300, MODEL_POOL_PATIENCE_S = 5 };

/* What pointers point to is borrowed until model_pool_close. */
struct model_pool_settings {
    /* For every model; `engine.model` counts for nothing. Adapters and a draft model are those of
     * the first model that is named: others they would not fit. */
    struct engine_settings engine;
    struct drafting_settings drafting;
    uint32_t n_parallel, max_waiting; /* of each model, as local_model_settings */
    bool keeps_slots;                 /* likewise */
    const char *const *models; /* [n_models], at least 1, read while it is opened: names, files or
                                  folders; the first is the one that answers where none is named */
    size_t n_models;
    const char *name;          /* as clients call the first; NULL: as it was asked for */
    const char *template_file; /* of the first, as local_model_settings */
    bool no_template;
    bool only_named;     /* no others than these are opened */
    uint64_t max_bytes;  /* of all models: weights, caches, work space; 0: what is available */
    uint32_t max_models; /* open at a time, at most; 0: as many as fit */
    double keep_alive_s; /* others stay open so long unused; 0: not at all, INFINITY: for ever */
    double max_wait_s;   /* a request waits so long for memory that others use; 0: not at all */
    double patience_s;   /* when it has waited so long, others get no new requests */
};

/* Without models: what is available, and the times above. */
void model_pool_settings_init(struct model_pool_settings *settings);

/* Opens the models that are named, which takes as long as it takes. */
hearth_status model_pool_open(struct model_pool **out, const struct model_pool_settings *settings,
                              hearth_error *err);
/* After the last wait has heard and every model was given back; NULL is fine. */
void model_pool_close(struct model_pool *pool);

/* ---- using a model ----------------------------------------------------------------- */

/* Somebody who waits for a model; held by the caller until `ready` has been called. */
struct model_wait {
    /* The model, which is the caller's until model_pool_release; or NULL, and why: NOT_FOUND, no
     * such model; NO_MEMORY, it does not fit, or did not in time; CANCELLED; or what opening it
     * said. Must not wait; may use the pool. Not called any more after it has returned: the wait
     * may be gone then. */
    void (*ready)(struct model_wait *wait, struct local_model *model, const hearth_error *problem);
    /* private */
    const char *name;
    struct pooled_model *pooled;
    bool cancelled;
    uint64_t since_ns;
    struct model_wait *next;
};

/* A name is a model's, or that of an adapter of an open one (local_adapters.h). */

/* Refuses a name (HEARTH_ERROR_NOT_FOUND) where that can be told without looking into folders. */
hearth_status model_pool_check_name(struct model_pool *pool, const char *name, hearth_error *err);
/* `name`: NULL and "" mean the first model; borrowed until `ready` is called: within this call
 * where the model is open and goes by that name, otherwise by a thread of the pool. */
void model_pool_acquire(struct model_pool *pool, struct model_wait *wait, const char *name);
/* The wait hears soon, if it has not yet; what is being opened is opened all the same. Only while
 * it is known that `ready` has not returned. */
void model_pool_cancel(struct model_pool *pool, struct model_wait *wait);
/* The same model at once, where it is open: for what cannot wait and is soon done;
 * model_pool_return. HEARTH_ERROR_NOT_FOUND: no such model is open, or it is about to be closed. */
hearth_status model_pool_borrow(struct model_pool *pool, const char *name, struct local_model **out,
                                hearth_error *err);
void model_pool_return(struct model_pool *pool, struct local_model *model);
/* Gives back one that was acquired. Where the settings do not name it, it stays open for so many
 * seconds unless it is used again; NAN: as was said last, or as the settings say. */
void model_pool_release(struct model_pool *pool, struct local_model *model, double keep_alive_s);
/* Closes a model, one that the settings name too, as soon as nobody holds it. One that is not open
 * is fine; HEARTH_ERROR_NOT_FOUND: no such model. */
hearth_status model_pool_unload(struct model_pool *pool, const char *name, hearth_error *err);

/* ---- what there is ------------------------------------------------------------------ */

/* Appends every model that may be asked for, as backend_list_models says: the first one first. */
hearth_status model_pool_list(struct model_pool *pool, json_t *out, hearth_error *err);

/* How an open model is used. */
struct model_use {
    size_t n_users;
    uint64_t n_requests; /* times it was acquired */
    uint64_t bytes;      /* that it takes */
    double seconds_left; /* until it is closed, if nobody uses it; INFINITY: it stays */
};
/* Calls `visit` for every model that is open; it must not wait or use the pool. */
void model_pool_visit(struct model_pool *pool,
                      void (*visit)(void *context, struct local_model *model,
                                    const struct model_use *use),
                      void *context);
/* Bytes: what open models may take, and take. */
struct model_pool_memory {
    uint64_t max_bytes, used_bytes;
};
struct model_pool_memory model_pool_memory(struct model_pool *pool);

#endif
