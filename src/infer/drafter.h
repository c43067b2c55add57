/* drafter.h - whoever guesses how a timeline goes on, before the model says it.
 *
 * A drafter only ever proposes; speculation.h decides how much of it is worth checking and the
 * session or the scheduler checks it, so a bad drafter costs time and never changes an answer. */
#ifndef HEARTH_INFER_DRAFTER_H
#define HEARTH_INFER_DRAFTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    DRAFT_CONFIDENCES = 8, /* how sure a drafter is: 0 the least */
    DRAFT_MAX = 63         /* tokens of a draft */
};

struct draft {
    int32_t tokens[DRAFT_MAX];
    uint32_t n;          /* 0: nothing to propose */
    uint32_t confidence; /* below DRAFT_CONFIDENCES; whatever is accepted is counted under it */
};

struct drafter {
    /* Guesses what follows tokens [n], n >= 1: at most worth[confidence] tokens, which may
     * be 0. Between calls the timeline only grows, but for what `cut` says. */
    hearth_status (*propose)(struct drafter *drafter, const int32_t *tokens, uint32_t n,
                             const uint32_t worth[DRAFT_CONFIDENCES], struct draft *draft,
                             hearth_error *err);
    /* Only tokens[0 .. n) of the timeline stay; the others are still readable. */
    void (*cut)(struct drafter *drafter, const int32_t *tokens, uint32_t n);
    void (*close)(struct drafter *drafter);
    float chance[DRAFT_CONFIDENCES]; /* of a token to be accepted, before it was ever tried */
};

/* ---- for drafters that have logits -------------------------------------------- */

uint32_t draft_most(const uint32_t worth[DRAFT_CONFIDENCES]);
/* A first token of probability p is accepted with chance p. */
void draft_chances(struct drafter *drafter);
/* Adds what logits [n_logits] find likeliest, if it is below n_vocab and not less likely than
 * min_probability; the first one's probability is the confidence. Whether to go on. */
bool draft_add(struct draft *draft, const float *logits, uint32_t n_logits, uint32_t n_vocab,
               float min_probability, const uint32_t worth[DRAFT_CONFIDENCES]);

#endif
