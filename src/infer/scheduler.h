/* scheduler.h - many answers at once over one context: continuous batching.
 *
 * A job is a prompt with one answer or several (its choices). One thread owns the context and
 * computes pass after pass: one row for the next token of every running answer, and beside them
 * pieces of the prompts of those that have just begun (Yu et al., Orca, OSDI 2022; Agrawal et
 * al., Sarathi-Serve, arXiv 2403.02310). Each answer has its own sampler.
 *
 *            submit                admit                    a last token, stop, cancel
 *   (caller) ------> WAITING ---------------> RUNNING ------------------------> ended: end()
 *                       ^     a free sequence,   |
 *                       |     pages for all of   | pages run out, or a more important job
 *                       +----- its tokens -------+ comes: the youngest of the lowest
 *                                                  priority waits again
 *
 * Whole pages of computed tokens stay in a tree (prefix_tree.h), so that a prompt which begins
 * like an earlier one, or like one that is being computed, is computed from where they part. What
 * is reused is what would be computed now, bit for bit: a page is found by its tokens, by all those
 * before them, and by which of them were computed as a prompt's (context.h, `prompt`), where that
 * is another arithmetic than generated tokens have. There an answer that comes back as a part of
 * the next prompt is computed again. The choices of a job share the pages of their prompt, the last
 * one until it is written to. Recurrent models go on only where their state was saved, which the
 * context's n_states bound: at the last whole page of a prompt and of an answer, and where prompts
 * part.
 *
 * Invariants:
 * (1) An answer is a function of its prompt, its sampler's parameters and what its callbacks say:
 *     the tokens are those of generate() in an empty session, whatever else runs, however the
 *     prompt was cut, and also after it had to wait for pages and was computed again.
 * (2) Every running answer has the row of its next token in every pass, which then has at most
 *     `max_prompt_rows` others.
 * (3) Jobs of higher priority come first, with their prompts and at admission, where others make
 *     way for them; among equals the queue is in order of arrival and prompts take turns, a page
 *     of tokens each.
 * (4) Nobody is made to wait again for a job that is less important, or younger and equally so:
 *     there is always one that gets on.
 * (5) Nothing is allocated between two passes; submitting allocates all that a job needs.
 *
 * Threads: any thread submits, cancels and finishes jobs. Callbacks come from the scheduler's
 * thread, for one answer in order, and must not wait: all answers wait for them. They may submit
 * and cancel, and not finish. The context, its adapters included, is the scheduler's until it is
 * closed. */
#ifndef HEARTH_INFER_SCHEDULER_H
#define HEARTH_INFER_SCHEDULER_H

#include "infer/context.h"
#include "infer/sampler.h"
#include "token/tokenizer.h"

struct scheduler;
struct scheduler_job;

enum {
    SCHEDULER_MAX_CHOICES = 128,
    SCHEDULER_MAX_SAY = 256, /* tokens of one SCHEDULER_SAY */
    SCHEDULER_WAITING = 512, /* default of max_waiting */
    SCHEDULER_PROMPT_ROWS = 64,
    SCHEDULER_SCORE_ROWS = 64 /* of a pass, at most, of which all logits are wanted */
};

struct scheduler_options {
    const struct tokenizer *tokenizer; /* says which tokens end answers; borrowed; NULL: none */
    uint32_t max_waiting;              /* answers in the queue; 0: SCHEDULER_WAITING */
    /* Rows of prompts in a pass that running answers take part in; 0: SCHEDULER_PROMPT_ROWS.
     * Passes of prompts alone fill the context's batch. */
    uint32_t max_prompt_rows;
    bool no_reuse; /* pages are not kept for prompts to come */
};

/* Borrows the context, whose sequences are all empty from now on. Its n_pages may be fewer than
 * n_sequences of full length need. HEARTH_ERROR_UNSUPPORTED: an encoder. */
hearth_status scheduler_open(struct scheduler **out, struct context *context,
                             const struct scheduler_options *options, hearth_error *err);
/* Ends what still runs or waits (SCHEDULER_CANCELLED) and the thread. Every job is finished by
 * then or later, and nothing else is called. NULL is fine. */
void scheduler_close(struct scheduler *scheduler);

/* A token of an answer. */
struct scheduler_token {
    int32_t token;
    bool ends; /* an end-of-generation token: not part of the answer, which ends if take goes on */
    bool said; /* by SCHEDULER_SAY; without log-probabilities */
    float logprob; /* as sampler_result says, valid until the callback returns */
    const struct sampler_prob *top;
    size_t n_top;
};

