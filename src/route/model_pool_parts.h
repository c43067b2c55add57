/* model_pool_parts.h - what the files of the pool share; private to them. */
#ifndef HEARTH_ROUTE_MODEL_POOL_PARTS_H
#define HEARTH_ROUTE_MODEL_POOL_PARTS_H

#include <pthread.h>

#include "route/model_catalogue.h"
#include "route/model_pool.h"

/* A model that is open, or on its way there or back. */
struct pooled_model {
    struct local_model model; /* the first field: model_pool_release finds the rest by it */
    struct listed_model listed;
    enum { POOLED_WANTED, POOLED_OPENING, POOLED_OPEN, POOLED_CLOSING, POOLED_FAILED } state;
    bool named;  /* by the settings */
    bool leaves; /* OPEN: closed as soon as nobody holds it */
    bool yields; /* OPEN: nobody new gets it, as others have waited long for its memory */
    bool alone;  /* WANTED: more than was thought; it is tried again when others are gone */
    size_t n_users, n_waits;
    size_t n_due;      /* OPEN: of n_waits, for whom it was opened; they get it, yield it or not */
    size_t n_borrowed; /* of n_users: for what cannot wait */
    uint64_t n_requests, bytes;
    double keep_alive_s;          /* unused, unless it is named */
    uint64_t used_ns, expires_ns; /* OPEN: expires_ns UINT64_MAX: never */
    uint64_t need;                /* bytes, before it is open */
    uint64_t blocked_ns;  /* WANTED: since when models in use are in its way; 0: they are not */
    hearth_error problem; /* FAILED, or what is in its way */
    struct pooled_model *next;
};

struct model_pool {
    struct model_pool_settings settings;
    struct model_catalogue *catalogue;
    struct listed_model *named;         /* [settings.n_models] */
    char *adapters[ADAPTER_LOADED_MAX]; /* [n_adapters], names: those of the first */
    size_t n_adapters;
    pthread_t opener, teller;
    bool has_opener, has_teller;
    pthread_mutex_t mutex;               /* of what follows */
    pthread_cond_t work, tidings;        /* for the opener, for the teller */
    struct pooled_model *models;         /* in the order in which they came to be wanted */
    struct model_wait *waits;            /* likewise; only the teller takes them out */
    const struct pooled_model *pressing; /* WANTED: whose turn it is; the opener's. NULL: none's */
    bool has_limit;                      /* someone has set max_bytes */
    bool stops;
};

/* Which of the named models it is; n_models: none. */
size_t pool_named_index(const struct model_pool *pool, const char *identity);
/* What a name means: given, as model_catalogue_find. No lock held. */
hearth_status pool_find_name(struct model_pool *pool, const char *name, struct listed_model *out,
                             hearth_error *err);
struct pooled_model *pool_by_identity(const struct model_pool *pool, const char *identity);
/* A WANTED model at the end; takes `listed`. NULL: no memory, and `listed` is released. */
struct pooled_model *pool_add(struct model_pool *pool, struct listed_model *listed);
void pool_remove(struct model_pool *pool, struct pooled_model *pooled);
/* OPEN, and not about to go. */
bool pool_is_at_hand(const struct pooled_model *pooled);
uint64_t pool_used_bytes(const struct model_pool *pool);
struct model_use pool_use_of(const struct pooled_model *pooled);
uint64_t pool_time_from(uint64_t since_ns, double seconds); /* UINT64_MAX: never */
uint64_t pool_time_after(double seconds);                   /* of clock_now_ns; UINT64_MAX: never */
/* The caller's from now on. */
void pool_hold(struct pooled_model *pooled);

/* Opens it now, in the calling thread: OPEN; or FAILED, for the reason returned; or still WANTED
 * and blocked. The lock is held, and given up meanwhile. */
hearth_status pool_open_model(struct model_pool *pool, struct pooled_model *pooled,
                              hearth_error *err);

/* ---- room in memory (model_pool_room.c); the lock is held ---- */

enum pool_room {
    ROOM_NOW,   /* when those have made way that nobody uses */
    ROOM_LATER, /* when others are used no more */
    ROOM_NEVER
};

uint64_t pool_limit_now(const struct model_pool *pool);
enum pool_room pool_room_for(const struct model_pool *pool, const struct pooled_model *pooled);
/* Nobody need make way any more. */
bool pool_fits(const struct model_pool *pool, const struct pooled_model *pooled);
/* Why there is no room: always an error. */
hearth_status pool_say_room(const struct model_pool *pool, const struct pooled_model *pooled,
                            hearth_error *err);
/* Takes the model from its owner's memory; it is forgotten, or opened again for those who have
 * asked meanwhile. The lock is given up meanwhile. */
void pool_close_model(struct model_pool *pool, struct pooled_model *pooled);
/* Closes the longest unused; false: there is none to close. The lock is given up meanwhile. */
bool pool_make_way(struct model_pool *pool);
/* Those whose memory it needs yield, and no others; NULL: none. True: some no longer do. */
bool pool_yield_to(struct model_pool *pool, const struct pooled_model *pooled);

/* The two threads. */
void *pool_run_opener(void *pool);
void *pool_run_teller(void *pool);

#endif
