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
 *                       +----- its tokens -------+ comes: of the lowest priority the client with
 *                                                  most answers running gives up its youngest
 *
 * Whole pages of computed tokens stay in a tree (prefix_tree.h), so that a prompt which begins
 * like an earlier one, or like one that is being computed, is computed from where they part. What
 * is reused is what would be computed now, bit for bit: a page is found by its tokens, by all those
 * before them, by the adapters and scales they were computed with, and by which of them were
 * computed as a prompt's (context.h, `prompt`), where that is another arithmetic than generated
 * tokens have. There an answer that comes back as a part of
 * the next prompt is computed again. The choices of a job share the pages of their prompt, the last
 * one until it is written to. Recurrent models go on only where their state was saved, which the
 * context's n_states bound: at the last whole page of a prompt and of an answer, and where prompts
 * part.
 *
 * Where few answers run, what they may say next is drafted and checked in the pass of the token
 * before it, as far as that makes them sooner together (speculation.h): the more of them there are,
 * the less that is, down to nothing. Each accepted token is chosen and given out like any other,
 * and what is not accepted leaves no trace. Drafts take pages that are free or only kept for
 * prompts to come, and nobody has to wait again for them. Recurrent models draft up to the end of
 * a page where they keep states, and as far as the context can take back (n_draft).
 *
 * Invariants:
 * (1) An answer is a function of its prompt, its sampler's parameters and what its callbacks say:
 *     the tokens are those of generate() in an empty session, whatever else runs, however the
 *     prompt was cut, and also after it had to wait for pages and was computed again.
 * (2) Every running answer has the row of its next token in every pass, which then has at most
 *     `max_prompt_rows` of prompts and SCHEDULER_SCORE_ROWS drafted ones beside it.
 * (3) Jobs of higher priority come first, with their prompts and at admission, where others make
 *     way for them. Among equals the client comes next that has had least service: tokens of
 *     prompts that were computed for it, and SCHEDULER_ANSWER_WEIGHT for each of its answers' (the
 *     virtual token counter of Sheng et al., "Fairness in Serving Large Language Models", OSDI
 *     2024). One that had nothing in the queue counts at least as much as those who wait: nobody
 *     saves up. Its own jobs come in order of arrival. Prompts of clients, and those of one, take
 *     turns, a page of tokens each.
 * (4) Nobody is made to wait again for a job that is less important, or younger and of the same
 *     client; the oldest of the most important always gets on.
 * (5) Nothing is allocated between two passes; submitting allocates all that a job needs.
 *
 * Threads: any thread submits, cancels and finishes jobs. Callbacks come from the scheduler's
 * thread, for one answer in order, and must not wait: all answers wait for them. They may submit
 * and cancel, and not finish. The context, its adapters included, is the scheduler's until it is
 * closed: scheduler_load_adapter. */
#ifndef HEARTH_INFER_SCHEDULER_H
#define HEARTH_INFER_SCHEDULER_H

#include "infer/context.h"
#include "infer/drafter.h"
#include "infer/sampler.h"
#include "token/tokenizer.h"

struct scheduler;
struct scheduler_job;

enum {
    SCHEDULER_MAX_CHOICES = 128,
    SCHEDULER_MAX_SAY = 256, /* tokens of one SCHEDULER_SAY */
    SCHEDULER_WAITING = 512, /* default of max_waiting */
    SCHEDULER_PROMPT_ROWS = 64,
    SCHEDULER_ANSWER_WEIGHT = 2, /* what a token of an answer counts, one of a prompt being 1 */
    SCHEDULER_QUEUE_SHARE = 3,
    SCHEDULER_SCORE_ROWS = 64 /* of a pass, at most, that are scored or drafted */
};

/* Who guesses what answers say next (drafter.h). */
struct scheduler_drafting {
    /* Opens what drafts for the answers in a sequence, one after the other; called by
     * scheduler_open, used by the scheduler's thread, closed with the scheduler. */
    hearth_status (*open)(void *context, uint32_t sequence, struct drafter **drafter,
                          hearth_error *err);
    void *context;
    /* There is one drafter, opened for sequence 0, which serves one answer at a time: the first
     * that runs, until that ends. So for what follows a timeline of its own at a cost, such as a
     * draft model; its work on a new timeline is waited for by all. */
    bool single;
    uint32_t max_draft, min_draft; /* as in speculation.h; max_draft 0: nothing is drafted */
};