enum scheduler_verdict {
    SCHEDULER_GO_ON,
    SCHEDULER_STOP, /* the answer ends with this token */
    SCHEDULER_SAY   /* the answer goes on with given tokens, also where it would have ended; they
                     * replace what is still to be said. Each comes through `take`, too. */
};
/* Tokens to say, at most SCHEDULER_MAX_SAY; copied as soon as take has returned. */
struct scheduler_words {
    const int32_t *tokens;
    uint32_t n;
};

enum scheduler_reason {
    SCHEDULER_ENDED,   /* by an end-of-generation token */
    SCHEDULER_STOPPED, /* by take */
    SCHEDULER_LENGTH,  /* max_tokens */
    SCHEDULER_CONTEXT, /* the context is full */
    SCHEDULER_CANCELLED,
    SCHEDULER_FAILED /* `status` and `message` say why */
};

struct scheduler_result {
    enum scheduler_reason reason;
    hearth_status status; /* HEARTH_OK unless it failed */
    const char *message;  /* valid until end returns; "" unless it failed */
    /* Tokens of the prompt; of these found computed; of the answer, said ones included, without
     * the one that ended it. */
    uint32_t n_prompt, n_reused, n_generated;
    uint32_t n_preempted; /* times it was made to wait again */
    /* Until admitted; from there to its first token; and from there on. */
    double queue_seconds, prompt_seconds, generate_seconds;
};

/* `context` is the choice's own. */
struct scheduler_callbacks {
    /* The first call for this choice, once, when it no longer waits in the queue; not for one that
     * ends there. Nullable. */
    void (*begin)(void *context);
    /* Every token of the prompt but the first, in order, with its log-probability after those
     * before it. Nullable; only where there is one choice, and its prompt is computed whole. */
    void (*score)(void *context, const struct scheduler_token *token);
    /* Before each token is chosen: sets *allowed, as sampler_sample takes it, or leaves it NULL
     * for every token. False: it cannot say, and the answer fails. Nullable. */
    bool (*allowed)(void *context, const uint64_t **allowed);
    /* Every token of the answer. */
    enum scheduler_verdict (*take)(void *context, const struct scheduler_token *token,
                                   struct scheduler_words *words);
    /* The last call for this choice, once. */
    void (*end)(void *context, const struct scheduler_result *result);
};

struct scheduler_choice {
    const struct sampler_params *params; /* borrowed until scheduler_submit returns */
    void *context;                       /* of the callbacks */
};

struct scheduler_request {
    const int32_t *prompt; /* [n_prompt], at least 1; read before scheduler_submit returns */
    uint32_t n_prompt;
    uint32_t max_tokens; /* of each answer; 0: until the context is full */
    int32_t priority;    /* more is sooner */
    bool ignore_end;     /* end-of-generation tokens are tokens like others */
    struct scheduler_callbacks callbacks;
    const struct scheduler_choice *choices; /* [n_choices], 1 to SCHEDULER_MAX_CHOICES */
    uint32_t n_choices;
};

/* Queues a job. HEARTH_ERROR_LIMIT: the queue is full, or the prompt longer than the context;
 * HEARTH_ERROR_ARGUMENT: tokens or parameters out of range. `*out` is given: scheduler_finish. */
hearth_status scheduler_submit(struct scheduler *scheduler, const struct scheduler_request *request,
                               struct scheduler_job **out, hearth_error *err);
/* All answers of the job that have not ended do so at the next pass; any number of times. */
void scheduler_cancel(struct scheduler_job *job);
/* Waits until every choice's `end` has returned, and releases the job. */
void scheduler_finish(struct scheduler_job *job);

/* What else is wanted of the context, such as embeddings: `work` gets a sequence that is empty
 * and that it may extend to the n_tokens asked for; other sequences are none of its business. */
typedef hearth_status (*scheduler_work)(void *work_context, struct context *context,
                                        uint32_t sequence, hearth_error *err);
/* Has it done by the scheduler's thread between two passes, and waits for it; not in callbacks.
 * Returns what `work` returned; HEARTH_ERROR_LIMIT: n_tokens exceed the context. */
hearth_status scheduler_do(struct scheduler *scheduler, uint32_t n_tokens, scheduler_work work,
                           void *work_context, hearth_error *err);

/* How much there is to do, and what was done since the scheduler was opened. */
struct scheduler_stats {
    uint32_t n_waiting, n_running;                /* answers */
    uint32_t n_pages, n_free_pages, n_kept_pages; /* kept: only for prompts to come */
    uint64_t n_passes, n_rows;                    /* computed */
    uint64_t n_prompt, n_reused, n_generated;     /* tokens, as in scheduler_result */
    uint64_t n_preempted, n_recomputed;           /* answers; tokens computed again for them */
};
void scheduler_read_stats(struct scheduler *scheduler, struct scheduler_stats *stats);

#endif
