/* json_depth.h - how deeply a JSON text nests, before a parser goes there. */
#ifndef HEARTH_SERVER_JSON_DEPTH_H
#define HEARTH_SERVER_JSON_DEPTH_H

#include <stdbool.h>
#include <stddef.h>

/* Whether arrays and objects nest at most `most` deep. The text need not be valid: whatever is
 * well formed is judged rightly, and the parser refuses the rest. */
bool json_depth_within(const char *text, size_t n, unsigned most);

#endif
