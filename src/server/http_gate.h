/* http_gate.h - what is looked at before the body of a request is: how it is framed, whom it is
 * for, whose page it comes from, whether there is such a path, the key and what the key may;
 * private to the room. */
#ifndef HEARTH_SERVER_HTTP_GATE_H
#define HEARTH_SERVER_HTTP_GATE_H

#include "server/http_exchange.h"

/* Leaves the exchange with a reply where the request may not pass, or is answered already.
 * `allowed`: methods of the path, where it has no such route. */
void http_gate_pass(struct http_exchange *x, const char *allowed);
/* Whether what follows is short enough to be read and forgotten. */
bool http_gate_may_drop(const struct http_exchange *x);
/* The body is larger than the server takes. */
void http_gate_refuse_size(struct http_exchange *x);
/* The bodies of all requests together are. */
void http_gate_refuse_load(struct http_exchange *x);

#endif
