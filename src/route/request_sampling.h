/* request_sampling.h - the sampling settings of a request, by the names that llama.cpp's server
 * gives them. */
#ifndef HEARTH_ROUTE_REQUEST_SAMPLING_H
#define HEARTH_ROUTE_REQUEST_SAMPLING_H

#include "chat/request.h"
#include "infer/sampler.h"
#include "infer/sampling_defaults.h"
#include "token/tokenizer.h"

struct request_sampling {
    struct sampler_params params; /* points into the two below; ranges are checked by whoever opens
                                     a sampler with them */
    struct sampler_bias *biases;
    struct sampler_breakers breakers;
};

/* `defaults`: the model's. HEARTH_ERROR_ARGUMENT names the setting that is not possible. Released
 * in every case. */
hearth_status request_sampling_init(struct request_sampling *sampling,
                                    const struct request *request,
                                    const struct sampler_params *defaults,
                                    const struct tokenizer *tokenizer, hearth_error *err);
void request_sampling_release(struct request_sampling *sampling); /* a zeroed one is fine */

/* The parameters of a choice, numbered from 0: its number is added to a seed that was given. */
struct sampler_params request_sampling_of_choice(const struct request_sampling *sampling,
                                                 uint32_t choice);

#endif
