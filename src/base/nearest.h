/* nearest.h - the known name that a mistyped one probably meant.
 *
 * Distance: insertions, deletions, replacements and swaps of neighbours (optimal
 * string alignment; Damerau 1964), letter case ignored. A name is near when that is
 * at most a third of the longer length, and at least 1. */
#ifndef HEARTH_BASE_NEAREST_H
#define HEARTH_BASE_NEAREST_H

#include <stddef.h>

enum { NEAREST_MAX_BYTES = 64 }; /* longer names are near nothing */

/* Bytes to change to turn a into b; NEAREST_MAX_BYTES + 1 when either is too long. */
size_t nearest_distance(const char *a, const char *b);
/* The nearest of names [count], the first of equals; NULL when none is near. Entries
 * may be NULL. */
const char *nearest_name(const char *given, const char *const *names, size_t count);

#endif
