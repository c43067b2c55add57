/* http_routes.h - which paths there are; private to the room. */
#ifndef HEARTH_SERVER_HTTP_ROUTES_H
#define HEARTH_SERVER_HTTP_ROUTES_H

#include "server/http_exchange.h"

/* The route of a path and method. NULL: `*allowed` lists the methods that the path has, as the
 * header Allow does (without OPTIONS, which every path has), and is "" where there is no such path.
 * `*rest`: what follows the route's own part of the path. */
const struct http_route *http_routes_find(const char *method, const char *path, const char **rest,
                                          char allowed[64]);
/* Numbers for metrics: routes from 0, those of one path the same, and one more for everything
 * else. */
size_t http_routes_count(void);
size_t http_routes_number(const struct http_route *route); /* NULL: the last */
const char *http_routes_name(size_t number);

#endif
