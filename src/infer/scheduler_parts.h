/* scheduler_parts.h - what the files of the scheduler share; nobody else's business.
 *
 * scheduler.c has what other threads call, scheduler_queue.c says whose turn it is,
 * scheduler_pass.c decides what a pass computes, scheduler_pages.c what need not be computed again,
 * scheduler_draft.c what may be computed too early, scheduler_answer.c makes tokens of its logits,
 * scheduler_adapters.c says what they are computed with, scheduler_errand.c has what is done
 * between passes, scheduler_prefix.c takes pages to files and back. */
#ifndef HEARTH_INFER_SCHEDULER_PARTS_H
#define HEARTH_INFER_SCHEDULER_PARTS_H

#include <pthread.h>

#include "base/worker.h"
#include "infer/prefix_tree.h"
#include "infer/scheduler.h"

#define NO_SEQUENCE UINT32_MAX

/* One answer. Its tokens are there before they are computed: what lies beyond the length of its
 * sequence is still to do, the last one of it gives the next row of logits. In a pass that has
 * drafted for it, tokens[n_tokens .. n_tokens + n_draft) are guesses, and its sequence ends with
 * them; between passes there are none. */
struct choice {
    struct scheduler_job *job;
    void *context;
    struct sampler *sampler;
    int32_t *tokens;     /* [capacity]: the prompt, then the answer */
    uint32_t n_tokens;   /* of both */
    uint32_t n_draft;    /* after them */
    uint32_t max_length; /* that its sequence can have */
    uint32_t sequence;   /* NO_SEQUENCE: it waits */
    uint32_t n_kept;     /* pages of its sequence that are in the tree, from its beginning */
    uint32_t n_branch;   /* pages after which a state is wanted, beside the last one's */
    uint32_t n_state;    /* pages of its answer's last state; 0: there is none */
    uint32_t n_scored;   /* positions whose logits were seen by the callback */
    uint32_t n_lost;     /* positions that were computed when it was preempted */
    bool follows;        /* waits for a page that another computes in this pass, or soon */
    bool begun;          /* was admitted before */
    uint64_t turn;       /* when it last began, or had rows of its prompt */
    uint64_t started_ns, first_ns; /* 0: not yet */
    uint32_t n_said, next_said;    /* what SCHEDULER_SAY gave, and the next of it */
    int32_t said[SCHEDULER_MAX_SAY];
    struct scheduler_result result;
    struct choice *next; /* in the queue */
};

/* All who ask by one number (scheduler_request.client). */
struct scheduler_client {
    /* Under the scheduler's mutex. */
    uint64_t number;
    /* What it has had, or could have had: tokens of prompts that were not found computed, and
     * SCHEDULER_ANSWER_WEIGHT for each of an answer. */
    uint64_t service;
    uint32_t n_open;    /* answers that have not ended; 0: it may be forgotten */
    uint32_t n_waiting; /* of these in the queue */
    uint64_t left;      /* greater: one of them left it more recently */

    /* The thread's own. */
    uint32_t n_running;
    uint64_t turn; /* when it last began, or had rows of a prompt; as that of its choices */
};

struct scheduler_job {
    struct scheduler *scheduler;
    struct scheduler_client *client;
    bool has_adapters; /* of its own; otherwise it has the context's */
    struct adapter_set adapters;
    /* What its pages are computed with (adapter_set_identity), and the root in the tree of those
     * that are. */
    uint8_t adapters_identity[SHA256_BYTES];
    uint32_t root;
    struct scheduler_callbacks callbacks;
    uint64_t number, submitted_ns;
    int32_t priority;
    uint32_t n_prompt, max_tokens;
    bool ignore_end;
    bool cancelled;        /* under the scheduler's mutex */
    struct choice *leader; /* computes the prompt, which those that wait will share; or NULL */
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    uint32_t n_open; /* choices that have not ended; under the job's mutex */
    uint32_t n_choices;
    struct choice choices[];
};

