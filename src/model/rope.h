/* rope.h - the angular frequencies of rotary positions, every scaling folded in. */
#ifndef HEARTH_MODEL_ROPE_H
#define HEARTH_MODEL_ROPE_H

#include "model/config.h"

/* Writes inverse_frequency[n_rot / 2] and the factor on cos and sin, so that the
 * angle of pair i at position p is p * inverse_frequency[i]. `factors`: per-pair
 * divisors [n_rot / 2] or NULL (Llama 3's rope_freqs, LongRoPE's short or long). */
void rope_frequencies(const struct rope_config *rope, const float *factors,
                      float *inverse_frequency, float *magnitude);

#endif
