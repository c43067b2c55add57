/* template.h - chat templates: the Jinja language as Hugging Face models use it.
 *
 * A model carries a Jinja template that turns a list of messages into the prompt it
 * was trained on. A template is compiled once (`chat_template_open`), is immutable from
 * then on and may be rendered by many threads at the same time.
 *
 * The language is that of Jinja 3.1 in the setting of transformers'
 * `apply_chat_template`: trim_blocks and lstrip_blocks, no automatic escaping, loop
 * controls, `{% generation %}` blocks rendered as their content, `raise_exception`,
 * `strftime_now`, and a `tojson` that writes plain JSON. Values behave as in Python:
 * `{{ true }}` is True, strings are counted in code points, integers are exact (64 bits;
 * overflow is an error). Wider than the original: list.append and its relatives, which
 * the original's sandbox refuses but some published templates call, and `from_json`.
 * Refused: include, import, extends, autoescape, `random`, `urlize`.
 *
 * A template is untrusted. It can reach nothing but the context, and time, memory,
 * output and nesting are bounded by struct template_limits. */
#ifndef HEARTH_CHAT_TEMPLATE_H
#define HEARTH_CHAT_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/status.h"

struct chat_template;

struct template_limits {
    size_t max_output_bytes; /* result and texts being captured, together */
    uint64_t max_steps;      /* evaluated expressions, loop rounds, compared elements */
    size_t max_memory_bytes; /* values made while rendering */
    unsigned max_depth;      /* macro calls, recursive loops and nested data; at most 400 */
};

enum { TEMPLATE_SOURCE_MAX_BYTES = 4 << 20, TEMPLATE_NESTING_MAX = 200 };

extern const struct template_limits template_limits_default;

/* Compiles `source` (UTF-8, copied). An error names line and column. */
hearth_status chat_template_open(struct chat_template **t, const char *source, size_t n,
                                 hearth_error *err);
void chat_template_close(struct chat_template *t); /* NULL is fine */

/* Appends the rendered text to `out`; on failure nothing is appended. `context` is a JSON
 * object whose members are the template's variables. `now` is what strftime_now formats,
 * in UTC: add the zone's offset for local time. `limits` may be NULL for the defaults.
 *
 * HEARTH_ERROR_ARGUMENT: the template refused the conversation with raise_exception; the
 * message is the template's own. HEARTH_ERROR_FORMAT: the template did something
 * impossible (the message names the line). HEARTH_ERROR_LIMIT: the message names the
 * limit. */
hearth_status chat_template_render(const struct chat_template *t, const json_t *context, time_t now,
                                   const struct template_limits *limits, struct buf *out,
                                   hearth_error *err);

#endif
