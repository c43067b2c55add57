/* constraint_uri.h - references resolved against a base (RFC 3986, section 5.2). */
#ifndef HEARTH_CHAT_CONSTRAINT_URI_H
#define HEARTH_CHAT_CONSTRAINT_URI_H

#include <stdbool.h>
#include <stddef.h>

enum { URI_MAX_BYTES = 1024 };

/* `reference` without its fragment, against `base`; false: longer than URI_MAX_BYTES - 1. */
bool uri_resolve(char out[URI_MAX_BYTES], const char *base, const char *reference);
/* Undoes %XX into `out` (as large as `text` with its NUL). */
void uri_unescape(char *out, const char *text);

#endif
