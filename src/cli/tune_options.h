/* tune_options.h - what 'hearth tune' can be told, as one table: options of the command line,
 * keys of a recipe, and what becomes of them in a run. */
#ifndef HEARTH_CLI_TUNE_OPTIONS_H
#define HEARTH_CLI_TUNE_OPTIONS_H

#include "cli/options.h"
#include "train/tuning.h"

enum { TUNE_SPECS = 84 };

/* Strings are borrowed from the command line, or from whoever read the recipe. */
struct tune_command {
    const char *model, *teacher, *folder, *recipe, *format, *separator, *template_file, *outtype,
        *hosts;
    struct option_list data, eval_data, columns, modules;
    int64_t n_threads, rank, top_k, sequence_length, batch_rows, step_rows, accumulation;
    int64_t max_steps, warmup_steps, evaluate_every, save_every, patience, keep, seed, max_samples,
        n_samples;
    int method, objective, schedule, turns, too_long, packing, checkpointing, optimizer, zero, wire;
    double alpha, rate, least_rate, warmup, epochs, weight_decay, max_norm, beta1, beta2, epsilon;
    double eval_fraction, dpo_beta, dpo_label_smoothing, dpo_sft_weight, dropout, neftune_alpha;
    double temperature, teacher_share;
    uint64_t memory;
    bool rank_stabilised, decomposed, train_embeddings, train_output, exact, skip_broken,
        train_prompts;
    bool dpo_length_normalised, live_samples, dry_run, json, resume;
};

/* Values of the choices of the same names. "qlora", after METHOD_FULL, is METHOD_LORA by another
 * name. */
enum { METHOD_LORA, METHOD_FULL };
enum { OBJECTIVE_AUTO, OBJECTIVE_DPO };
enum { PACKING_ON, PACKING_BY_LENGTH, PACKING_OFF };
enum {
    OPTIMIZER_AUTO,
    OPTIMIZER_ADAMW,
    OPTIMIZER_ADAMW_8BIT,
    OPTIMIZER_TORCH,
    OPTIMIZER_TORCH_FUSED,
    OPTIMIZER_8BIT,
    OPTIMIZER_BNB_8BIT
};

struct tune_command tune_command_defaults(void);
/* Fills the table, whose values go to `c`; returns how many options there are. */
size_t tune_specs(struct tune_command *c, struct option_spec specs[TUNE_SPECS]);
/* The same as options of a run, without its folder; borrows from `c`. */
hearth_status tune_command_take(const struct tune_command *c, struct tuning_options *out,
                                hearth_error *err);

#endif
