/* random_model.h - the options that commands share which write models with random weights. */
#ifndef HEARTH_CLI_RANDOM_MODEL_H
#define HEARTH_CLI_RANDOM_MODEL_H

#include "cli/options.h"

static inline struct option_spec random_model_output(const char **path) {
    return (struct option_spec){.name = "output",
                                .letter = 'o',
                                .argument = "FILE",
                                .help = "the GGUF file to write",
                                .type = OPTION_STRING,
                                .string = path};
}

static inline struct option_spec random_model_seed(int64_t *seed) {
    return (struct option_spec){.name = "seed",
                                .argument = "N",
                                .help = "the same seed makes the same file (default: 1)",
                                .type = OPTION_INT,
                                .most = 9e15,
                                .integer = seed};
}

#endif
