/* model_options.h - the options of hearth serve about several models: which may answer, and how
 * many of them are in memory at a time. */
#ifndef HEARTH_CLI_MODEL_OPTIONS_H
#define HEARTH_CLI_MODEL_OPTIONS_H

#include "cli/options.h"
#include "route/local_backend.h"

enum { MODEL_SPECS = 6 };

struct model_options {
    uint64_t max_bytes;
    int64_t max_models;
    const char *keep_alive, *max_wait;
    bool only_named;
};

/* Fills `specs` [MODEL_SPECS]; returns how many. */
size_t model_specs(struct model_options *options, struct option_spec *specs);
/* Sets what they say, and which models the arguments name: without any, the one of --model, or
 * Ember. `arguments` is borrowed by the settings. */
hearth_status model_options_apply(const struct model_options *options,
                                  const struct option_arguments *arguments,
                                  struct local_backend_settings *settings, hearth_error *err);

#endif
