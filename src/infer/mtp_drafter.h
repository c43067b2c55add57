/* mtp_drafter.h - drafts by a model's own heads for further tokens (multi-token prediction,
 * arXiv 2412.19437, section 2.2).
 *
 * The head sees what the model sees and goes on from there by itself, one token after the
 * other, each at the cost of one layer and the output matrix. It keeps no timeline of its
 * own: what it needs lies in the cache of the sequence it drafts for. */
#ifndef HEARTH_INFER_MTP_DRAFTER_H
#define HEARTH_INFER_MTP_DRAFTER_H

#include "infer/context.h"
#include "infer/drafter.h"

/* Drafts for a sequence of a context that was opened with `next`; borrows the context. Ends a
 * draft before a token that has less than `min_probability`. */
hearth_status mtp_drafter_open(struct drafter **drafter, struct context *context, uint32_t sequence,
                               float min_probability, hearth_error *err);

#endif
