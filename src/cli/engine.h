/* engine.h - what every command that computes needs: a model by name, its tokenizer,
 * its adapters and a context, opened from the same options everywhere. */
#ifndef HEARTH_CLI_ENGINE_H
#define HEARTH_CLI_ENGINE_H

#include "cli/options.h"
#include "infer/context.h"
#include "token/tokenizer.h"

struct engine_settings {
    const char *model; /* name, file or folder; borrowed */
    int64_t n_ctx, n_threads, max_batch;
    int k_type, v_type, activations, numa; /* choices */
    struct option_list adapters;           /* FILE[:SCALE] */
    bool lock, copy;                       /* keep the weights in RAM, or in memory of their own */
};

enum { ENGINE_SPECS = 12 };

/* Fills the first entries of a command's option table; returns how many. */
size_t engine_specs(struct engine_settings *settings, struct option_spec specs[ENGINE_SPECS]);

struct engine {
    struct model model;
    struct tokenizer *tokenizer; /* NULL: the file carries none */
    struct context *context;
    struct topology_nodes nodes; /* that the weights and threads are spread over, if more than 1 */
    struct adapter adapters[ADAPTER_SET_MAX];
    struct adapter_set adapter_set;
};

/* The model only: metadata, tensors, tokenizer. */
hearth_status engine_open_model(struct engine *engine, const struct engine_settings *settings,
                                hearth_error *err);
/* Only the tokenizer, which must be there: of a file of any family, or of none. */
hearth_status engine_open_vocabulary(struct engine *engine, const struct engine_settings *settings,
                                     hearth_error *err);
/* Then the context and the adapters; engine_close ends it in every case. */
hearth_status engine_open_context(struct engine *engine, const struct engine_settings *settings,
                                  struct context_options options, hearth_error *err);
/* Model and context. `base` gives what the settings leave open (sequences, cache types
 * when the command wants others than F16). */
hearth_status engine_open(struct engine *engine, const struct engine_settings *settings,
                          struct context_options base, hearth_error *err);
void engine_close(struct engine *engine);
/* HEARTH_OK, or an error that says what a file without a vocabulary cannot do. */
hearth_status engine_need_tokenizer(const struct engine *engine, hearth_error *err);

#endif
