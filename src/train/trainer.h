/* trainer.h - the loop of a run: batches to gradients to steps, evaluation, checkpoints,
 * stopping and going on.
 *
 * Invariants: (1) a run that was interrupted at any moment and resumed has the same weights,
 * bit for bit, as one that was not; (2) whatever ends a run, its latest checkpoint stays
 * complete; (3) nothing is allocated between two steps except while saving.
 *
 * Of several ranks (ranks.h) each takes every n-th batch of a step and of an evaluation; the
 * batches of a step are the same for any number of ranks. Where ranks exchange weights or
 * gradients in every pass, those that have no batch in a round of n batches, or whose batch
 * failed, take part in it without one. All make the same calls with the same options; the folder
 * counts on rank 0. */
#ifndef HEARTH_TRAIN_TRAINER_H
#define HEARTH_TRAIN_TRAINER_H

#include "train/objective.h"
#include "train/schedule.h"

struct trainer_options {
    struct schedule schedule; /* n_steps: of the run */
    uint64_t accumulation;    /* batches to a step */
    uint64_t evaluate_every;  /* steps; 0: at the end only */
    uint64_t patience;        /* evaluations without gain that end the run; 0: never */
    uint64_t save_every;      /* steps; 0: at the end only */
    size_t keep;             /* checkpoints; that of the best evaluation is made and kept besides */
    const char *folder;      /* of the checkpoints, created; NULL: none are made */
    const char *fingerprint; /* of model, data and settings (checkpoint.h); short text */
    bool (*stop)(void *context); /* asked after every step: true: save and end; may be NULL */
    void *stop_context;
};

/* What happened, for whoever shows it. */
struct train_event {
    enum { TRAIN_STEP, TRAIN_EVALUATION, TRAIN_SAVED } kind;
    uint64_t step; /* steps taken, this one included */
    double loss;   /* mean over the step's trained tokens, or over the evaluation set */
    double rate, norm;
    uint64_t tokens;  /* rows of this step's batches */
    double seconds;   /* this step or evaluation took */
    bool best;        /* evaluation: lower than all before */
    const char *path; /* of what was saved; borrowed */
    const struct run_state *state;
    /* Means over the preference pairs of a step or evaluation; NAN for other objectives. */
    double margin, accuracy;
};

enum train_end { TRAIN_FINISHED, TRAIN_STOPPED, TRAIN_STALE /* patience is exhausted */ };

struct trainer {
    struct optimizer *optimizer; /* these four are borrowed; it knows the ranks */
    struct objective objective;
    struct batch_source source, evaluation; /* evaluation.next NULL: none */
    struct trainer_options options;
    /* A pass without a batch (graph_take_part); may be NULL where ranks share no passes. */
    hearth_status (*take_part)(void *context, bool step, hearth_error *err);
    void *take_part_context;
    void (*report)(void *context, const struct train_event *event); /* may be NULL */
    void *report_context;
    struct run_state state; /* zero, or from trainer_resume */
};

/* Continues from the latest checkpoint of the folder; `*resumed` says whether there was one. */
hearth_status trainer_resume(struct trainer *trainer, bool *resumed, hearth_error *err);
/* Trains until one of enum train_end. A failure leaves the parameters as after the last whole
 * step. */
hearth_status trainer_run(struct trainer *trainer, enum train_end *end, hearth_error *err);

#endif
