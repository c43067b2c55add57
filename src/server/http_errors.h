/* http_errors.h - replies that say what is wrong, in the shape of the interface that was asked;
 * private to the room. */
#ifndef HEARTH_SERVER_HTTP_ERRORS_H
#define HEARTH_SERVER_HTTP_ERRORS_H

#include "server/http_exchange.h"

void http_reply_problem(struct http_exchange *x, const struct dialect_problem *problem);
/* The same from words. `field`: of the body, or "". */
void http_reply_error(struct http_exchange *x, int status, const char *field, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));
/* What a failed call says, with the status that it stands for. */
void http_reply_failure(struct http_exchange *x, hearth_status status, const hearth_error *err);

#endif
