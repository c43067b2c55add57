/* json_depth.h - how deeply a JSON text nests and how many values it has, before a parser goes
 * there: a value takes many times the memory of its text. */
#ifndef HEARTH_SERVER_JSON_DEPTH_H
#define HEARTH_SERVER_JSON_DEPTH_H

#include <stdbool.h>
#include <stddef.h>

/* Whether arrays and objects nest at most `most` deep, and there are at most `most_values` values.
 * The text need not be valid: whatever is well formed is judged rightly, and the parser refuses
 * the rest. */
bool json_depth_within(const char *text, size_t n, unsigned most, size_t most_values);

#endif
