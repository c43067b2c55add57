/* example_list.h - how a list of sequences grows; for the file that fills it. */
#ifndef HEARTH_TRAIN_EXAMPLE_LIST_H
#define HEARTH_TRAIN_EXAMPLE_LIST_H

#include "train/example.h"

/* The tokens from `from` on, which were just appended, are trained or not. */
hearth_status example_list_mark(struct example_list *list, size_t from, bool trained,
                                hearth_error *err);
/* A sequence of tokens that are in the list. */
hearth_status example_list_push(struct example_list *list, size_t first, uint32_t n_tokens,
                                enum example_kind kind, hearth_error *err);

#endif
