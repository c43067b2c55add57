/* regex.h - the regular expressions of tokenizers, through PCRE2 with its JIT.
 *
 * Patterns are written for Oniguruma or Rust's regex; they are adapted so that \s is
 * Unicode White_Space, \w includes marks, $ and ^ match at lines, \uXXXX is a character. What PCRE2
 * would read differently without saying so (class intersection) is refused. */
#ifndef HEARTH_TOKEN_REGEX_H
#define HEARTH_TOKEN_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct regex;
struct regex_scratch; /* match memory; one per thread at a time */

enum { REGEX_MAX_PATTERN_BYTES = 1 << 16 };

hearth_status regex_open(struct regex **regex, const char *pattern, size_t n, hearth_error *err);
void regex_close(struct regex *regex);

hearth_status regex_scratch_open(struct regex_scratch **scratch, hearth_error *err);
void regex_scratch_close(struct regex_scratch *scratch);

enum regex_result { REGEX_NO_MATCH, REGEX_MATCH, REGEX_GAVE_UP };

/* The leftmost match in subject[0 .. n) that begins at `from` or later. The subject
 * must be UTF-8. Gives up after a fixed amount of backtracking. */
enum regex_result regex_find(const struct regex *regex, struct regex_scratch *scratch,
                             const char *subject, size_t n, size_t from, size_t *begin,
                             size_t *end);

#endif
