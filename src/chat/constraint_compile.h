/* constraint_compile.h - the forms a constraint can be written in, each made a finished grammar.
 *
 * All return HEARTH_ERROR_ARGUMENT for what is malformed (with the place), _UNSUPPORTED for what
 * cannot be held to exactly (named), _LIMIT for what is too large, _NO_MEMORY. The grammar is
 * empty before; it is the caller's to release, also after a failure. */
#ifndef HEARTH_CHAT_CONSTRAINT_COMPILE_H
#define HEARTH_CHAT_CONSTRAINT_COMPILE_H

#include <jansson.h>

#include "chat/constraint_grammar.h"

enum { CONSTRAINT_MAX_TEXT_BYTES = 1 << 20, CONSTRAINT_MAX_CHOICES = 1 << 14 };

/* The notation of llama.cpp (grammars/README.md there); the answer is the rule `root`. Rules that
 * the text uses and does not define are JSON by the schemas of these names, an object or NULL.
 * `lenient`: a schema that cannot be held to is left at the type it asks for, or at any JSON. */
hearth_status constraint_compile_gbnf(struct grammar *g, const char *text, const json_t *schemas,
                                      bool lenient, hearth_error *err);
/* Matches the whole answer; see constraint_regex.h. */
hearth_status constraint_compile_regex(struct grammar *g, const char *text, hearth_error *err);
/* JSON Schema; see constraint_schema.h. Errors name keyword and place. */
hearth_status constraint_compile_schema(struct grammar *g, const json_t *schema, hearth_error *err);
/* The same as a rule of a grammar that is being written. */
hearth_status constraint_write_schema(struct grammar *g, const json_t *schema, uint32_t *rule,
                                      hearth_error *err);
/* Any JSON object. */
hearth_status constraint_compile_json(struct grammar *g, hearth_error *err);
/* An array of texts, none of them empty. */
hearth_status constraint_compile_choice(struct grammar *g, const json_t *choices,
                                        hearth_error *err);

#endif
