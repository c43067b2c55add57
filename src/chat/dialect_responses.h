/* dialect_responses.h - what the two directions of OpenAI's responses share. */
#ifndef HEARTH_CHAT_DIALECT_RESPONSES_H
#define HEARTH_CHAT_DIALECT_RESPONSES_H

#include "chat/dialect_openai.h"

extern const struct answer_ops responses_answer;

/* input: a text, or items that become messages: what an assistant thought, said and called in a
 * row is one message. */
void read_response_input(struct fields *body, struct request *request);

#endif
