/* draft_model.h - drafts by another, smaller model of the same vocabulary.
 *
 * The draft is what that model finds likeliest, token after token, while it is sure
 * enough; how sure it was of the first token is the confidence. It follows the timeline
 * in a session of its own: accepted tokens are there already, refused ones are taken
 * back, and what is missing is computed before the next draft. */
#ifndef HEARTH_INFER_DRAFT_MODEL_H
#define HEARTH_INFER_DRAFT_MODEL_H

#include "infer/drafter.h"
#include "infer/session.h"
#include "token/tokenizer.h"

/* HEARTH_ERROR_UNSUPPORTED unless both write the same texts with the same ids. Sizes may
 * differ by up to 128 unused or padded ids, and so may the texts of the first five ids,
 * which are control tokens. */
hearth_status draft_model_check(const struct tokenizer *model, const struct tokenizer *draft,
                                hearth_error *err);

/* Drafts ids below `n_vocab` in `session`, which is borrowed; where its context opened with
 * n_draft, a recurrent model can take back as many tokens. Ends a draft before a token that
 * has less than `min_probability`. */
hearth_status draft_model_open(struct drafter **drafter, struct session *session, uint32_t n_vocab,
                               float min_probability, hearth_error *err);

#endif
