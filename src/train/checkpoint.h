/* checkpoint.h - everything a run needs to go on as if it had never stopped.
 *
 * A checkpoint is one safetensors file: of every parameter P its value "value/P" and the
 * moments "m/P" and "v/P" (F32, or bytes of struct moment8), and the run's state as strings of
 * __metadata__. It appears under its name only when it is complete and on the disk.
 * Reading changes nothing unless the whole file fits the run: same parameters, same shapes,
 * same format of moments, same fingerprint of the settings.
 *
 * Rank 0 alone touches the disk. A checkpoint does not know how many ranks wrote it: any number
 * can go on with it. */
#ifndef HEARTH_TRAIN_CHECKPOINT_H
#define HEARTH_TRAIN_CHECKPOINT_H

#include "train/optimizer.h"

enum { SOURCE_STATE_BYTES = 64, RUN_FINGERPRINT_BYTES = 65 };

/* What a run knows beside weights and moments. */
struct run_state {
    uint64_t step;    /* optimiser steps taken */
    uint64_t tokens;  /* rows of all batches so far */
    uint64_t batches; /* of all steps so far */
    double seconds;   /* of training, over all sessions of the run */
    double best_loss; /* lowest evaluation loss; infinity before the first */
    uint64_t best_step;
    uint64_t stale_evaluations;              /* since the best */
    uint8_t source[SOURCE_STATE_BYTES];      /* where the data set stands */
    char fingerprint[RUN_FINGERPRINT_BYTES]; /* names what must not change when resuming; text */
};

/* All ranks write and read together; `path` and `state` count on rank 0, which gives the state
 * that it read to all. Reading fails everywhere or nowhere, writing on rank 0. */
hearth_status checkpoint_write(const char *path, const struct optimizer *optimizer,
                               const struct run_state *state, hearth_error *err);
/* `state->fingerprint` says what the file must have been made for. */
hearth_status checkpoint_read(const char *path, struct optimizer *optimizer,
                              struct run_state *state, hearth_error *err);

/* The state alone, whatever run it is of. */
hearth_status checkpoint_read_state(const char *path, struct run_state *state, hearth_error *err);

/* "FOLDER/checkpoint-STEP.safetensors", given. */
char *checkpoint_path(const char *folder, uint64_t step);
/* The path of the checkpoint with the highest step, given; NULL and HEARTH_OK without any.
 * The folder may be missing. */
hearth_status checkpoint_latest(const char *folder, char **path, hearth_error *err);
/* Removes all but the `keep` latest, and what killed processes left of theirs; `spare` (a
 * step) stays in any case. One run at a time uses a folder. */
hearth_status checkpoint_prune(const char *folder, size_t keep, uint64_t spare, hearth_error *err);

#endif
