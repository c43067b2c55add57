/* split.h - which problems are held out. */
#ifndef HEARTH_EMBER_SPLIT_H
#define HEARTH_EMBER_SPLIT_H

#include <stdbool.h>

#include "problem.h"

/* One problem in SPLIT_HELD_OUT_IN is never trained on: those whose canonical form, hashed
 * with SHA-256 behind a fixed key, gives a multiple of it. The key is part of the data:
 * with another one, a model trained before would be tested on what it has seen. */
enum { SPLIT_HELD_OUT_IN = 10 };

bool split_is_held_out(const struct problem *p);

#endif
