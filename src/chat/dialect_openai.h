/* dialect_openai.h - what OpenAI's endpoints share. Functions named put are false when there is no
 * memory. */
#ifndef HEARTH_CHAT_DIALECT_OPENAI_H
#define HEARTH_CHAT_DIALECT_OPENAI_H

#include "chat/dialect_table.h"

/* The error that OpenAI and llama.cpp's server write. */
json_t *openai_problem(const struct dialect_problem *problem);
bool openai_put_failure(struct answer_writer *writer, struct buf *out);

/* {"id", "object", "created", "model", "system_fingerprint", "choices"}; takes the choices. */
json_t *openai_object(const struct answer_writer *writer, const char *kind, json_t *choices);
/* The whole body, with usage and timings; takes the choices, of which one per choice is there
 * unless there was no memory. */
bool openai_put_body(const struct answer_writer *writer, const char *kind, json_t *choices,
                     struct buf *out);
/* One chunk with one choice, which is taken. */
bool openai_put_chunk(const struct answer_writer *writer, const char *kind, json_t *choice,
                      struct buf *out);
/* The numbers of tokens when they were asked for, and [DONE]. */
bool openai_put_end(const struct answer_writer *writer, const char *kind, struct buf *out);

#endif
