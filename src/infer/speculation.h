/* speculation.h - how far to draft, so that answers come sooner and stay what they are.
 *
 * Decoding reads all weights for one token; checking k drafted tokens reads them once for
 * k + 1 (Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318). Those papers
 * accept a drafted token x with probability min(1, p(x) / q(x)) and otherwise draw from
 * the rest of the distribution. Here the token is drawn from the model's own row of
 * logits as if nothing had been drafted, with the random number of its position
 * (sampler.h, invariant 1), and the draft is accepted as far as it says the same. For a
 * draft without randomness - prompt lookup, the likeliest token of a draft model - that
 * accepts with probability p(x), exactly as the papers' rule does where q is a point mass,
 * and it gives more: the tokens are the very ones of plain decoding with the same seed,
 * under every penalty, truncation and constraint a sampler knows. (Drafts that are
 * themselves drawn at random would be accepted more often at high temperatures.)
 *
 * A draft of k tokens, each accepted with chance p if those before it were, gives
 * (1 - p^(k+1)) / (1 - p) tokens for the time of a pass of k + 1 rows and of drafting; k is
 * what gives most tokens a second, 0 where that is plain decoding. p is counted for each
 * confidence of the drafter, times are measured as they come. Timing decides how much is
 * drafted and never which tokens come out.
 *
 * Use: speculation_set when the timeline changes, then for each token of the answer
 * speculation_push, and where it is not ahead of the session already, speculation_propose,
 * a pass over token and draft, and speculation_measure. */
#ifndef HEARTH_INFER_SPECULATION_H
#define HEARTH_INFER_SPECULATION_H

#include "infer/drafter.h"
#include "infer/pass_times.h"

enum { SPECULATION_MAX_DRAFT = 15 }; /* customary: with its token it fills a tile of 16 rows */

struct speculation;

struct speculation_options {
    uint32_t max_draft;       /* tokens of a draft, at most; up to DRAFT_MAX */
    uint32_t min_draft;       /* so many are drafted even where that does not seem to pay */
    struct pass_times *times; /* borrowed, where several measure the same passes; NULL: its own */
};

/* Takes the drafter, also on failure. Timelines are of up to `capacity` tokens. */
hearth_status speculation_open(struct speculation **out, struct drafter *drafter,
                               const struct speculation_options *options, uint32_t capacity,
                               hearth_error *err);
void speculation_close(struct speculation *speculation); /* NULL is fine */

/* The timeline is tokens [n]. */
void speculation_set(struct speculation *speculation, const int32_t *tokens, uint32_t n);
/* One more token of the timeline. */
void speculation_push(struct speculation *speculation, int32_t token);
/* What may follow the timeline, at most `most` tokens; valid until the next call. */
hearth_status speculation_propose(struct speculation *speculation, uint32_t most,
                                  const struct draft **draft, hearth_error *err);
/* The same for a pass that computes other rows, too: of `rows` with the last token's, and for
 * which n_answers wait. */
hearth_status speculation_propose_beside(struct speculation *speculation, uint32_t rows,
                                         uint32_t n_answers, uint32_t most,
                                         const struct draft **draft, hearth_error *err);
/* A pass of `rows` rows took so long. */
void speculation_measure(struct speculation *speculation, uint32_t rows, double seconds);

#endif
