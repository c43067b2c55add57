/* request_copy.h - a request that outlives the one it was made from. */
#ifndef HEARTH_ROUTE_REQUEST_COPY_H
#define HEARTH_ROUTE_REQUEST_COPY_H

#include "base/status.h"
#include "chat/request.h"

/* Copies everything, JSON included, so that the two may be on different threads. Released by
 * request_release in every case. */
hearth_status request_copy(struct request *to, const struct request *from, hearth_error *err);

#endif
