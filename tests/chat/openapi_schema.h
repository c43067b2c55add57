/* openapi_schema.h - JSON values against the schemas of an OpenAPI 3.1 description in YAML.
 *
 * The keywords that response schemas have are checked; a keyword that is neither checked nor known
 * to say nothing about values is a failure, so that nothing passes unchecked. */
#ifndef HEARTH_TESTS_CHAT_OPENAPI_SCHEMA_H
#define HEARTH_TESTS_CHAT_OPENAPI_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct openapi;

/* NULL: the file is not there or no such description. */
struct openapi *openapi_open(const char *path);
void openapi_close(struct openapi *api);
/* Whether the value fits components/schemas/<name>; otherwise `reason` says where it does not. */
bool openapi_fits(struct openapi *api, const char *name, const json_t *value, char *reason,
                  size_t reason_bytes);

/* The fields that values of components/schemas/<name> may have, down to so many levels, each once:
 * "messages", "messages[].role". */
typedef void (*openapi_field_visit)(void *context, const char *path);
void openapi_each_field(struct openapi *api, const char *name, unsigned depth,
                        openapi_field_visit visit, void *context);

#endif
