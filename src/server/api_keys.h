/* api_keys.h - /keys, for those who look after the server.
 *
 * GET /keys?revoked=1   {keys:[{id, name, prefix, role, created, expires, last_used, revoked?,
 *                       limits:{requests_per_minute?, tokens_per_minute?, concurrent?}}]}
 * POST /keys            {name, role?: "admin" or "user", limits?, expires?} -> the same and "key",
 *                       which is shown this once; the first key is an admin's
 * DELETE /keys/{id}     revokes it, and ends its sessions */
#ifndef HEARTH_SERVER_API_KEYS_H
#define HEARTH_SERVER_API_KEYS_H

#include "server/api.h"

void api_keys(struct store *store, const struct api_request *request, struct api_answer *answer);

#endif
