#include "cli/tune_options.h"

#include <string.h>

#include "cli/tune_samples.h"

/* ---- the table ---------------------------------------------------------------- */

/* Members of an initialiser, which no parentheses may surround. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define INT(option, key, help_text, place, low, high)                                              \
    {                                                                                              \
        .name = option, .aliases = key, .argument = "N", .help = help_text, .type = OPTION_INT,    \
        .least = low, .most = high, .integer = &c->place                                           \
    }
#define FLOAT(option, key, help_text, place, low, high)                                            \
    {                                                                                              \
        .name = option, .aliases = key, .argument = "X", .help = help_text, .type = OPTION_FLOAT,  \
        .least = low, .most = high, .number = &c->place                                            \
    }
#define FLAG(option, key, help_text, place)                                                        \
    { .name = option, .aliases = key, .help = help_text, .type = OPTION_FLAG, .flag = &c->place }
#define CHOICE(option, key, names, help_text, place)                                               \
    {                                                                                              \
        .name = option, .aliases = key, .argument = "HOW", .help = help_text,                      \
        .type = OPTION_CHOICE, .choices = names, .choice = &c->place                               \
    }
#define TEXT(option, key, value, help_text, place)                                                 \
    {                                                                                              \
        .name = option, .aliases = key, .argument = value, .help = help_text,                      \
        .type = OPTION_STRING, .string = &c->place                                                 \
    }
#define LIST(option, key, value, help_text, place)                                                 \
    {                                                                                              \
        .name = option, .aliases = key, .argument = value, .help = help_text, .type = OPTION_LIST, \
        .list = &c->place                                                                          \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

/* long: the table of options. Aliases are Axolotl's names of the same things. */
size_t tune_specs(struct tune_command *c, struct option_spec specs[TUNE_SPECS]) {
    const struct option_spec own[] = {
        TEXT("model", "base-model", "MODEL", "what to tune, instead of the first argument", model),
        TEXT("recipe", NULL, "FILE", "YAML file with these options; the command line counts more",
             recipe),
        TEXT("output-dir", "output", "FOLDER", "of the run (default: MODEL-DATA here)", folder),
        FLAG("resume", NULL, "go on with an unfinished run of this folder", resume),
        FLAG("dry-run", NULL, "say what would be done, train nothing", dry_run),
        {.type = OPTION_HEADING, .help = "Data"},
        LIST("data", "datasets.path dataset", "FILE",
             "JSONL, JSON, CSV or text; may be repeated; 'hearth data' shows how it is understood",
             data),
        LIST("eval-data", "test-datasets.path", "FILE", "held-out data (default: a part of --data)",
             eval_data),
        TEXT("format", "datasets.type", "NAME",
             "alpaca, sharegpt, messages, pairs, preference, text (default: "
             "detected)",
             format),
        LIST("column", NULL, "FIELD=NAME", "the column NAME is FIELD; may be repeated", columns),
        TEXT("separator", NULL, "TEXT", "between the documents of text files", separator),
        TEXT("chat-template", NULL, "FILE", "Jinja template, instead of the model's",
             template_file),
        FLAG("skip-broken", NULL, "count broken records and go on", skip_broken),
        INT("max-samples", NULL, "only the first N records", max_samples, 0, 1e15),
        FLOAT("eval-split", "val-set-size",
              "fraction, or number, of records held out (default: a "
              "twentieth of 50 or more)",
              eval_fraction, -1, 1e9),
        CHOICE("train-turns", NULL, "all|last", "which of the assistant's turns (default: all)",
               turns),
        FLAG("train-prompts", "train-on-inputs", "train every token, not only answers",
             train_prompts),
        INT("sequence-length", "sequence-len",
            "tokens of the longest sequence (default: by the "
            "data, at most 2048)",
            sequence_length, 0, 1 << 24),
        CHOICE("too-long", "excess-length-strategy", "truncate|drop",
               "what becomes of longer records (default: truncate)", too_long),
        {.type = OPTION_HEADING, .help = "What is trained"},
        CHOICE("method", "adapter", "lora|full|qlora",
               "adapters, or every weight (default: lora; on a quantised model that is QLoRA, and "
               "qlora means the same)",
               method),
        INT("rank", "lora-r -r", "of the adapters (default: 16)", rank, 1, 4096),
        FLOAT("alpha", "lora-alpha", "scale of the adapters times rank (default: 32)", alpha, 1e-6,
              1e6),
        LIST("module", "lora-target-modules modules", "NAME",
             "weights with adapters, such as attn_q; may be repeated (default: all linear layers)",
             modules),
        FLOAT("lora-dropout", "dropout", "part of what adapters read that is dropped (default: 0)",
              dropout, 0, 0.99),
        FLOAT("neftune-noise-alpha", "noisy-embedding-alpha neftune",
              "noise on the embeddings, such as 5 (default: 0)", neftune_alpha, 0, 1e3),
        FLAG("rslora", "peft-use-rslora", "scale by the root of the rank", rank_stabilised),
        FLAG("dora", "peft-use-dora use-dora",
             "train the lengths of the weights' rows apart from their directions", decomposed),
        FLAG("train-embeddings", NULL, "with adapters: the embeddings, too", train_embeddings),
        FLAG("train-output", NULL, "with adapters: the output matrix, too", train_output),
        {.type = OPTION_HEADING, .help = "Preference pairs (DPO)"},
        CHOICE("objective", "rl", "auto|dpo",
               "dpo: the data must be preference pairs, which are trained so in any case (default: "
               "auto)",
               objective),
        FLOAT("beta", "dpo-beta rl-beta",
              "how closely the model stays with what it was (default: 0.1)", dpo_beta, 1e-6, 1e3),
        FLOAT("dpo-label-smoothing", "label-smoothing",
              "share of pairs taken to be the wrong way round (default: 0)", dpo_label_smoothing, 0,
              0.4999),
        FLAG("dpo-norm-loss", "dpo-length-normalised",
             "divide log-probabilities by the length of the answer", dpo_length_normalised),
        FLOAT("rpo-alpha", "dpo-sft-weight",
              "weight of the chosen answers' own likelihood (default: 0)", dpo_sft_weight, 0, 1e3),
        {.type = OPTION_HEADING, .help = "A teacher (distillation)"},
        TEXT("teacher", "teacher-model-name-or-path", "MODEL",
             "larger model with the same vocabulary, whose probabilities are trained towards",
             teacher),
        INT("kd-top-k", "teacher-top-k", "its likeliest tokens that count (default: 64)", top_k, 1,
            4096),
        FLOAT("kd-temperature", "teacher-temperature", "evens them out (default: 1)", temperature,
              1e-3, 1e3),
        FLOAT("kd-alpha", "teacher-share", "its share of the loss (default: 0.5)", teacher_share, 0,
              1),
        {.type = OPTION_HEADING, .help = "How long and how fast"},
        FLOAT("epochs", "num-epochs", "times through the data (default: 3)", epochs, 0, 1e6),
        INT("max-steps", "steps", "instead of epochs", max_steps, 0, 1e12),
        FLOAT("learning-rate", "lr",
              "(default: 2e-4 for adapters, 5e-5 for every weight; 2e-5 and 1e-6 on preference "
              "pairs)",
              rate, 0, 10),
        CHOICE("schedule", "lr-scheduler", "cosine|linear|constant", "(default: cosine)", schedule),
        FLOAT("min-lr-ratio", "cosine-min-lr-ratio",
              "what is left of the rate at the end "
              "(default: 0.1)",
              least_rate, 0, 1),
        FLOAT("warmup-ratio", NULL, "part of the steps in which the rate grows (default: 0.03)",
              warmup, 0, 1),
        INT("warmup-steps", NULL, "the same in steps", warmup_steps, 0, 1e12),
        INT("batch-tokens", NULL, "tokens of a forward pass (default: by data and memory)",
            batch_rows, 0, 1 << 20),
        INT("step-tokens", NULL,
            "tokens of an optimiser step, about (default: 2048 for adapters, "
            "4096)",
            step_rows, 0, 1 << 28),
        INT("accumulation", "gradient-accumulation-steps", "forward passes of a step, instead",
            accumulation, 0, 1 << 20),
        CHOICE("packing", "sample-packing", "on|by-length|off",
               "sequences side by side in a pass (default: on)", packing),
        {.type = OPTION_HEADING, .help = "Optimiser"},
        CHOICE("optimizer", NULL,
               "auto|adamw|adamw-8bit|adamw_torch|adamw_torch_fused|adamw_8bit|adamw_bnb_8bit",
               "8-bit moments save memory (default: auto, as memory demands)", optimizer),
        FLOAT("weight-decay", NULL, "(default: 0)", weight_decay, 0, 10),
        FLOAT("max-grad-norm", NULL, "longer gradients are shortened (default: 1; 0: never)",
              max_norm, 0, 1e9),
        FLOAT("adam-beta1", NULL, "(default: 0.9)", beta1, 0, 0.99999999),
        FLOAT("adam-beta2", NULL, "(default: 0.999)", beta2, 0, 0.99999999),
        FLOAT("adam-epsilon", NULL, "(default: 1e-8)", epsilon, 0, 1),
        {.type = OPTION_HEADING, .help = "Evaluation and checkpoints"},
        INT("eval-steps", "eval-every", "steps between evaluations (default: a tenth of the run)",
            evaluate_every, 0, 1e12),
        INT("save-steps", "save-every", "steps between checkpoints (default: a tenth of the run)",
            save_every, 0, 1e12),
        INT("save-total-limit", "keep", "checkpoints kept, besides the best (default: 2)", keep, 1,
            1e6),
        INT("early-stopping-patience", "patience",
            "evaluations without gain that end the run (default: 0, never)", patience, 0, 1e6),
        {.type = OPTION_HEADING, .help = "Results"},
        TEXT("outtype", NULL, "TYPE",
             "write model.gguf in this type, such as Q4_K_M; of adapters, merged (default: F32 "
             "when every weight is trained, none for adapters)",
             outtype),
        INT("samples", NULL, "prompts answered before and after, to compare (default: 2; 0: none)",
            n_samples, 0, TUNE_SAMPLES_MAX),
        FLAG("live-samples", NULL, "answer them at every checkpoint, too; the log has the answers",
             live_samples),
        {.type = OPTION_HEADING, .help = "Machine"},
        CHOICE("gradient-checkpointing", NULL, "auto|on|off",
               "compute layers twice to save memory (default: auto)", checkpointing),
        FLAG("exact", NULL, "float32 products, even where bfloat16 is faster", exact),
        {.name = "memory",
         .argument = "SIZE",
         .help = "use at most SIZE (default: what is free)",
         .type = OPTION_BYTES,
         .bytes = &c->memory},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "(default: one per core)",
         .environment = "HEARTH_THREADS",
         .type = OPTION_INT,
         .most = 512,
         .integer = &c->n_threads},
        {.type = OPTION_HEADING, .help = "Several processes (mpirun -np 2 hearth tune ...)"},
        TEXT("hosts", NULL, "A,B:2,...",
             "start the run on these hosts, by ssh and mpirun; after a colon: how many processes",
             hosts),
        CHOICE("zero-stage", "zero", "auto|0|1|2|3",
               "each has a part of 1: the moments, 2: and gradients, 3: and weights (default: "
               "auto, as memory demands)",
               zero),
        CHOICE("reduce-type", NULL, "f32|bf16", "how gradients are sent (default: f32)", wire),
        {.type = OPTION_HEADING, .help = "Others"},
        INT("seed", NULL, "of order, split and first values (default: 1)", seed, 0, 9e15),
        {.name = "json",
         .help = "print nothing but the run's result as JSON",
         .type = OPTION_FLAG,
         .flag = &c->json},
    };
    _Static_assert(sizeof own / sizeof own[0] <= TUNE_SPECS, "room for all");
    memcpy(specs, own, sizeof own);
    return sizeof own / sizeof own[0];
}

