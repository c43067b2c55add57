/* dialect_ollama.h - what the two directions of Ollama's interface share. */
#ifndef HEARTH_CHAT_DIALECT_OLLAMA_H
#define HEARTH_CHAT_DIALECT_OLLAMA_H

#include "chat/dialect_table.h"

extern const struct answer_ops ollama_chat_answer, ollama_generate_answer, ollama_embed_answer;

json_t *ollama_problem(const struct dialect_problem *problem);

#endif
