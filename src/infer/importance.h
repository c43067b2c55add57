/* importance.h - measures how strongly the input columns of a model's linear layers
 * are used: sums of squares over the tokens a context computes, for each expert apart.
 *
 * Sums are doubles in the order of the tokens; they do not depend on the number of
 * threads. One measurement at a time over a context, which must outlive it. */
#ifndef HEARTH_INFER_IMPORTANCE_H
#define HEARTH_INFER_IMPORTANCE_H

#include "infer/context.h"

struct importance;

/* Begins to watch the context; `output`: the output matrix too. */
hearth_status importance_open(struct importance **out, struct context *context, bool output,
                              hearth_error *err);
void importance_close(struct importance *importance); /* NULL is fine */
/* Writes what was summed (format/imatrix.h). */
hearth_status importance_write(const struct importance *importance, const char *path,
                               const char *dataset, uint32_t n_chunks, uint32_t chunk_size,
                               hearth_error *err);

#endif
