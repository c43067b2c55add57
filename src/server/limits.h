/* limits.h - how much each key may ask: requests and tokens a minute, and requests at a time.
 *
 * A minute's allowance refills evenly (token bucket), so that a client that was refused knows when
 * to come again. Tokens are known only afterwards: a key that has used more than it had is refused
 * until that is made up for. Any thread. */
#ifndef HEARTH_SERVER_LIMITS_H
#define HEARTH_SERVER_LIMITS_H

#include "server/http_auth.h"

struct limits;

enum { LIMITS_MOST_KEYS = 65536 };

hearth_status limits_open(struct limits **out, hearth_error *err);
void limits_close(struct limits *limits); /* NULL is fine */

/* Whether the key may ask once more, at `now_ns` of the monotonic clock; if so it is counted as
 * running until limits_end. Otherwise `*retry_s`: when to try again, and what is exhausted. */
bool limits_begin(struct limits *limits, const struct key_identity *key, uint64_t now_ns,
                  unsigned *retry_s, const char **exhausted);
void limits_end(struct limits *limits, const struct key_identity *key);
void limits_count_tokens(struct limits *limits, const struct key_identity *key, uint64_t n,
                         uint64_t now_ns);

#endif
