/* generator.h - from a prompt to an answer: prefill, sample, detect the end, give out
 * whole characters.
 *
 * Ends at an end-of-generation token, a stop text, the token limit, a full context
 * (unless shifting is allowed) or when the callback says so.
 *
 * Speculation changes how many tokens a pass of the model checks, never the answer
 * (speculation.h says why). */
#ifndef HEARTH_INFER_GENERATOR_H
#define HEARTH_INFER_GENERATOR_H

#include "infer/sampler.h"
#include "infer/session.h"
#include "infer/speculation.h"
#include "token/tokenizer.h"

enum generation_end {
    GENERATION_STOP,      /* the model ended its answer */
    GENERATION_STOP_TEXT, /* a stop text appeared; it is not part of the answer */
    GENERATION_LENGTH,    /* max_tokens */
    GENERATION_CONTEXT,   /* the context is full */
    GENERATION_CANCELLED
};

/* New text of the answer, whole UTF-8 characters; return false to stop. */
typedef bool (*generation_text)(void *context, const char *text, size_t length_bytes);

enum { GENERATION_MAX_STOPS = 32, GENERATION_STOP_BYTES = 256 };

struct generation_options {
    uint32_t max_tokens;      /* 0: until the context is full */
    bool ignore_end;          /* go on after end-of-generation tokens */
    bool shift_context;       /* make room instead of ending when the context is full */
    bool special;             /* show control tokens */
    uint32_t keep;            /* tokens kept at the start when shifting */
    const char *const *stops; /* texts that end the answer; at most GENERATION_STOP_BYTES each */
    size_t n_stops;
    generation_text on_text;
    session_progress on_progress; /* of the prompt */
    void *context;                /* of all three */
    /* For timelines as long as the session's context; NULL: none. Borrowed. */
    struct speculation *speculation;
    /* [max_tokens] said instead of what is sampled, to measure or to score a given answer;
     * NULL: none. */
    const int32_t *replay;
};

struct generation_stats {
    enum generation_end end;
    size_t stop; /* GENERATION_STOP_TEXT: which of the texts */
    uint32_t n_prompt, n_reused, n_generated;
    uint32_t n_drafted, n_accepted; /* tokens checked, and those of them in the answer */
    double prompt_seconds, generate_seconds;
};

/* `prompt` is the whole timeline wanted. Afterwards the session holds prompt and
 * answer (without the token that ended it). */
hearth_status generate(struct session *session, struct sampler *sampler,
                       struct sampler_workspace *workspace, const struct tokenizer *tokenizer,
                       const int32_t *prompt, uint32_t n_prompt,
                       const struct generation_options *options, struct generation_stats *stats,
                       hearth_error *err);

#endif
