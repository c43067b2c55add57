/* stored_settings.h - texts by name, such as what the app wants to find again on this server. */
#ifndef HEARTH_STORE_STORED_SETTINGS_H
#define HEARTH_STORE_STORED_SETTINGS_H

#include "store/store.h"

/* `*value` is given (mem_free); NULL: there is none of that name. */
hearth_status stored_settings_get(struct store *store, const char *name, char **value,
                                  hearth_error *err);
hearth_status stored_settings_put(struct store *store, const char *name, const char *value,
                                  hearth_error *err);

#endif
