/* dialect_table.h - what an endpoint's file contributes: one row of the table in dialect.c. */
#ifndef HEARTH_CHAT_DIALECT_TABLE_H
#define HEARTH_CHAT_DIALECT_TABLE_H

#include "chat/answer_parts.h"
#include "chat/dialect_fields.h"

struct endpoint_ops {
    /* Fills the request from the fields of the body; problems are noted there. */
    void (*parse)(struct fields *body, struct request *request);
    /* The body of an error; NULL: no memory. */
    json_t *(*problem)(const struct dialect_problem *problem);
    const struct answer_ops *answer;
};

extern const struct endpoint_ops openai_chat_endpoint, openai_completions_endpoint,
    openai_embeddings_endpoint, openai_responses_endpoint, anthropic_messages_endpoint,
    anthropic_count_endpoint, ollama_chat_endpoint, ollama_generate_endpoint, ollama_embed_endpoint,
    infill_endpoint, rerank_endpoint;

const struct endpoint_ops *endpoint_ops_of(enum endpoint endpoint);

#endif
