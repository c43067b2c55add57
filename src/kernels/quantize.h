/* quantize.h - writes quantised blocks: from floats to every type Hearth can make.
 *
 * Follows the definitions of the ggml block formats; the search for scales is
 * Hearth's own where the format leaves a choice. The legacy types (Q4_0 .. Q8_0)
 * and MXFP4 without importance give the same bits as the reference. */
#ifndef HEARTH_KERNELS_QUANTIZE_H
#define HEARTH_KERNELS_QUANTIZE_H

#include "base/status.h"
#include "kernels/elem.h"

bool quantize_supported(enum elem type);
/* True for types that must have importance to be of any use (IQ1, IQ2). */
bool quantize_needs_importance(enum elem type);

/* Writes n_rows rows of n_cols values (n_cols a multiple of the block) to `out`,
 * elem_row_bytes(type, n_cols) apart. `importance`: n_cols non-negative weights of
 * the squared error (mean square of the activation that meets the column), or
 * NULL. Rows are independent: callers may split them over threads. */
hearth_status quantize_rows(enum elem type, const float *x, void *out, size_t n_rows, size_t n_cols,
                            const float *importance, hearth_error *err);

#endif
