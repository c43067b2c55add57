/* http_guard.h - which requests are let in, before anything of them is read.
 *
 * A page of some other site can make its visitor's browser ask a server on the visitor's own
 * machine. Two headers tell: Origin names the page's site, and Host the name that the browser
 * believes to talk to, which after DNS rebinding is the attacker's. So without keys, Host must be
 * an address or a name that only the owner can have meant, and a page elsewhere is refused unless
 * its origin was allowed. */
#ifndef HEARTH_SERVER_HTTP_GUARD_H
#define HEARTH_SERVER_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/option_list.h"

/* "name", "name:port", "[::1]:port": a valid value of Host. */
bool guard_host_is_valid(const char *host);
/* Whether it is an address, "localhost" or below it, or one of the names. */
bool guard_host_is_own(const char *host, const struct option_list *names);
/* Whether a page of that origin is one of this server's own, which was asked for by `host`. A
 * server without TLS may have a proxy before it that speaks TLS. */
bool guard_origin_is_own(const char *origin, const char *host, bool tls);
/* Whether it is one of the origins, or they have "*". */
bool guard_origin_is_allowed(const char *origin, const struct option_list *origins);
/* Whether an address to listen at is of this machine only: 127.0.0.0/8, ::1, localhost. */
bool guard_is_loopback(const char *host);

#endif
