/* tune_folder.h - what a tuning run leaves in its folder, beside the checkpoints and
 * log.jsonl: recipe.yaml, with which it can be resumed or repeated; run.json, what became of
 * it; README.md, the card of what was trained; and that itself. */
#ifndef HEARTH_CLI_TUNE_FOLDER_H
#define HEARTH_CLI_TUNE_FOLDER_H

#include "cli/tune_log.h"
#include "cli/tune_options.h"

/* A run as its files describe it; everything is borrowed. */
struct tune_run {
    const struct tune_command *command;
    const char *folder, *family;
    const struct tuning *tuning;
    const struct tune_log *log;
    enum train_end end;
};

/* "MODEL-DATA" without folders and extensions, in the current folder; given. */
char *tune_folder_default(const struct tune_command *c);

hearth_status tune_folder_write_recipe(const char *folder, const struct option_table *table,
                                       hearth_error *err);
/* run.json; `state` is a word for what the run is doing or how it ended. */
hearth_status tune_folder_write_run(const struct tune_run *run, const char *state,
                                    hearth_error *err);
const char *tune_end_name(enum train_end end);
/* The adapter or the model, and the card. */
hearth_status tune_folder_write_result(const struct tune_run *run, hearth_error *err);

#endif
