/* api_tune.h - tuning over Hearth's own interface, below /api/hearth/v1/tune: files of examples are
 * looked at, runs begun, led and exported. A request that is already taken apart goes in, a status
 * and JSON come out; no sockets here. Whoever calls has found out that the asker looks after the
 * server. Some of it takes long: reading large files, exports. */
#ifndef HEARTH_SERVER_API_TUNE_H
#define HEARTH_SERVER_API_TUNE_H

#include "route/backend.h"
#include "server/api.h"
#include "server/run_queue.h"

/* What the program lends to it. */
struct tune_settings {
    const char *program; /* the path of hearth, which trains */
    /* HEARTH_ERROR_ARGUMENT says what 'hearth tune' would say of a recipe, and of the value of its
     * option --hosts (NULL: it is not given). */
    hearth_status (*check)(const char *recipe, const char *hosts, hearth_error *err);
};

/* Everything is borrowed. */
struct tune_api {
    const struct tune_settings *settings;
    struct run_queue *queue;
    struct backend *backend;     /* knows the models */
    bool (*stop)(void *context); /* long work is to end; any thread */
    void *context;
    /* Calls `use` while the model is in memory, and waits for that; for what is not GET. */
    hearth_status (*hold)(void *holder, const char *model,
                          hearth_status (*use)(void *context, const char *model, hearth_error *err),
                          void *context, hearth_error *err);
    void *holder;
};

/* A file of examples as a client sends it. */
struct tune_upload {
    const char *name, *model; /* NULL: not given */
    const char *data;
    size_t size;
};

/* POST /inspect. */
void api_tune_inspect(const struct tune_api *api, const struct tune_upload *upload,
                      struct api_answer *answer);
/* Everything below /runs but events; parts[0] is "runs". */
void api_tune_runs(const struct tune_api *api, const struct api_request *request,
                   struct api_answer *answer);

#endif
