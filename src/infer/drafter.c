#include "infer/drafter.h"

#include <math.h>

uint32_t draft_most(const uint32_t worth[DRAFT_CONFIDENCES]) {
    uint32_t most = 0;
    for (int i = 0; i < DRAFT_CONFIDENCES; i++)
        if (worth[i] > most) most = worth[i];
    return most;
}

void draft_chances(struct drafter *drafter) {
    for (int i = 0; i < DRAFT_CONFIDENCES; i++)
        drafter->chance[i] = ((float)i + 0.5f) / DRAFT_CONFIDENCES;
}

static uint32_t likeliest(const float *logits, uint32_t n, float *probability) {
    uint32_t best = 0;
    float total = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    for (uint32_t i = 0; i < n; i++)
        total += expf(logits[i] - logits[best]);
    *probability = 1 / total;
    return best;
}

bool draft_add(struct draft *draft, const float *logits, uint32_t n_logits, uint32_t n_vocab,
               float min_probability, const uint32_t worth[DRAFT_CONFIDENCES]) {
    float probability;
    uint32_t token = likeliest(logits, n_logits, &probability);
    if (!(probability >= min_probability) || token >= n_vocab) return false; /* or no number */
    if (draft->n == 0) draft->confidence = (uint32_t)(probability * (DRAFT_CONFIDENCES - 0.001f));
    if (draft->n == worth[draft->confidence]) return false;
    draft->tokens[draft->n++] = (int32_t)token;
    return draft->n < worth[draft->confidence];
}
