/* http_target.h - the target of a request line: its path, decoded. */
#ifndef HEARTH_SERVER_HTTP_TARGET_H
#define HEARTH_SERVER_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_MAX_PATH_BYTES = 4096 };

/* Decodes the path of "/path?query" (RFC 3986, section 2.1) into `out`, which is NUL-terminated.
 * False: it does not begin with '/', is too long, holds a broken escape, a NUL or a control
 * character, or a segment "." or "..", which no client sends that means well. */
bool http_target_path(const char *target, char *out, size_t out_size);

#endif
