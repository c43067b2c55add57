/* request_sampling.h - the sampling settings of a request, by the names that llama.cpp's server
 * gives them, as a sampler. */
#ifndef HEARTH_ROUTE_REQUEST_SAMPLING_H
#define HEARTH_ROUTE_REQUEST_SAMPLING_H

#include "chat/request.h"
#include "infer/sampler.h"
#include "token/tokenizer.h"

/* `defaults` and `n_vocab`: the model's. Choices of one request differ by their number, from 0,
 * which is added to a seed that was given. HEARTH_ERROR_ARGUMENT names the setting that is not
 * possible. */
hearth_status request_sampling_open(struct sampler **out, const struct request *request,
                                    const struct sampler_params *defaults,
                                    const struct tokenizer *tokenizer, size_t n_vocab,
                                    uint32_t choice, hearth_error *err);

#endif
