/* ngram_drafter.h - drafts out of the timeline itself: what followed the last time its
 * last tokens occurred (prompt lookup: Saxena 2023; LLMA: Yang et al., arXiv 2304.04487).
 *
 * Pays where an answer repeats its prompt or itself: edits, summaries, quotations, code.
 *
 * Of the places where the last NGRAM_MOST tokens occurred the one with the longest common
 * past is taken, among equals the latest; where they never occurred, the last three, two,
 * one are looked for. The length of the common past is the confidence. Every length has a
 * hash table of the latest place and a chain to earlier ones, so a token costs O(1), and
 * forgetting the newest tokens undoes what they entered. */
#ifndef HEARTH_INFER_NGRAM_DRAFTER_H
#define HEARTH_INFER_NGRAM_DRAFTER_H

#include "infer/drafter.h"

enum { NGRAM_MOST = 4 };

/* For timelines of up to `capacity` tokens. Give it to drafter->close in the end. */
hearth_status ngram_drafter_open(struct drafter **drafter, uint32_t capacity, hearth_error *err);

#endif