struct tune_command tune_command_defaults(void) {
    struct tuning_options o = tuning_defaults();
    return (struct tune_command){.rank = o.lora.rank,
                                 .alpha = (double)o.lora.alpha,
                                 .epochs = o.epochs,
                                 .least_rate = o.least_rate,
                                 .warmup = o.warmup,
                                 .max_norm = (double)o.optimizer.max_norm,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .epsilon = 1e-8,
                                 .eval_fraction = -1,
                                 .dpo_beta = 0.1,
                                 .top_k = o.distil.top_k,
                                 .temperature = (double)o.distil.temperature,
                                 .teacher_share = (double)o.distil.share,
                                 .keep = (int64_t)o.keep,
                                 .n_samples = 2,
                                 .seed = (int64_t)o.seed};
}

/* ---- options to a run --------------------------------------------------------- */

static hearth_status take_data(const struct tune_command *c, struct dataset_options *d,
                               hearth_error *err) {
    d->skip_broken = c->skip_broken;
    d->max_samples = (uint64_t)c->max_samples;
    d->document_separator = c->separator;
    if (c->objective == OBJECTIVE_DPO) d->schema = SCHEMA_PREFERENCE;
    if (c->format) RETURN_IF_ERROR(dataset_parse_schema(c->format, &d->schema, err));
    if (c->objective == OBJECTIVE_DPO && d->schema != SCHEMA_PREFERENCE)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "--objective dpo trains preference pairs, but --format is '%s'",
                         c->format);
    for (size_t i = 0; i < c->columns.count; i++) {
        enum dataset_field field;
        const char *column;
        RETURN_IF_ERROR(dataset_parse_column(c->columns.items[i], &field, &column, err));
        d->columns[field] = column;
    }
    /* A fraction, or a number of records as Axolotl's val_set_size takes it, too. */
    if (c->eval_fraction >= 1)
        d->eval_count = (uint64_t)c->eval_fraction;
    else
        d->eval_fraction = c->eval_fraction;
    return HEARTH_OK;
}