enum { SCHEDULER_ROOTS = 64 };

/* Under which root pages of some adapters are. */
struct scheduler_root {
    uint8_t identity[SHA256_BYTES];
    uint32_t number;
    uint64_t used; /* greater: more recently; 0: the entry is free */
};

struct scheduler {
    struct context *context;
    struct scheduler_options options; /* in force */
    uint32_t n_ctx, n_sequences, n_vocab, max_batch;
    struct worker *worker;

    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct choice *waiting;             /* by priority, then in order of arrival */
    struct scheduler_client *clients;   /* [n_clients] */
    struct scheduler_client *last_left; /* whose answer left the queue last; NULL: nobody's */
    size_t n_clients;
    uint64_t n_left; /* answers that ever left it */
    uint64_t n_jobs;
    uint32_t n_waiting;
    struct scheduler_root roots[SCHEDULER_ROOTS];
    uint32_t n_roots; /* that were ever given */
    uint64_t n_root_uses;
    struct errand *errands; /* in order of arrival */
    pthread_cond_t errand_done;
    bool stop, cancels;           /* cancels: some job is newly cancelled */
    struct scheduler_stats shown; /* as of the last pass */

    /* The thread's own. */
    bool recurrent;
    struct prefix_tree *tree; /* NULL: pages are not kept */
    bool marks_generated;     /* generated tokens have another arithmetic than prompts */
    struct sampler_workspace *workspace;
    struct choice **running; /* [n_sequences], by sequence; NULL where none */
    uint32_t n_running;
    struct scheduler_stats stats;    /* what is counted */
    uint64_t n_turns;                /* that were ever given */
    uint32_t *rows;                  /* [n_sequences] that a pass computes */
    uint32_t score_rows;             /* that can still be scored or drafted in it */
    struct context_part *parts;      /* [n_sequences] */
    struct scheduler_drafts *drafts; /* NULL: nothing is drafted */
    float *logits;                   /* [n_sequences + SCHEDULER_SCORE_ROWS][n_vocab] */
};

/* ---- scheduler_queue.c ---- */

/* Whether a is more important than b, or came before it. */
bool choice_precedes(const struct choice *a, const struct choice *b);

hearth_status scheduler_open_queue(struct scheduler *s, hearth_error *err);
/* These are called under the mutex. */

/* Who asks by this number; who was forgotten, or is new, has had nothing. */
struct scheduler_client *scheduler_client_of(struct scheduler *s, uint64_t number);
/* Whose client has had less than others who wait counts from now on as having had as much. */
void queue_insert(struct scheduler *s, struct choice *c);
/* Takes it out. */
void queue_take(struct scheduler *s, struct choice *c);
/* Takes out those of cancelled jobs, or all; a list. */
struct choice *queue_take_ended(struct scheduler *s, bool all);
/* Who is to be admitted next: of the highest priority, and there of the client that has had least;
 * not those for which another computes the prompt. */
struct choice *queue_first(struct scheduler *s);

/* These take the mutex. */

/* The client of c has had so much more, or so much less. */
void choice_charge(struct scheduler *s, const struct choice *c, uint32_t n);
void choice_refund(struct scheduler *s, const struct choice *c, uint32_t n);

/* ---- scheduler.c ---- */

/* What scheduler_read_stats gives from now on. */
void scheduler_show_stats(struct scheduler *s);

/* ---- scheduler_pass.c ---- */

void scheduler_admit(struct scheduler *s);
void scheduler_pass(struct scheduler *s);
/* An empty sequence, and pages for so many tokens in it, whoever has to wait for that. */
uint32_t scheduler_clear(struct scheduler *s, uint32_t n_tokens);
uint32_t scheduler_pages_of(uint32_t n_tokens);
/* Free pages that the rows of this pass take. */
uint64_t scheduler_pages_wanted(const struct scheduler *s);
/* Makes so many pages free by what is only kept for prompts to come. */
void scheduler_free_pages(struct scheduler *s, uint64_t n);
/* Whether all that a running choice needs is the row of its last token, for which someone waits. */
bool choice_awaits_token(const struct scheduler *s, const struct choice *c);
/* Of the choices that wait for c to compute their prompt the first, which now runs and is as far;
 * NULL: none can. */
