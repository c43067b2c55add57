/* hub_expand.h - from what people type to a path or a repository. */
#ifndef HEARTH_HUB_HUB_EXPAND_H
#define HEARTH_HUB_HUB_EXPAND_H

#include "hub/hub_name.h"
#include "hub/hub_settings.h"

/* Follows aliases and short names. Either `*path` (given) is a local file or model
 * folder, or `name` holds a repository, or the name is not known: NOT_FOUND.
 * What is typed is no path after hub_refuse_paths; what an alias stands for may be one. */
hearth_status hub_expand(const struct hub *hub, const char *text, struct hub_name *name,
                         char **path, hearth_error *err);

#endif
