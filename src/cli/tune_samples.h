/* tune_samples.h - what a model answers before and after tuning: a few prompts that were held
 * out, answered greedily by the model as it was and as it is, the way the data answers.
 *
 * Samples are JSON, [{"prompt", "data", "before", "after"}]; "data" is the answer that the data
 * set has. */
#ifndef HEARTH_CLI_TUNE_SAMPLES_H
#define HEARTH_CLI_TUNE_SAMPLES_H

#include <jansson.h>
#include <stdio.h>

#include "chat/template.h"
#include "token/tokenizer.h"
#include "train/tuned.h"
#include "train/tuning.h"

enum { TUNE_SAMPLE_TOKENS = 80, TUNE_SAMPLES_MAX = 100 };

struct tune_sampling {
    const struct tuning *tuning; /* whose records are asked; everything is borrowed */
    const struct model *before;  /* NULL: only the tuned one is asked */
    const struct tuned *after;
    const struct tokenizer *tokenizer;
    const struct chat_template *template; /* of conversations; NULL: the fallback of example.h */
    unsigned n_samples, n_threads;
    bool (*stop)(void *context); /* true: HEARTH_ERROR_CANCELLED */
    void *context;
};

/* Whether the data answers without the thoughts that the model's template would begin with: then
 * what was learned shows only where the model is asked not to think (enable_thinking false). */
bool tune_samples_think_not(const struct tuning *tuning);

/* `*samples` is given (json_decref). */
hearth_status tune_samples_make(const struct tune_sampling *sampling, json_t **samples,
                                hearth_error *err);
void tune_samples_print(const json_t *samples, FILE *stream);

#endif
