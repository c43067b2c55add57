/* http_identity.h - who asks, found out for each request; private to the room.
 *
 * Keys of the command line come first, they may do everything; then those of the store, and the
 * sessions of the app that were begun with one. Where there are none of either and only this
 * machine can reach the server, everybody may do everything. */
#ifndef HEARTH_SERVER_HTTP_IDENTITY_H
#define HEARTH_SERVER_HTTP_IDENTITY_H

#include "server/http_exchange.h"

/* Fills asker, needs_key, has_key and key of the exchange. What is shown and not valid counts as
 * nothing: `*wrong`. */
hearth_status http_identity_find(struct http_exchange *x, bool *wrong, hearth_error *err);
/* Whether it is a key of the command line; then the asker is its holder. */
bool http_identity_is_listed(struct http_exchange *x, const char *key);
/* Who asks, as a number (struct request, `client`): the holder of the key, whose sessions of the
 * app count as the same; 0 where no keys are needed. */
uint64_t http_identity_client(const struct http_exchange *x);
/* Whether there are any keys at all. */
hearth_status http_identity_any(struct http_server *server, bool *any, hearth_error *err);

#endif
