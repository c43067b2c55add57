/* sampling_defaults.h - what sampling starts from: what a model's file recommends, and which
 * tokens end a repetition. */
#ifndef HEARTH_INFER_SAMPLING_DEFAULTS_H
#define HEARTH_INFER_SAMPLING_DEFAULTS_H

#include "format/metadata.h"
#include "infer/sampler.h"
#include "token/tokenizer.h"

/* The defaults, with what the file recommends (general.sampling.*) where that makes sense. */
struct sampler_params sampler_params_of_model(const struct metadata *metadata);

/* Every token whose text holds one of the texts ends a repetition, for DRY. */
struct sampler_breakers {
    struct sampler_breaker *items;
    int32_t *ids; /* storage of the items */
    size_t count;
};

/* Without texts: the usual ones (line break, colon, quote, asterisk). Closed in every case. */
hearth_status sampler_breakers_open(struct sampler_breakers *out, const char *const *texts,
                                    size_t n_texts, const struct tokenizer *tokenizer,
                                    hearth_error *err);
void sampler_breakers_close(struct sampler_breakers *breakers); /* a zeroed one is fine */

#endif
