/* answer_parts.h - what dialects share in writing answers: the answer as collected so far, and
 * pieces of JSON that several of them have.
 *
 * A writer that does not stream keeps what comes; one that does keeps what the next event needs
 * and no more. Everything kept is bounded. */
#ifndef HEARTH_CHAT_ANSWER_PARTS_H
#define HEARTH_CHAT_ANSWER_PARTS_H

#include "chat/dialect.h"

enum {
    ANSWER_MAX_BYTES = 64 << 20,   /* of one text of one choice */
    ANSWER_MAX_CALLS = 1024,       /* of one choice */
    ANSWER_MAX_LOGPROBS = 1 << 18, /* log-probabilities kept, alternatives counted */
    ANSWER_MAX_EMBEDDED = 1 << 24  /* numbers of all vectors together */
};

struct answer_call {
    char *id, *name;
    struct buf arguments;
};

struct answer_choice {
    bool begun; /* a chunk has gone out */
    struct buf reasoning, text;
    struct answer_call *calls;
    size_t n_calls;
    json_t *logprobs;    /* in the dialect's form; or NULL */
    size_t n_characters; /* of the tokens whose log-probabilities came */
    enum finish_reason reason;
    char *stop_text;
};

struct answer_vector {
    float *values;
    size_t n;
};

/* The parts of which some dialects make an answer. */
enum answer_item { ITEM_NONE, ITEM_REASONING, ITEM_TEXT, ITEM_CALL };

struct answer_writer;

struct answer_ops {
    const char *id_prefix;
    bool lines;       /* a stream is lines of JSON, not server-sent events */
    bool follows;     /* `stream` is called for whole answers, too, and keeps their texts and writes
                         them; there is no `body` */
    bool keeps_calls; /* a stream needs the whole arguments of a call */
    /* Appends the whole body, or sets writer->problem. False: no memory. */
    bool (*body)(struct answer_writer *writer, struct buf *out);
    /* What an event adds to a stream, after it was kept. False: no memory. NULL: no streams. */
    bool (*stream)(struct answer_writer *writer, const struct event *event, struct buf *out);
    /* What a stream says of a failure after it has begun. */
    bool (*failure)(struct answer_writer *writer, struct buf *out);
    /* Appends a log-probability in the dialect's form to *kept, which begins as NULL. */
    bool (*add_logprob)(json_t **kept, const struct event_logprob *logprob, size_t *n_characters);
};

struct answer_writer {
    const struct answer_ops *ops;
    char *id, *model; /* the id with its prefix */
    int64_t created_s;
    bool stream, stream_usage, wants_logprobs;
    bool begun, ended; /* of the stream; of the answer */
    json_t *shape;     /* request->answer_shape; or NULL */
    struct answer_choice *choices;
    size_t n_choices;
    struct answer_vector *vectors;
    size_t n_vectors, n_embedded, n_logprobs;
    struct event_usage usage;
    struct dialect_problem problem;
    /* Of streams that are cut into items: which is open, how many there were, the next number. */
    enum answer_item item;
    uint32_t item_call;
    size_t n_items;
    int64_t sequence;
    json_t *items;   /* those that are whole */
    bool only_loads; /* the request has no messages */
};

/* ---- putting JSON out; takes the value, NULL (no memory) is false ---- */

bool put_json(struct buf *out, json_t *value);
/* "data: {…}\n\n", after "event: name\n" unless the name is NULL. */
bool put_event(struct buf *out, const char *name, json_t *value);
bool put_line(struct buf *out, json_t *value);

/* Takes the value; false: no memory. */
bool set_json(json_t *object, const char *name, json_t *value);
/* The list when it has n elements; otherwise it is released: there was no memory for all. */
json_t *whole_list(json_t *list, size_t n);

/* ---- pieces ---- */

bool text_is_whole(const char *data, size_t length); /* is it UTF-8 */
/* A string of bytes that should be UTF-8; what is not becomes U+FFFD. */
json_t *text_json(const char *data, size_t length);
json_t *buf_json(const struct buf *buf);
/* -inf and NaN cannot be written: -9999 and null. */
json_t *logprob_json(float logprob);
/* {"token", "logprob", "bytes", "top_logprobs": […]}, as chat completions have it. */
json_t *chat_logprob(const struct event_logprob *logprob);
bool add_chat_logprob(json_t **kept, const struct event_logprob *logprob, size_t *n_characters);
/* The log-probabilities of one piece in the dialect's form; *out NULL: none. */
bool piece_logprobs(struct answer_writer *writer, const struct event *event, json_t **out);
/* Tokens of the prompt that were not there already. */
uint64_t computed_tokens(const struct event_usage *usage);
/* OpenAI's usage, and llama.cpp's timings. */
json_t *usage_json(const struct event_usage *usage);
json_t *timings_json(const struct event_usage *usage);
/* "stop", "length", "tool_calls". */
const char *openai_reason(enum finish_reason reason);
/* Leaves the first n numbers of every vector, of length 1 again; false and a problem of the named
 * field when one has fewer. (Kusupati et al. 2022, arXiv 2205.13147) */
bool cut_vectors(struct answer_writer *writer, const char *parameter, size_t n);
json_t *vector_json(const struct answer_vector *vector);
/* The arguments of a call as an object; what is no JSON object becomes an empty one. NULL: no
 * memory. */
json_t *arguments_object(const struct answer_call *call);
/* "chatcmpl-…" without its prefix. */
const char *bare_id(const struct answer_writer *writer);

#endif
