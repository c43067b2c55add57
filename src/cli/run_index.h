/* run_index.h - where the tuning runs of this user are.
 *
 * path_home(PATH_STATE)/runs.jsonl has a line {"folder", "started"} for each run that was begun;
 * lines are only added. What a run is, its own folder says: one that was moved or removed is no
 * longer found by name, and nothing else is lost. */
#ifndef HEARTH_CLI_RUN_INDEX_H
#define HEARTH_CLI_RUN_INDEX_H

#include <stddef.h>

#include "base/status.h"

#define RUN_INDEX_MAX_BYTES ((size_t)64 << 20)

/* `folder` becomes absolute; `started`: ISO 8601. */
hearth_status run_index_add(const char *folder, const char *started, hearth_error *err);
/* The folders that are there still, each once, the one begun last first; given
 * (file_names_free). Lines that are damaged are passed over. */
hearth_status run_index_read(char ***folders, size_t *count, hearth_error *err);
/* The folder of a run, given: `run` itself where it is one, otherwise the one begun last that
 * is called so. HEARTH_ERROR_NOT_FOUND names the nearest. */
hearth_status run_index_find(const char *run, char **folder, hearth_error *err);

#endif
