/* run_history.h - the tuning runs of this user: path_home(PATH_DATA)/hearth.db (stored_runs.h)
 * knows where they are and how far they came; the rest is in their folders, which count where the
 * two differ. So a run whose folder was moved or removed is still known.
 *
 * While the database cannot be used, where a run is goes to path_home(PATH_STATE)/runs.jsonl, a
 * line {"folder", "started"} each; these lines enter the database as soon as it is opened. */
#ifndef HEARTH_CLI_RUN_HISTORY_H
#define HEARTH_CLI_RUN_HISTORY_H

#include <jansson.h>
#include <stddef.h>

#include "store/store.h"

#define RUN_HISTORY_LINES_MAX_BYTES ((size_t)64 << 20)

/* The file of this user's database, given; its folder is made. */
hearth_status run_history_file(char **path, hearth_error *err);
/* Opens it; store_close. */
hearth_status run_history_open(struct store **out, hearth_error *err);
/* Enters what a folder's run.json says of its run. */
hearth_status run_history_note(struct store *store, const char *folder, hearth_error *err);
/* Without a database: `started`, ISO 8601. */
hearth_status run_history_postpone(const char *folder, const char *started, hearth_error *err);

/* All runs, the one begun last first: objects as run_folder_read gives them, with the "id"
 * and "name" of the history, and {"missing": true} where the folder is there no longer, or is
 * another run's; given (json_decref). */
hearth_status run_history_list(json_t **runs, hearth_error *err);
/* The same of one run: `run` is its folder; or the name, or the id, of the one begun last that
 * has it, those first whose folders are there. HEARTH_ERROR_NOT_FOUND names the nearest. A folder
 * needs no database. */
hearth_status run_history_find(const char *run, json_t **facts, hearth_error *err);
/* HEARTH_ERROR_NOT_FOUND, and what to do, where such a run's folder is missing. */
hearth_status run_history_need_folder(const char *run, const json_t *facts, hearth_error *err);
/* The folder of such a run, which must be there; given. */
hearth_status run_history_folder(const char *run, char **folder, hearth_error *err);

#endif
