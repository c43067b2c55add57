/* sampling.h - the sampling options of the command line and of /set in a chat. */
#ifndef HEARTH_CLI_SAMPLING_H
#define HEARTH_CLI_SAMPLING_H

#include <jansson.h>

#include "cli/options.h"

struct sampling_settings {
    double temperature, top_p, min_p, typical_p, top_n_sigma, xtc_probability, xtc_threshold;
    double dry_multiplier, dry_base, repeat_penalty, presence_penalty, frequency_penalty;
    double mirostat_tau, mirostat_eta;
    int64_t top_k, repeat_last_n, dry_allowed_length, dry_penalty_last_n, mirostat, seed;
    bool seed_given, temperature_given, top_k_given, top_p_given, min_p_given, repeat_penalty_given;
    struct option_list logit_bias, dry_breakers; /* "ID=BIAS"; texts */
};

enum { SAMPLING_SPECS = 23 };

/* Puts the defaults into `settings` and fills the option entries; returns how many. */
size_t sampling_specs(struct sampling_settings *settings, struct option_spec specs[SAMPLING_SPECS]);

/* What the model recommends, an object by the names of requests, takes the place of defaults, not
 * of options that were given. NULL: nothing. */
void sampling_take_model(struct sampling_settings *settings, const json_t *recommended);
/* HEARTH_ERROR_ARGUMENT names what is out of its range. */
hearth_status sampling_check(const struct sampling_settings *settings, hearth_error *err);
/* As struct request has them; `*out` is given. */
hearth_status sampling_request(const struct sampling_settings *settings, json_t **out,
                               hearth_error *err);

#endif
