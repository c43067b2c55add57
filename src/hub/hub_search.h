/* hub_search.h - models that can be pulled: those with short names, and the hub's, by words of
 * their names (docs: the hub's API reference, "GET /api/models"). */
#ifndef HEARTH_HUB_HUB_SEARCH_H
#define HEARTH_HUB_HUB_SEARCH_H

#include <jansson.h>

#include "hub/hub.h"

enum { HUB_SEARCH_MAX = 30 /* results of a search */ };

/* Appends {"name", "repo"} for every short name that contains the text, in any case; "" finds
 * all. Never uses the network. */
hearth_status hub_search_short_names(const char *text, json_t *out, hearth_error *err);
/* Appends {"name", "downloads", "updated"} for the hub's GGUF repositories that it finds, those
 * fetched most first. `cancel` may be NULL. HEARTH_ERROR_IO: the hub does not answer, or the
 * network is not to be used. */
hearth_status hub_search(struct hub *hub, const char *text, const atomic_bool *cancel, json_t *out,
                         hearth_error *err);

#endif
