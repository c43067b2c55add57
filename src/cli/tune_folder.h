/* tune_folder.h - what a tuning run leaves in its folder:
 *
 *   recipe.yaml   every setting; with it the run is resumed or repeated
 *   run.json      what became of it, from its beginning on
 *   log.jsonl     its course (tune_log.h)
 *   checkpoints/  weights and everything needed to go on (train/checkpoint.h)
 *   adapter.gguf, adapter/ or model.gguf   what was trained (tune_result.h), with README.md
 *   run.lock      held by the process that trains (train/run_folder.h)
 *
 * Every file but the log is replaced as a whole, so that one who looks sees the old or the new. */
#ifndef HEARTH_CLI_TUNE_FOLDER_H
#define HEARTH_CLI_TUNE_FOLDER_H

#include <jansson.h>

#include "cli/tune_log.h"
#include "cli/tune_options.h"

enum { RUN_STARTED_BYTES = 24 };

/* A run as its files describe it; everything is borrowed. */
struct tune_run {
    const struct tune_command *command;
    const char *folder, *family;
    const char *state;   /* "running", "finished", "early stop", "stopped", "failed" */
    const char *problem; /* why it failed; NULL: it did not */
    const char *started; /* ISO 8601 */
    const char *ended;   /* likewise; NULL: it has not */
    const struct tuning *tuning;
    const struct tune_log *log;
    uint64_t result_step;  /* whose weights were written; 0: none yet */
    const json_t *samples; /* tune_samples.h; NULL: none */
};

/* "MODEL-DATA" without folders and extensions, in the current folder; given. */
char *tune_folder_default(const struct tune_command *c);

hearth_status tune_folder_write_recipe(const char *folder, const struct option_table *table,
                                       hearth_error *err);
hearth_status tune_folder_write_run(const struct tune_run *run, hearth_error *err);
/* README.md, the card of what was trained. */
hearth_status tune_folder_write_card(const struct tune_run *run, hearth_error *err);

#endif
