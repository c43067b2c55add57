/* dialect.h - the HTTP interfaces that clients know, as bodies: OpenAI's, Anthropic's, Ollama's
 * and llama.cpp's own. A body becomes a request; events become the answer, whole or as a stream.
 *
 * No dialect knows HTTP beyond a status code, and none computes anything. Each is one table and
 * one file or two (dialect_openai.c, …). */
#ifndef HEARTH_CHAT_DIALECT_H
#define HEARTH_CHAT_DIALECT_H

#include "base/buf.h"
#include "chat/event.h"
#include "chat/request.h"

enum endpoint {
    ENDPOINT_OPENAI_CHAT,        /* POST /v1/chat/completions */
    ENDPOINT_OPENAI_COMPLETIONS, /* POST /v1/completions */
    ENDPOINT_OPENAI_EMBEDDINGS,  /* POST /v1/embeddings */
    ENDPOINT_OPENAI_RESPONSES,   /* POST /v1/responses */
    ENDPOINT_ANTHROPIC_MESSAGES, /* POST /v1/messages */
    ENDPOINT_ANTHROPIC_COUNT,    /* POST /v1/messages/count_tokens */
    ENDPOINT_OLLAMA_CHAT,        /* POST /api/chat */
    ENDPOINT_OLLAMA_GENERATE,    /* POST /api/generate */
    ENDPOINT_OLLAMA_EMBED,       /* POST /api/embed, /api/embeddings */
    ENDPOINT_INFILL,             /* POST /infill, llama.cpp's */
    ENDPOINT_RERANK,             /* POST /v1/rerank, Jina's and Cohere's */
    ENDPOINT_COUNT
};

/* What a client is told; every dialect puts it into its own shape. */
struct dialect_problem {
    int http_status;     /* 400, 401, 404, 413, 422, 429, 500, 503, … */
    char parameter[128]; /* the field, as "messages[2].content"; "" when it is none */
    char message[512];
    struct prompt_excess excess; /* 400: the words for it are the dialect's */
};

/* Checks the body and fills the request (initialised, to be released in every case). False: the
 * problem says what is wrong. Values of the wrong type are refused, unknown fields kept in
 * request->extra. `body` is borrowed. */
bool dialect_parse(enum endpoint endpoint, const json_t *body, struct request *request,
                   struct dialect_problem *problem);

/* The body of an error in the endpoint's dialect. */
void dialect_put_problem(enum endpoint endpoint, const struct dialect_problem *problem,
                         struct buf *out);
/* The problem that a failed request has: which status and which words. */
void dialect_problem_of_failure(hearth_status status, const char *message,
                                struct dialect_problem *problem);

/* ---- answers ----
 * One answer being written. When the request streams, every event may append bytes to `out` that
 * can be sent at once: server-sent events, or lines of JSON (Ollama). Otherwise nothing comes
 * before the last event, then the whole body. */
struct answer_writer;

struct answer_identity {
    const char *id;    /* unique among answers; dialects put their prefix in front */
    int64_t created_s; /* since 1970 */
    const char *model; /* when EVENT_STARTED names none */
};

hearth_status answer_writer_open(struct answer_writer **out, enum endpoint endpoint,
                                 const struct request *request,
                                 const struct answer_identity *identity, hearth_error *err);
void answer_writer_close(struct answer_writer *writer); /* NULL is fine */
const char *answer_writer_content_type(const struct answer_writer *writer);
/* Appends what the event makes. EVENT_FAILED: in a stream that has begun, the dialect's own event
 * of an error; otherwise nothing, and answer_writer_problem says what to answer instead. An error
 * appends nothing (HEARTH_ERROR_LIMIT: too large for `out`, or to be kept); the writer then takes
 * EVENT_FAILED. */
hearth_status answer_writer_put(struct answer_writer *writer, const struct event *event,
                                struct buf *out, hearth_error *err);
/* NULL: none. */
const struct dialect_problem *answer_writer_problem(const struct answer_writer *writer);

#endif
