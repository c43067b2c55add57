/* local_backend.h - answers by models of this machine, many at once (infer/scheduler.h), opened
 * when they are asked for (model_pool.h).
 *
 * Requests wait for their model, then in the order in which they came, those of higher priority
 * first, and no more of them than the settings say. */
#ifndef HEARTH_ROUTE_LOCAL_BACKEND_H
#define HEARTH_ROUTE_LOCAL_BACKEND_H

#include "route/backend.h"
#include "route/drafting.h"
#include "route/engine.h"
#include "route/local_model.h"
#include "route/model_pool.h"

/* What pointers point to is borrowed until backend_close. */
struct local_backend_settings {
    struct engine_settings
        engine; /* `engine.model`: the one that answers unless others are named */
    struct drafting_settings drafting;
    const char *name;          /* as clients call that one; NULL: as it was asked for */
    const char *template_file; /* in the place of its own chat template, or NULL */
    bool no_template;          /* its own is not read, either */
    uint32_t n_parallel;       /* answers of a model at once; 0: LOCAL_MODEL_PARALLEL */
    uint32_t max_waiting;      /* requests that wait, at most; 0: LOCAL_BACKEND_WAITING */
    bool keeps_slots;          /* backend_slot can be asked */
    /* Several models, as in model_pool_settings; all of it may be 0. */
    const char *const *models; /* [n_models]: the first takes the place of `engine.model` */
    size_t n_models;
    bool on_demand; /* every other model that is listed, too */
    uint64_t max_bytes;
    uint32_t max_models;
    double keep_alive_s, max_wait_s;
};

enum { LOCAL_BACKEND_WAITING = 64 };

/* Opens the models that are named, which takes as long as it takes. */
hearth_status local_backend_open(struct backend **out,
                                 const struct local_backend_settings *settings, hearth_error *err);

/* What is computed now of the prompt that a request becomes, kept in a file and taken back by
 * another process (infer/scheduler.h says what is refused). Nothing is written of a prompt that is
 * too short to be kept. */
hearth_status local_backend_save_prefix(struct backend *backend, const struct request *request,
                                        const char *path, hearth_error *err);
/* `*complete`: the file has all that could be kept of the prompt. */
hearth_status local_backend_load_prefix(struct backend *backend, const struct request *request,
                                        const char *path, bool *complete, hearth_error *err);

#endif
