/* api_settings.h - /settings: an object of the app's, one for the server. GET, for all; PUT with
 * the whole object, for those who look after the server. */
#ifndef HEARTH_SERVER_API_SETTINGS_H
#define HEARTH_SERVER_API_SETTINGS_H

#include "server/api.h"

enum { SETTINGS_MAX_BYTES = 1 << 20 /* as JSON */ };

void api_settings(struct store *store, const struct api_request *request,
                  struct api_answer *answer);

#endif
