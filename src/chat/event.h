/* event.h - what comes back for a request, piece by piece, whatever backend answers.
 *
 * The order: STARTED once; then for every choice any number of REASONING, TEXT and TOOL_CALL
 * pieces and one FINISHED, choices mixed; DONE at the end. FAILED may come at any time and is
 * then the last. REQUEST_EMBED gives EMBEDDING for every input, REQUEST_COUNT only DONE.
 * Texts are whole UTF-8 characters. Everything an event points to lives until the sink returns. */
#ifndef HEARTH_CHAT_EVENT_H
#define HEARTH_CHAT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum event_kind {
    EVENT_STARTED,
    EVENT_REASONING,
    EVENT_TEXT,
    EVENT_TOOL_CALL,
    EVENT_EMBEDDING,
    EVENT_FINISHED,
    EVENT_DONE,
    EVENT_FAILED
};

enum finish_reason {
    FINISH_STOP,       /* the model ended its answer */
    FINISH_STOP_TEXT,  /* a stop text came; it is not part of the answer */
    FINISH_LENGTH,     /* the limit of tokens, or a full context */
    FINISH_TOOL_CALLS, /* the answer asks for tools */
    FINISH_CANCELLED
};

struct event_token {
    int32_t id;
    const char *bytes; /* of the token, not always whole characters */
    size_t n_bytes;
    float logprob; /* natural logarithm; NAN: unknown, as of the first token of a prompt */
};

/* A token of the answer and the likeliest in its place, best first. */
struct event_logprob {
    struct event_token token;
    const struct event_token *top;
    size_t n_top;
};

struct event_usage {
    uint64_t n_prompt, n_cached;    /* tokens of the prompt; of these already computed before */
    uint64_t n_answer, n_reasoning; /* generated, of all choices; of these thinking */
    uint64_t n_drafted, n_accepted;
    double queue_seconds, load_seconds, prompt_seconds, answer_seconds;
};

/* A prompt of more tokens than the context holds. n_ctx 0: that is not what was wrong. */
struct prompt_excess {
    uint64_t n_prompt, n_ctx;
};

struct event {
    enum event_kind kind;
    uint32_t choice;     /* TEXT: number of the input * n_choices + choice; EMBED: of the input */
    uint32_t n_left_out; /* STARTED: messages, see request.leaves_out_oldest */
    union {
        const char *model; /* STARTED: the one that answers */
        struct {
            const char *data;
            size_t length;
            const struct event_logprob *logprobs; /* of the tokens that this piece completes */
            size_t n_logprobs;
        } text; /* REASONING, TEXT */
        struct {
            uint32_t index;        /* of the call in the choice, from 0 */
            const char *id, *name; /* with the first piece of a call; NULL afterwards */
            const char *arguments; /* the next bytes of the JSON text of the arguments */
            size_t length;
        } tool_call;
        struct {
            const float *values;
            size_t n;
        } embedding;
        struct {
            enum finish_reason reason;
            const char *stop_text; /* FINISH_STOP_TEXT: which one */
        } finished;
        struct event_usage usage; /* DONE */
        struct {
            hearth_status status; /* ARGUMENT, LIMIT, NOT_FOUND, …: what dialects make a code of */
            const char *message;
            struct prompt_excess excess; /* ARGUMENT */
        } failed;
    };
};

/* Takes the next event; false: nobody listens any more, the work may end. */
struct event_sink {
    bool (*take)(void *context, const struct event *event);
    void *context;
};

#endif
