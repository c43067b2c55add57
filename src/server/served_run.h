/* served_run.h - one tuning run as the server sees it: its folder (train/run_folder.h), and in it,
 * where the run was asked for over HTTP, served.json with what is wanted of it:
 *
 *   {"name", "model", "created", "wanted", "hosts", "problem", "result"}
 *
 * "wanted" is "run", "pause", "stop", or "nothing" after a failure, which "problem" tells; "result"
 * is the name under which the model that came of it is known. The file is replaced as a whole. What
 * became of the run is in run.json, which belongs to 'hearth tune'. No threads of its own. */
#ifndef HEARTH_SERVER_SERVED_RUN_H
#define HEARTH_SERVER_SERVED_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { SERVED_RUN_ID_BYTES = 65, SERVED_RUN_NAME_BYTES = 121 };

struct served_run {
    char id[SERVED_RUN_ID_BYTES];
    char *folder;
    json_t *asked; /* served.json; NULL: the run was begun on the command line */
    json_t *facts; /* run.json */
};

/* An id names a folder: lower-case letters, digits, '-', '_' and '.', a letter first. */
bool served_run_id_is_valid(const char *id);
/* Makes one of any text. */
void served_run_make_id(const char *text, char id[SERVED_RUN_ID_BYTES]);

/* Reads the folder; HEARTH_ERROR_NOT_FOUND: there is no such run. served_run_close follows in
 * every case. */
hearth_status served_run_open(struct served_run *run, const char *id, const char *folder,
                              hearth_error *err);
void served_run_close(struct served_run *run); /* a zeroed one is fine */

/* Of served.json; "" where it has none. */
const char *served_run_text(const struct served_run *run, const char *key);
/* The model that is tuned, as it was asked for; "" where that is not known. */
const char *served_run_model(const struct served_run *run);
/* Sets a text in served.json (NULL: removes it) and writes the file. */
hearth_status served_run_set(struct served_run *run, const char *key, const char *value,
                             hearth_error *err);

/* "waiting", "running", "paused", "stopped", "finished" or "failed". `computes`: a process of this
 * server works on it. */
const char *served_run_state(const struct served_run *run, bool computes);
bool served_run_state_is_last(const char *state); /* nothing more comes by itself */
/* The run as the app has it (web/src/api/types.ts, TuneRun), given; NULL: no memory. */
json_t *served_run_describe(const struct served_run *run, bool computes);
/* A file of the folder, given; NULL: it is not there, or no memory. */
char *served_run_file(const struct served_run *run, const char *name);

#endif
