/* run_result.h - what came of a tuning run, under a name: a model in the run's folder is known by
 * an alias (hub.h), so that 'hearth list' and the server find it. It is the run's and goes with it:
 *
 *   exported.gguf   made by an export
 *   model.gguf      made by 'hearth tune' itself, where it trained every weight */
#ifndef HEARTH_SERVER_RUN_RESULT_H
#define HEARTH_SERVER_RUN_RESULT_H

#include "server/served_run.h"

/* Gives the model a name, the run's if it is free, and keeps it as the run's "result". Without such
 * a file, or where it has a name, nothing happens. */
hearth_status run_result_adopt(struct served_run *run, hearth_error *err);
/* Removes the name, and what was exported. */
hearth_status run_result_forget(struct served_run *run, hearth_error *err);

enum run_export { EXPORT_MERGED, EXPORT_ADAPTER };
/* Writes exported.gguf, or adapter.gguf, by 'hearth tune export' of `program`. Waits; `stop` is
 * asked meanwhile: true ends it (HEARTH_ERROR_CANCELLED). `path` is given. */
hearth_status run_result_export(struct served_run *run, const char *program, enum run_export what,
                                bool (*stop)(void *context), void *context, char **path,
                                hearth_error *err);

#endif
