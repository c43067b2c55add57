/* dialect_script.h - requests, events and answers as JSON, so that tests of dialects are data.
 *
 * An event of a script is an object with one of the keys started, reasoning, text, call,
 * embedding, finished, done, failed; "choice" beside it. */
#ifndef HEARTH_TESTS_CHAT_DIALECT_SCRIPT_H
#define HEARTH_TESTS_CHAT_DIALECT_SCRIPT_H

#include "testdata.h"

#include "chat/dialect.h"

/* A file below tests/chat/. */
json_t *script_load(const char *name);
enum endpoint script_endpoint(const char *name); /* "openai_chat", … */
const char *script_endpoint_name(enum endpoint endpoint);
/* What differs from an empty request. */
json_t *script_request(const struct request *request);

/* Opens a writer with the id "1", the model "m" and the time 1752148800. */
struct answer_writer *script_writer(enum endpoint endpoint, const struct request *request);
hearth_status script_put(struct answer_writer *writer, const json_t *event, struct buf *out);
/* All of them; every one must be HEARTH_OK. */
void script_run(struct answer_writer *writer, const json_t *events, struct buf *out);
/* The data of a stream: [{…}, …, "[DONE]"]; the form is checked, and that the name of an event
 * is its type. */
json_t *script_stream(const char *text, bool lines);
/* Shows both unless they are equal. */
bool script_equal(const char *what, const json_t *found, const json_t *expected);

#endif