struct scheduler_options {
    const struct tokenizer *tokenizer; /* says which tokens end answers; borrowed; NULL: none */
    uint32_t max_waiting;              /* answers in the queue; 0: SCHEDULER_WAITING */
    /* Rows of prompts in a pass that running answers take part in; 0: SCHEDULER_PROMPT_ROWS.
     * Passes of prompts alone fill the context's batch. */
    uint32_t max_prompt_rows;
    bool no_reuse;                             /* pages are not kept for prompts to come */
    const struct scheduler_drafting *drafting; /* read by scheduler_open; NULL: none */
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
    uint32_t n_preempted;           /* times it was made to wait again */
    uint32_t n_drafted, n_accepted; /* tokens checked ahead, and those of them in the answer */
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
    uint64_t client;     /* who asks, any number; 0: nobody in particular, one client like others */
    bool ignore_end;     /* end-of-generation tokens are tokens like others */
    /* What it is computed with, also after it had to wait again; NULL: the context's own. As
     * context_sequence_set_adapters takes it: what that refuses ends the answers as failed. */
    const struct adapter_set *adapters;
    struct scheduler_callbacks callbacks;
    const struct scheduler_choice *choices; /* [n_choices], 1 to SCHEDULER_MAX_CHOICES */
    uint32_t n_choices;
};

/* Whether one who has `own` places of a queue of `most`, of which n_waiting were taken before, has
 * no more than SCHEDULER_QUEUE_SHARE for each that was free: one alone may have three quarters, two
 * three sevenths each, so that there is a place for those who come later (Choudhury & Hahne,
 * "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM Trans. Networking
 * 6, 1998). */
static inline bool scheduler_leaves_room(uint64_t most, uint64_t n_waiting, uint64_t own) {
    return own <= SCHEDULER_QUEUE_SHARE * (most - n_waiting);
}

/* Queues a job. HEARTH_ERROR_LIMIT: the queue is full, or for this client (scheduler_leaves_room,
 * which does not bind client 0), or the prompt longer than the context;
 * HEARTH_ERROR_ARGUMENT: tokens or parameters out of range. `*out` is given: scheduler_finish. */
hearth_status scheduler_submit(struct scheduler *scheduler, const struct scheduler_request *request,
                               struct scheduler_job **out, hearth_error *err);
/* All answers of the job that have not ended do so at the next pass; any number of times. */
void scheduler_cancel(struct scheduler_job *job);
/* Waits until every choice's `end` has returned, and releases the job. */
void scheduler_finish(struct scheduler_job *job);

/* What else is wanted of the context, such as embeddings: `work` gets a sequence that is empty,
 * has the context's adapters and may be extended to the n_tokens asked for; other sequences are
 * none of its business. */
typedef hearth_status (*scheduler_work)(void *work_context, struct context *context,
                                        uint32_t sequence, hearth_error *err);
/* Has it done by the scheduler's thread between two passes, and waits for it; not in callbacks.
 * Returns what `work` returned; HEARTH_ERROR_LIMIT: n_tokens exceed the context. */
hearth_status scheduler_do(struct scheduler *scheduler, uint32_t n_tokens, scheduler_work work,
                           void *work_context, hearth_error *err);

/* Loads a further adapter into the context (context_load_adapters) between two passes, and waits
 * for it; not in callbacks. Nobody makes way for that. */
hearth_status scheduler_load_adapter(struct scheduler *scheduler, const struct adapter *adapter,
                                     float scale, hearth_error *err);

/* The beginning of prompts. */
struct scheduler_prefix {
    const int32_t *tokens; /* [n_tokens] */
    uint32_t n_tokens;
    const struct adapter_set *adapters; /* that they are computed with; NULL: the context's */
};
/* Keeps in a file (prefix_file.h) what is computed now of a prompt that begins so: the whole pages
 * of these tokens, and the states of a recurrent model. *n_saved: their tokens; 0: there are none,
 * and nothing is written. The file appears when it is whole; another of that name is replaced if it
 * is one of these. Waits as scheduler_do does, and is refused where no pages are kept.
 * HEARTH_ERROR_UNSUPPORTED: the file is something else. */
hearth_status scheduler_save_prefix(struct scheduler *scheduler,
                                    const struct scheduler_prefix *prefix, const char *path,
                                    uint32_t *n_saved, hearth_error *err);
/* Puts what such a file has of these tokens where prompts to come find it: *n_found tokens. The
 * file is mapped, and read only as far as needed.
 *
 * HEARTH_ERROR_NOT_FOUND: no file, or an empty one. HEARTH_ERROR_FORMAT: it is damaged or was
 * written by another version. HEARTH_ERROR_UNSUPPORTED: it is something else, or good for another
 * model, adapter, cache type or processor level. */
hearth_status scheduler_load_prefix(struct scheduler *scheduler,
                                    const struct scheduler_prefix *prefix, const char *path,
                                    uint32_t *n_found, hearth_error *err);

/* How much there is to do, and what was done since the scheduler was opened. */
struct scheduler_stats {
    uint32_t n_waiting, n_running;                /* answers */
    uint32_t n_pages, n_free_pages, n_kept_pages; /* kept: only for prompts to come */
    uint64_t n_passes, n_rows;                    /* computed */
    uint64_t n_prompt, n_reused, n_generated;     /* tokens, as in scheduler_result */
    uint64_t n_preempted, n_recomputed;           /* answers; tokens computed again for them */
    uint64_t n_drafted, n_accepted;               /* tokens, as in scheduler_result */
};
void scheduler_read_stats(struct scheduler *scheduler, struct scheduler_stats *stats);

#endif
