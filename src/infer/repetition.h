/* repetition.h - what a sequence said already, and how that lowers the logits of
 * saying it again.
 *
 * `repetition` is the history of one sequence in a ring of fixed size. The penalties
 * work on a row of logits and a row of n_vocab zeroed counters, which they leave
 * zeroed. Logits of -inf stay -inf. */
#ifndef HEARTH_INFER_REPETITION_H
#define HEARTH_INFER_REPETITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "infer/sampler.h"

struct long_breaker {
    uint32_t n_tokens;
    int32_t tokens[SAMPLER_MAX_BREAKER_TOKENS];
};

struct repetition {
    int32_t *ring;       /* [capacity], capacity a power of two */
    size_t capacity;     /* 0 when no penalty is on */
    uint64_t n_accepted; /* ever */
    size_t window;       /* tokens the three penalties look at */
    size_t dry_window;   /* tokens DRY looks at; 0 = off */
    float repeat, presence, frequency;
    float dry_multiplier, dry_base;
    size_t dry_allowed_length;
    uint64_t *single_breakers; /* [n_vocab] bits; NULL without breakers */
    struct long_breaker *long_breakers;
    size_t n_long_breakers;
    size_t n_since_breaker; /* tokens after the last complete breaker */
};

hearth_status repetition_init(struct repetition *r, const struct sampler_params *params,
                              size_t n_vocab, hearth_error *err);
void repetition_release(struct repetition *r);
void repetition_accept(struct repetition *r, int32_t token);
void repetition_reset(struct repetition *r);

/* Repeat, presence and frequency penalties. */
void repetition_penalise(const struct repetition *r, float *logits, int32_t *counts);
/* DRY: a token that would continue a repetition of n >= allowed_length tokens loses
 * multiplier · base^(n - allowed_length). matches [SAMPLER_MAX_HISTORY] is scratch. */
void repetition_penalise_dry(const struct repetition *r, float *logits, int32_t *counts,
                             int32_t *matches);

#endif
