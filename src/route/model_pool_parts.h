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
    size_t n_users, n_waits;
    uint64_t n_requests, bytes;
    double keep_alive_s;          /* unused, unless it is named */
    uint64_t used_ns, expires_ns; /* OPEN: expires_ns UINT64_MAX: never */
    hearth_error problem;         /* FAILED */
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
    pthread_mutex_t mutex;        /* of what follows */
    pthread_cond_t work, tidings; /* for the opener, for the teller */
    struct pooled_model *models;  /* in the order in which they were first wanted */
    struct model_wait *waits;     /* likewise; only the teller takes them out */
    bool has_limit;               /* someone has set max_bytes */
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
uint64_t pool_time_after(double seconds); /* of clock_now_ns; UINT64_MAX: never */
/* The caller's from now on. */
void pool_hold(struct pooled_model *pooled);

/* Opens it now, in the calling thread. The lock is held, and given up meanwhile. */
hearth_status pool_open_model(struct model_pool *pool, struct pooled_model *pooled,
                              hearth_error *err);

/* The two threads. */
void *pool_run_opener(void *pool);
void *pool_run_teller(void *pool);

#endif
