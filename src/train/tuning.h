/* tuning.h - one tuning run as a whole: model, data, what is trained and how; from options to
 * an adapter or a model.
 *
 * Opening checks everything that can be checked, says what the run will need and, where it
 * does not fit, what was chosen so that it does; nothing is written before tuning_run. The
 * result of a run depends on the files, the options, the processor's level and, in its last
 * digits, on the number of ranks, not on the number of threads or on interruptions.
 *
 * Of several ranks (ranks.h) every one makes the same calls with the same options; only rank 0
 * writes. What fails on one fails on all. */
#ifndef HEARTH_TRAIN_TUNING_H
#define HEARTH_TRAIN_TUNING_H

#include "train/graph.h"
#include "train/objective_distil.h"
#include "train/objective_dpo.h"
#include "train/packing.h"
#include "train/preview.h"
#include "train/trainer.h"

enum tuning_choice { TUNING_AUTO, TUNING_ON, TUNING_OFF };
enum { ZERO_AUTO = -1 }; /* as memory demands */

struct tuning_options {
    /* data */
    const char *const *data, *const *eval_data; /* paths; eval_data: instead of a split */
    size_t n_data, n_eval_data;
    struct dataset_options dataset; /* eval_fraction < 0: chosen by the number of records */
    enum example_turns turns;
    enum example_too_long too_long;
    bool train_prompts;
    uint32_t sequence_length; /* longest sequence in tokens; 0: by data and model */
    /* what is trained */
    enum train_method method;
    struct lora_options lora;
    bool train_embeddings, train_output;
    float neftune_alpha;          /* graph.h */
    bool exact;                   /* float32 products */
    struct dpo_options dpo;       /* what preference pairs are trained with */
    struct distil_options distil; /* with a teacher, borrowed until tuning_close */
    /* how */
    enum packing_method packing;
    bool one_sequence;     /* a sequence to a batch, instead of packing */
    uint32_t batch_rows;   /* tokens of a forward pass; 0: chosen */
    uint32_t step_rows;    /* tokens of an optimiser step, about; 0: chosen */
    uint64_t accumulation; /* batches of a step; 0: step_rows / batch_rows */
    double epochs;         /* over the training records, when max_steps is 0 */
    uint64_t max_steps;
    enum schedule_kind schedule;
    double rate;           /* learning rate; 0: by method */
    double least_rate;     /* fraction of it at the end */
    double warmup;         /* fraction of the steps */
    uint64_t warmup_steps; /* instead, unless 0 */
    struct optimizer_options optimizer;
    enum tuning_choice checkpointing, moments_8bit;
    uint64_t evaluate_every, save_every; /* steps; 0: ten times a run; UINT64_MAX: at the end */
    uint64_t patience;
    size_t keep;
    uint64_t seed;
    const char *folder; /* of checkpoints and results; NULL: none are written */
    unsigned n_threads;
    uint64_t max_bytes;    /* memory budget of a rank; 0: what is available */
    struct ranks *ranks;   /* borrowed; NULL: this process alone trains */
    int zero_stage;        /* what is divided among the ranks: enum zero_stage; ZERO_AUTO */
    bool narrow_gradients; /* sent to other ranks in bfloat16 */
};

struct tuning_options tuning_defaults(void);

/* What was found and decided. */
struct tuning_plan {
    uint64_t n_records, n_eval_records;
    struct preview_statistics data; /* of the training records */
    uint32_t sequence_length, batch_rows;
    uint64_t accumulation, batches_per_epoch, n_steps, warmup_steps;
    double rate;
    uint64_t trained_values, model_values;
    uint64_t graph_bytes, optimizer_bytes, available_bytes;
    uint64_t state_bytes; /* of what is trained: values, gradients, moments that this rank keeps;
                             part of the two before */
    enum zero_stage zero_stage;
    bool checkpointing, moments_8bit, template_missing;
    bool preference; /* pairs: trained by objective_dpo.h */
    char note[320];  /* what memory made necessary, as a sentence; "" */
    char fingerprint[RUN_FINGERPRINT_BYTES];
};

struct tuning;

/* Everything is borrowed until tuning_close. `template` may be NULL. `progress` (may be NULL)
 * is told about reading the data; false cancels. */
hearth_status tuning_open(struct tuning **out, const struct model *model,
                          const struct tokenizer *tokenizer, const struct chat_template *template,
                          const struct tuning_options *options, hearth_error *err);
void tuning_close(struct tuning *tuning);

const struct tuning_plan *tuning_plan(const struct tuning *tuning);
const struct dataset *tuning_dataset(const struct tuning *tuning);
/* The records that are evaluated; without any, those that are trained. */
const struct dataset *tuning_held_out(const struct tuning *tuning, enum dataset_part *part);

/* Goes on from the folder's latest checkpoint, if there is one; without `may_resume` that is
 * refused (HEARTH_ERROR_ARGUMENT). */
struct tuning_run_options {
    bool may_resume;
    bool (*stop)(void *context); /* asked after every step; true: save and end; may be NULL */
    void (*report)(void *context, const struct train_event *event);
    void *context; /* of both */
};
hearth_status tuning_resume(struct tuning *tuning, const struct tuning_run_options *options,
                            bool *resumed, hearth_error *err);
/* Trains from there to the end. */
hearth_status tuning_run(struct tuning *tuning, const struct tuning_run_options *options,
                         enum train_end *end, hearth_error *err);
/* So far. What was trained is in the checkpoints (train/tuned.h). */
const struct run_state *tuning_state(const struct tuning *tuning);

#endif
