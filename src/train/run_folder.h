/* run_folder.h - the folder of a tuning run, for whoever trains in it and for whoever looks:
 *
 *   run.json   what became of the run, from its beginning on; replaced as a whole
 *   run.lock   held by the process that trains */
#ifndef HEARTH_TRAIN_RUN_FOLDER_H
#define HEARTH_TRAIN_RUN_FOLDER_H

#include <jansson.h>

#include "base/file.h"

/* Creates the folder and makes it this process's; HEARTH_ERROR_ARGUMENT when another has it. */
hearth_status run_folder_lock(const char *folder, struct file_lock *lock, hearth_error *err);
/* Removes a folder in which nothing but the lock has been made. */
void run_folder_forget(const char *folder);
/* Whether a process trains in the folder now. */
bool run_folder_is_locked(const char *folder);

/* run.json, given (json_decref); with "folder", and the state "interrupted" for a run whose
 * process has died. A run from whose beginning nothing was written has no more than a state. */
hearth_status run_folder_read(const char *folder, json_t **run, hearth_error *err);

#endif
