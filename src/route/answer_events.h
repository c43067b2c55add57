/* answer_events.h - from the tokens and text of one choice to events.
 *
 * Text comes in as it is generated, tokens before their text. What the model thinks is told apart
 * from what it answers; log-probabilities go out with the piece of text that their tokens end
 * in. Thread: the one that generates. */
#ifndef HEARTH_ROUTE_ANSWER_EVENTS_H
#define HEARTH_ROUTE_ANSWER_EVENTS_H

#include "base/buf.h"
#include "chat/dialogue.h"
#include "route/held_tokens.h"

struct answer_events {
    struct event_sink sink;
    uint32_t choice;
    const struct tokenizer *tokenizer;
    bool listening;       /* the sink still takes events */
    bool splits;          /* thinking is looked for */
    uint64_t n_reasoning; /* tokens so far */
    struct reasoning_split split;
    struct buf reasoning, content; /* what goes out next */
    size_t text_bytes;             /* pushed so far */
    struct held_tokens held;       /* closed: no log-probabilities */
};

struct answer_events_options {
    bool splits, inside_thinking; /* the prompt ends inside the model's thinking */
    int32_t n_logprobs;           /* as in struct request */
};

/* Released in every case. */
hearth_status answer_events_init(struct answer_events *events, struct event_sink sink,
                                 uint32_t choice, const struct tokenizer *tokenizer,
                                 const struct answer_events_options *options, hearth_error *err);
void answer_events_release(struct answer_events *events);

/* One more token; `text_bytes`: of the answer with it (infer/generator.h). Both return false when
 * nobody listens any more. */
bool answer_events_token(struct answer_events *events, const struct sampler_result *token,
                         size_t text_bytes);
bool answer_events_text(struct answer_events *events, const char *text, size_t n);
/* The text ended: what was held comes out. Then FINISHED. */
void answer_events_finish(struct answer_events *events, enum finish_reason reason,
                          const char *stop_text);

#endif
