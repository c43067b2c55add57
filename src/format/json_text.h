/* json_text.h - parsing JSON that came with a model, with messages that say where. */
#ifndef HEARTH_FORMAT_JSON_TEXT_H
#define HEARTH_FORMAT_JSON_TEXT_H

#include <jansson.h>

#include "base/status.h"

/* What jansson itself bounds: nesting to 2048, integers to 64 bits, UTF-8 only. */
enum json_strictness {
    JSON_TEXT_STRICT, /* a repeated key is an error */
    JSON_TEXT_PYTHON  /* as Python reads it: the last key counts, Infinity is a number */
};

/* `*out` is given (json_decref) and is an object. `what` begins the message:
 * "cannot read 'x'" -> "cannot read 'x': not JSON: ... at line 3, column 7".
 * With JSON_TEXT_PYTHON, Infinity becomes 1e308, in a copy of the text. */
hearth_status json_text_object(json_t **out, const char *data, size_t size,
                               enum json_strictness strictness, const char *what,
                               hearth_error *err);

#endif
