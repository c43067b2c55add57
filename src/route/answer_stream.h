/* answer_stream.h - one choice of an answer, token by token: its text and what that means, the
 * form it must have, the budget of its thinking, and what ends it.
 *
 *     token -> bytes -> reader -> (stop texts) -> events      (answer_events.h)
 *
 * Invariants: (1) with a constraint, no token of the answer is taken that it does not allow; what
 * is thought before is free; and calls that the model begins by itself are held to the tools from
 * their mark on; (2) thinking that has spent its budget, or would end the answer
 * unclosed, is closed in the model's own way, and then something is answered; (3) nothing of a
 * stop text goes out. Thread: the one that generates, but for opening and closing. */
#ifndef HEARTH_ROUTE_ANSWER_STREAM_H
#define HEARTH_ROUTE_ANSWER_STREAM_H

#include "route/answer_events.h"
#include "route/local_model.h"

/* What holds for all choices of a request; borrowed by them. */
struct answer_terms {
    const struct local_model *model;
    const struct answer_form *form; /* NULL: the answer is plain text */
    const json_t *tools;            /* that may be called; NULL: none */
    bool one_call;
    bool shows_control;      /* control tokens are part of the text */
    bool inside_thinking;    /* the prompt ends with the tag that opens thinking */
    bool may_think;          /* the model may open it by itself */
    int64_t thinking_budget; /* tokens; -1: no limit */
    int32_t n_logprobs;
    struct stop_texts stops;
    struct constraint *constraint; /* NULL: none */
    bool must_call;                /* the constraint is that of calls, tags and all */
    struct constraint *calls;      /* what calls that the model makes are held to; NULL: nothing */
};

struct answer_stream {
    const struct answer_terms *terms;
    struct answer_events events;
    struct token_stream stream;
    struct buf text;                /* of the token at hand */
    size_t text_bytes;              /* of the answer so far, what is held back included */
    struct constraint_state *state; /* NULL: nothing of the answer is there yet */
    bool has_begun;                 /* something of it is there */
    struct constraint_state *call;  /* the call that is being written; or NULL */
    unsigned n_marks;               /* of calls, seen so far */
    uint64_t *first;        /* a mask of its own, such as what may begin an answer; or NULL */
    unsigned n_closed;      /* times that thinking was closed for the model */
    enum finish_reason why; /* it stopped, where it did so by itself */
    hearth_status status;   /* what went wrong, with `err` */
    hearth_error err;
};

/* Closed in every case. Must not be moved. */
hearth_status answer_stream_open(struct answer_stream *stream, const struct answer_terms *terms,
                                 struct event_sink sink, uint32_t number, hearth_error *err);
void answer_stream_close(struct answer_stream *stream); /* a zeroed one is fine */

/* As struct scheduler_callbacks says. */
bool answer_stream_allowed(struct answer_stream *stream, const uint64_t **allowed);
enum scheduler_verdict answer_stream_take(struct answer_stream *stream,
                                          const struct scheduler_token *token,
                                          struct scheduler_words *words);
/* A token of the prompt that is part of the answer; the first without a log-probability. */
void answer_stream_echo(struct answer_stream *stream, const struct sampler_result *token);
/* What is held comes out, then FINISHED. False: something went wrong, see `status`. */
bool answer_stream_finish(struct answer_stream *stream, enum finish_reason reason);

#endif
