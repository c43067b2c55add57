/* http_accept.h - what a client says that it takes (RFC 9110, section 12.5.3), and what it calls
 * its request. */
#ifndef HEARTH_SERVER_HTTP_ACCEPT_H
#define HEARTH_SERVER_HTTP_ACCEPT_H

#include <stdbool.h>

enum { HTTP_REQUEST_ID_BYTES = 129 };

/* Whether a value of Accept-Encoding names gzip, or everything, and not with a weight of 0. */
bool http_accepts_gzip(const char *value);
/* Whether a value of X-Request-Id may be said again, in headers and in the log: 1 to 128 letters,
 * digits and any of "-_.:+/=". */
bool http_request_id_is_valid(const char *value);

#endif
