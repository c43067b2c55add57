/* tune_recipe.h - the settings of a run that a client asks for, as a recipe of 'hearth tune'.
 *
 * Only keys of a list are let through, none of which names a file, a folder or a machine; what
 * their values may be, 'hearth tune' says. Keys are those of recipes, with '_' or '-'. */
#ifndef HEARTH_SERVER_TUNE_RECIPE_H
#define HEARTH_SERVER_TUNE_RECIPE_H

#include <jansson.h>

#include "base/status.h"

enum { TUNE_RECIPE_TEXT_BYTES = 200 };

/* The recipe as JSON text, given (free), for a model at a path. Of `body` the keys "model",
 * "file", "name" and "hosts" are the caller's. HEARTH_ERROR_ARGUMENT: `*field` is the wrong key,
 * borrowed from `body`. */
hearth_status tune_recipe_make(const json_t *body, const char *model_path, char **recipe,
                               const char **field, hearth_error *err);

#endif
