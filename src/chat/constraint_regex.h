/* constraint_regex.h - the regular part of ECMA-262's regular expressions (with the flag u), which
 * is also what JSON Schema's `pattern` means.
 *
 * Look-around, back references, word boundaries, flags and properties other than general
 * categories are refused by name. Laziness changes which match is found, not whether one is, so
 * lazy quantifiers are the same as greedy ones. */
#ifndef HEARTH_CHAT_CONSTRAINT_REGEX_H
#define HEARTH_CHAT_CONSTRAINT_REGEX_H

#include "chat/constraint_expression.h"

enum { REGEX_MAX_BYTES = 1 << 16 };

/* The tree, in `arena`. Errors name the place in the expression. */
hearth_status regex_parse(struct expression **out, struct arena *arena, const char *text, size_t n,
                          hearth_error *err);
/* The characters of a general category ("Lu", "L", "Letter", "Uppercase_Letter"); false: there
 * is none of this name. */
bool regex_category(struct arena *arena, struct character_set *set, const char *name, size_t n);

#endif
