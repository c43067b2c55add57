#include "chat/dialect.h"

#include <stdio.h>

#include "chat/dialect_parts.h"
#include "chat/dialect_table.h"

const struct endpoint_ops *endpoint_ops_of(enum endpoint endpoint) {
    static const struct endpoint_ops *const table[ENDPOINT_COUNT] = {
        [ENDPOINT_OPENAI_CHAT] = &openai_chat_endpoint,
        [ENDPOINT_OPENAI_COMPLETIONS] = &openai_completions_endpoint,
        [ENDPOINT_OPENAI_EMBEDDINGS] = &openai_embeddings_endpoint,
        [ENDPOINT_OPENAI_RESPONSES] = &openai_responses_endpoint,
        [ENDPOINT_ANTHROPIC_MESSAGES] = &anthropic_messages_endpoint,
        [ENDPOINT_ANTHROPIC_COUNT] = &anthropic_count_endpoint,
        [ENDPOINT_OLLAMA_CHAT] = &ollama_chat_endpoint,
        [ENDPOINT_OLLAMA_GENERATE] = &ollama_generate_endpoint,
        [ENDPOINT_OLLAMA_EMBED] = &ollama_embed_endpoint,
        [ENDPOINT_INFILL] = &infill_endpoint,
        [ENDPOINT_RERANK] = &rerank_endpoint,
    };
    return table[endpoint];
}

/* ---- requests ---- */

static bool is_too_deep(const json_t *value, unsigned left) {
    const json_t *element;
    const char *key;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value)) return false;
    if (left == 0) return true;
    json_array_foreach(value, i, element) {
        if (is_too_deep(element, left - 1)) return true;
    }
    json_object_foreach((json_t *)value, key, element) {
        if (is_too_deep(element, left - 1)) return true;
    }
    return false;
}

bool dialect_parse(enum endpoint endpoint, const json_t *body, struct request *request,
                   struct dialect_problem *problem) {
    static const struct place root = {0};
    struct fields fields;
    *problem = (struct dialect_problem){0};
    if (!json_is_object(body))
        return problem_at(problem, NULL, 400, "the body must be a JSON object, not %s",
                          json_type_words(body));
    if (is_too_deep(body, BODY_MAX_DEPTH))
        return problem_at(problem, NULL, 400, "the body is nested deeper than %d levels",
                          BODY_MAX_DEPTH);
    fields_open(&fields, (json_t *)body, &root, problem);
    fields.rest = object_copy(body); /* the values are shared */
    if (!fields.rest) return problem_no_memory(problem);
    endpoint_ops_of(endpoint)->parse(&fields, request);
    keep_extra(&fields, request);
    return problem->http_status == 0;
}

/* ---- problems ---- */

void dialect_put_problem(enum endpoint endpoint, const struct dialect_problem *problem,
                         struct buf *out) {
    if (!put_json(out, endpoint_ops_of(endpoint)->problem(problem)))
        buf_append_text(out, "{\"error\":\"no memory\"}");
}

static int http_status_of(hearth_status status) {
    switch (status) {
    case HEARTH_ERROR_ARGUMENT:
    case HEARTH_ERROR_FORMAT:
    case HEARTH_ERROR_UNSUPPORTED: return 400;
    case HEARTH_ERROR_NOT_FOUND: return 404;
    case HEARTH_ERROR_LIMIT: return 429;
    case HEARTH_ERROR_NO_MEMORY:
    case HEARTH_ERROR_CANCELLED: return 503;
    case HEARTH_ERROR_IO:
    case HEARTH_ERROR_INTERNAL:
    case HEARTH_OK: break;
    }
    return 500;
}

void dialect_problem_of_failure(hearth_status status, const char *message,
                                struct dialect_problem *problem) {
    *problem = (struct dialect_problem){0};
    problem_at(problem, NULL, http_status_of(status), "%s", message ? message : "failed");
    if (status == HEARTH_ERROR_NOT_FOUND)
        snprintf(problem->parameter, sizeof problem->parameter, "model");
}
