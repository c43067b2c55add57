/* local_backend.h - answers by one model of this machine, many at once (infer/scheduler.h).
 *
 * Requests wait in the order in which they came, those of higher priority first, and no more of
 * them than the settings say. */
#ifndef HEARTH_ROUTE_LOCAL_BACKEND_H
#define HEARTH_ROUTE_LOCAL_BACKEND_H

#include "route/backend.h"
#include "route/drafting.h"
#include "route/engine.h"
#include "route/local_model.h"

struct local_backend_settings {
    struct engine_settings engine; /* borrowed until local_backend_open returns */
    struct drafting_settings drafting;
    const char *name;     /* as clients call the model; NULL: as it was asked for */
    uint32_t n_parallel;  /* answers at once; 0: LOCAL_MODEL_PARALLEL */
    uint32_t max_waiting; /* requests that wait, at most; 0: LOCAL_BACKEND_WAITING */
};

enum { LOCAL_BACKEND_WAITING = 64 };

/* Opens the model, which takes as long as it takes. */
hearth_status local_backend_open(struct backend **out,
                                 const struct local_backend_settings *settings, hearth_error *err);

#endif
