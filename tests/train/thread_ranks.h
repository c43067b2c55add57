/* thread_ranks.h - several ranks as threads of one process, for tests. */
#ifndef HEARTH_TESTS_THREAD_RANKS_H
#define HEARTH_TESTS_THREAD_RANKS_H

#include <stdbool.h>

#include "train/ranks.h"

enum { MOST_RANKS = 4 };

/* What a rank does; `result` is its own. */
typedef void (*rank_function)(struct ranks *ranks, void *result);

/* `results`: [count] of `size` bytes. */
void run_ranks(int count, rank_function run, void *results, size_t size);

#endif
