/* local_prefix.h - what a model has computed of a request's prompt, in a file. */
#ifndef HEARTH_ROUTE_LOCAL_PREFIX_H
#define HEARTH_ROUTE_LOCAL_PREFIX_H

#include "chat/request.h"
#include "route/local_model.h"

/* As local_backend_save_prefix and local_backend_load_prefix. */
hearth_status local_prefix_save(struct local_model *model, const struct request *request,
                                const char *path, hearth_error *err);
hearth_status local_prefix_load(struct local_model *model, const struct request *request,
                                const char *path, bool *complete, hearth_error *err);

#endif
