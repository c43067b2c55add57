/* candidates.h - the tokens still in the running, and the filters that thin them out.
 *
 * Invariants: (1) 1 <= size <= capacity after a gather that found something, and no
 * filter empties the set; (2) when `sorted`, data is in rank order: logit descending,
 * then id ascending; (3) every logit is finite. No filter sorts more than it keeps:
 * order comes from heaps, so a filter costs O(n + kept · log n).
 *
 * `p` parameters are probabilities over the current set, which each filter
 * renormalises. `min_keep` 0 and 1 mean the same. */
#ifndef HEARTH_INFER_CANDIDATES_H
#define HEARTH_INFER_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct candidate {
    int32_t id;
    float logit;
    float weight; /* exp(logit - largest logit), as of the last candidates_weigh */
    float key;    /* scratch of the filter at work */
};

struct candidates {
    struct candidate *data; /* borrowed, room for n_vocab */
    size_t size;
    bool sorted;
};

/* Takes the `k` best finite logits of `logits` [n]; k >= n takes all, unsorted. */
void candidates_gather(struct candidates *c, const float *logits, size_t n, size_t k);
void candidates_keep_best(struct candidates *c, size_t k); /* and sorts them */
/* Fills the weights and returns their sum. */
double candidates_weigh(struct candidates *c);
/* The largest by rank. */
const struct candidate *candidates_best(const struct candidates *c);
/* The candidate on which `u` in [0, 1) falls along the cumulated weights. */
const struct candidate *candidates_draw(const struct candidates *c, double total, double u);

void filter_top_n_sigma(struct candidates *c, float n);
void filter_typical(struct candidates *c, float p, size_t min_keep);
void filter_top_p(struct candidates *c, float p, size_t min_keep);
void filter_min_p(struct candidates *c, float p, size_t min_keep);
/* Removes every token of probability >= threshold except the least of them. */
void filter_xtc(struct candidates *c, float threshold, size_t min_keep);
/* Keeps tokens whose surprise -log2(p) is at most `mu` bits, at least one. */
void filter_mirostat(struct candidates *c, float mu);
void filter_temperature(struct candidates *c, float temperature);

#endif
