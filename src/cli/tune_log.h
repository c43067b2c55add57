/* tune_log.h - what a tuning run says while it goes on: a line that redraws itself on a
 * terminal, plain lines elsewhere, and log.jsonl in the run's folder.
 *
 * log.jsonl has a JSON object a line: {"step", "loss", "rate", "norm", "tokens", "seconds",
 * "memory"} for steps, memory being the process's in bytes; {"step", "eval_loss", "best",
 * "seconds"} for evaluations; runs on preference pairs have "margin" and "accuracy" in both;
 * {"step", "sample"} for what the model answers (tune_samples.h). */
#ifndef HEARTH_CLI_TUNE_LOG_H
#define HEARTH_CLI_TUNE_LOG_H

#include <jansson.h>
#include <stdio.h>

#include "train/tuning.h"

struct tune_log {
    FILE *file; /* log.jsonl */
    uint64_t n_steps, last_shown_ns, tokens;
    double loss, eval_loss; /* smoothed; of the last evaluation; NAN before the first */
    double rate, seconds;
    double margin, accuracy; /* of the last step or evaluation on preference pairs, or NAN */
    bool quiet, shown;
};

/* Opens FOLDER/log.jsonl for appending; lines of steps after the state's, which a run that
 * goes on repeats, are dropped first. */
hearth_status tune_log_open(struct tune_log *log, const char *folder, const struct run_state *state,
                            uint64_t n_steps, bool quiet, hearth_error *err);
/* For tuning_run. */
void tune_log_report(struct tune_log *log, const struct train_event *event);
/* Adds a line for each of the samples, which need not be in order with those of steps. The log may
 * be open; samples may be NULL. */
hearth_status tune_log_put_samples(const char *folder, uint64_t step, const json_t *samples,
                                   hearth_error *err);
void tune_log_close(struct tune_log *log);

#endif
