/* dialect_anthropic.h - what the two directions of Anthropic's interface share. */
#ifndef HEARTH_CHAT_DIALECT_ANTHROPIC_H
#define HEARTH_CHAT_DIALECT_ANTHROPIC_H

#include "chat/dialect_table.h"

extern const struct answer_ops anthropic_answer, anthropic_count_answer;

json_t *anthropic_problem(const struct dialect_problem *problem);

#endif
