/* alias_file.h - the user's own names for models: one JSON object in Hearth's data
 * folder, {"name": "target", ...}. Changes are atomic and locked against each other. */
#ifndef HEARTH_HUB_ALIAS_FILE_H
#define HEARTH_HUB_ALIAS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct alias {
    char *name, *target;
};

/* All of them, sorted; given: aliases_free. A file that is not there is empty. */
hearth_status aliases_read(const char *path, struct alias **aliases, size_t *count,
                           hearth_error *err);
void aliases_free(struct alias *aliases, size_t count);
const struct alias *aliases_find(const struct alias *aliases, size_t count, const char *name);

/* NULL target removes. */
hearth_status alias_set(const char *path, const char *name, const char *target, hearth_error *err);

#endif
