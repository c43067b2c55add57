/* answer_events.h - from the tokens and text of one choice to events.
 *
 * Text comes in as it is generated, tokens before their text. What the model thinks, what it
 * answers and which tools it calls are told apart; stop texts are looked for in what it answers;
 * log-probabilities go out with the piece of text that their tokens end in; an answer's are those
 * of its own text, without tags. Thread: the one that generates. */
#ifndef HEARTH_ROUTE_ANSWER_EVENTS_H
#define HEARTH_ROUTE_ANSWER_EVENTS_H

#include "base/buf.h"
#include "chat/answer_reader.h"
#include "infer/stop_texts.h"
#include "route/held_tokens.h"

struct answer_events {
    struct event_sink sink;
    uint32_t choice;
    const struct tokenizer *tokenizer;
    struct answer_reader *reader; /* NULL: all is text */
    bool listening;               /* the sink still takes events */
    bool one_call;
    struct stop_texts stops;
    struct buf pending; /* text that may be the beginning of a stop text */
    /* Nothing more is wanted: a stop text came (`stop`, or stops.count), or a second call where
     * one was asked for. */
    bool enough;
    size_t stop;
    uint64_t n_reasoning; /* tokens so far */
    size_t n_content;     /* bytes of text and calls that went out */
    struct buf content;   /* of text; whoever wants it clears it. Nothing, unless kept */
    bool keeps_content;
    bool echoes; /* the text at hand is the prompt's: no stop text is looked for, none goes on */
    bool out_of_memory;
    size_t text_bytes;       /* pushed so far */
    struct held_tokens held; /* closed: no log-probabilities */
};

struct answer_events_options {
    const struct answer_form *form; /* NULL: plain text */
    const json_t *tools;            /* as answer_reader_open takes them */
    bool inside_thinking;           /* the prompt ends inside the model's thinking */
    bool one_call;                  /* further calls are left out */
    struct stop_texts stops;        /* not part of the answer, nor what follows; borrowed */
    bool keeps_content;
    int32_t n_logprobs; /* as in struct request */
};

/* Released in every case. Must not be moved afterwards. */
hearth_status answer_events_init(struct answer_events *events, struct event_sink sink,
                                 uint32_t choice, const struct tokenizer *tokenizer,
                                 const struct answer_events_options *options, hearth_error *err);
void answer_events_release(struct answer_events *events);

/* One more token; `text_bytes`: of the answer with it, those of half a character too. */
void answer_events_token(struct answer_events *events, const struct sampler_result *token,
                         size_t text_bytes);
hearth_status answer_events_text(struct answer_events *events, const char *text, size_t n,
                                 hearth_error *err);
/* The text ended: what was held comes out, but of an answer that was cut no half of a call. */
hearth_status answer_events_flush(struct answer_events *events, bool cut, hearth_error *err);
/* FINISHED; where a stop text came or tools are called, that is the reason in place of
 * FINISH_STOP. */
void answer_events_finish(struct answer_events *events, enum finish_reason reason);

bool answer_events_are_thinking(const struct answer_events *events); /* now */

#endif
