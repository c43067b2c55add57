/* tuning_memory.h - what a run needs, and what is changed until it fits. */
#ifndef HEARTH_TRAIN_TUNING_MEMORY_H
#define HEARTH_TRAIN_TUNING_MEMORY_H

#include "train/tuning.h"

/* What of a graph's memory other ranks keep instead of this one, at plan->zero_stage. */
struct graph_sharing tuning_sharing(const struct tuning_options *options,
                                    const struct tuning_plan *plan);

/* Decides plan->zero_stage, ->checkpointing, ->moments_8bit and, if need be, smaller batches,
 * which more of them make up for; fills ->graph_bytes, ->optimizer_bytes (about) and ->note.
 * Reads ->available_bytes, ->batch_rows, ->accumulation, ->sequence_length.
 * HEARTH_ERROR_NO_MEMORY says what would help. */
hearth_status tuning_fit_memory(const struct tuning_options *options, const struct model *model,
                                struct tuning_plan *plan, hearth_error *err);

#endif