static void take_training(const struct tune_command *c, struct tuning_options *o) {
    o->method = c->method == METHOD_FULL ? TRAIN_FULL : TRAIN_LORA;
    o->lora = (struct lora_options){.rank = (uint32_t)c->rank,
                                    .alpha = (float)c->alpha,
                                    .rank_stabilised = c->rank_stabilised,
                                    .modules = c->modules.count ? c->modules.items : NULL,
                                    .dropout = (float)c->dropout,
                                    .decomposed = c->decomposed};
    o->neftune_alpha = (float)c->neftune_alpha;
    o->train_embeddings = c->train_embeddings;
    o->train_output = c->train_output;
    o->exact = c->exact;
    o->dpo = (struct dpo_options){(float)c->dpo_beta, (float)c->dpo_label_smoothing,
                                  c->dpo_length_normalised, (float)c->dpo_sft_weight};
    o->turns = (enum example_turns)c->turns;
    o->too_long = (enum example_too_long)c->too_long;
    o->train_prompts = c->train_prompts;
    o->packing = c->packing == PACKING_BY_LENGTH ? PACK_BY_LENGTH : PACK_FIRST_FIT;
    o->one_sequence = c->packing == PACKING_OFF;
    o->sequence_length = (uint32_t)c->sequence_length;
    o->batch_rows = (uint32_t)c->batch_rows;
    o->step_rows = (uint32_t)c->step_rows;
    o->accumulation = (uint64_t)c->accumulation;
}