struct choice *choice_share_prompt(struct scheduler *s, struct choice *c);

/* ---- scheduler_pages.c ---- */

/* Positions of a running choice, without what is drafted. */
uint32_t choice_computed(const struct scheduler *s, const struct choice *c);
/* Where the next part of it ends: with the prompt, where a state is wanted, or with its tokens. */
uint32_t choice_part_end(const struct scheduler *s, const struct choice *c);
/* Pages for all tokens of one that waits, except those that others use already. */
uint32_t choice_pages_to_begin(const struct scheduler *s, const struct choice *c);
/* Whether it had better wait for what one before it is about to compute. */
bool choice_can_follow(const struct scheduler *s, const struct choice *c);
/* Takes over the pages that are computed already, also those that another has computed since it
 * began. */
hearth_status choice_adopt_pages(struct scheduler *s, struct choice *c, hearth_error *err);
/* Puts its pages that are whole into the tree. */
hearth_status choice_keep_pages(struct scheduler *s, struct choice *c, hearth_error *err);
/* Gives back a running choice's sequence and pages, which stay in the tree where they are whole. */
void choice_leave(struct scheduler *s, struct choice *c);

/* ---- scheduler_draft.c ---- */

hearth_status scheduler_open_drafts(struct scheduler *s, hearth_error *err);
void scheduler_close_drafts(struct scheduler *s);
/* Adds to the rows of this pass what is guessed to follow last tokens, where that pays. */
void scheduler_add_drafts(struct scheduler *s);
/* It took so long. */
void scheduler_measure_pass(struct scheduler *s, double seconds);
/* The token that c goes on with was drafted, or else what was is dropped. */
void choice_check_draft(struct scheduler *s, struct choice *c, int32_t token);
/* Whether its last token is computed already, so that there is a row of logits after it; not for
 * those who are cancelled. */
bool choice_is_ahead(struct scheduler *s, struct choice *c);
/* What drafted for it may draft for others. */
void choice_leave_drafter(struct scheduler *s, struct choice *c);

/* ---- scheduler_adapters.c ---- */

/* What a new job is computed with; NULL: the context's own. */
hearth_status job_set_adapters(struct scheduler_job *job, const struct adapter_set *adapters,
                               hearth_error *err);
/* The root in the tree of pages that are computed with these adapters (adapter_set_identity):
 * PREFIX_ROOT for the context's own, others for others; under the scheduler's mutex. */
uint32_t scheduler_root(struct scheduler *s, const uint8_t identity[SHA256_BYTES]);
/* Gives them to the sequence of a choice that has just begun. */
hearth_status choice_use_adapters(struct choice *c, hearth_error *err);

/* ---- scheduler_answer.c ---- */

/* Whether an answer that says this has ended before it. */
bool choice_ends_with(const struct scheduler *s, const struct choice *c, int32_t token);

/* Whether the logits of all tokens of its prompt are wanted. */
static inline bool choice_scores(const struct choice *c) {
    return c->job->callbacks.score != NULL;
}
/* The prompt's tokens after positions [first, first + n), whose rows these are. */
void choice_score(struct scheduler *s, struct choice *c, uint32_t first, uint32_t n,
                  const float *logits);
/* The next token of the answer, and what is said after it; false: the answer has ended. */
bool choice_go_on(struct scheduler *s, struct choice *c, const float *logits);
void choice_end(struct scheduler *s, struct choice *c, enum scheduler_reason reason);
void choice_fail(struct scheduler *s, struct choice *c, hearth_status status, const char *message);

/* ---- scheduler_errand.c ---- */

/* The first that is to be done (scheduler_do), if any. */
void scheduler_run_errand(struct scheduler *s);

#endif
