/* local_status.h - what goes on in an open model, for operators. */
#ifndef HEARTH_ROUTE_LOCAL_STATUS_H
#define HEARTH_ROUTE_LOCAL_STATUS_H

#include "route/model_pool.h"

/* As backend_status says it of a model; NULL: no memory. */
json_t *local_status_of_model(struct local_model *model, const struct model_use *use);

#endif
