/* tune_train.h - one tuning run from its settings to its results: says what it is going to do,
 * trains, and leaves everything in the run's folder (tune_folder.h). */
#ifndef HEARTH_CLI_TUNE_TRAIN_H
#define HEARTH_CLI_TUNE_TRAIN_H

#include "cli/tune_options.h"

/* `table`: the options that `c` was filled by, for the recipe. Ctrl-C saves and is no failure.
 * Says what failed; returns the exit code. Where mpirun has started this process among others,
 * it is a rank (train/ranks.h) and ends for all where one fails. */
int tune_train(const struct tune_command *c, const struct option_table *table);

#endif