static enum tuning_choice moments_of(int optimizer) {
    switch (optimizer) {
    case OPTIMIZER_AUTO: return TUNING_AUTO;
    case OPTIMIZER_ADAMW_8BIT:
    case OPTIMIZER_8BIT:
    case OPTIMIZER_BNB_8BIT: return TUNING_ON;
    default: return TUNING_OFF;
    }
}

static void take_schedule(const struct tune_command *c, struct tuning_options *o) {
    o->epochs = c->epochs;
    o->max_steps = (uint64_t)c->max_steps;
    o->schedule = (enum schedule_kind)c->schedule;
    o->rate = c->rate;
    o->least_rate = c->least_rate;
    o->warmup = c->warmup;
    o->warmup_steps = (uint64_t)c->warmup_steps;
    o->optimizer.beta1 = (float)c->beta1;
    o->optimizer.beta2 = (float)c->beta2;
    o->optimizer.epsilon = (float)c->epsilon;
    o->optimizer.weight_decay = (float)c->weight_decay;
    o->optimizer.max_norm = (float)c->max_norm;
    o->checkpointing = (enum tuning_choice)c->checkpointing;
    o->moments_8bit = moments_of(c->optimizer);
    o->evaluate_every = (uint64_t)c->evaluate_every;
    o->save_every = (uint64_t)c->save_every;
    o->patience = (uint64_t)c->patience;
    o->keep = (size_t)c->keep;
    o->seed = (uint64_t)c->seed;
    o->n_threads = (unsigned)c->n_threads;
    o->max_bytes = c->memory;
    o->zero_stage = c->zero == 0 ? ZERO_AUTO : c->zero - 1;
    o->narrow_gradients = c->wire == WIRE_BF16;
}

hearth_status tune_command_take(const struct tune_command *c, struct tuning_options *out,
                                hearth_error *err) {
    *out = tuning_defaults();
    RETURN_IF_ERROR(take_data(c, &out->dataset, err));
    take_training(c, out);
    take_schedule(c, out);
    out->data = c->data.items;
    out->n_data = c->data.count;
    out->eval_data = c->eval_data.items;
    out->n_eval_data = c->eval_data.count;
    return HEARTH_OK;
}
