/* local_answer.h - one request answered by one model, from its prompts to its last event.
 *
 * local_answer_run makes the prompts and hands them to the model's scheduler, whose thread makes
 * the events from then on; what needs no generation is answered at once. */
#ifndef HEARTH_ROUTE_LOCAL_ANSWER_H
#define HEARTH_ROUTE_LOCAL_ANSWER_H

#include <stdatomic.h>

#include "route/answer_stream.h"
#include "route/request_sampling.h"

struct local_answer {
    struct local_model *model; /* borrowed, with what follows, until local_answer_release; NULL
                                  where none is needed */
    const struct request *request;
    struct event_sink sink;
    /* It no longer waits for its turn; it is over, after the last event, and may be released by
     * another thread. */
    void (*begun)(void *context);
    void (*ended)(void *context);
    void *context;
    uint64_t queued_ns;

    /* Its own. */
    struct answer_terms terms;
    struct token_list *prompts; /* [n_prompts] */
    size_t n_prompts;
    struct adapter_set adapters;
    const char *stops[REQUEST_MAX_STOPS];
    struct cached_constraint *constraint, *calls; /* of the terms; or NULL */
    struct request_sampling sampling;
    struct local_choice *choices; /* [n_choices] */
    size_t n_choices;
    int32_t
        *told; /* [n_told], the first choice's prompt and answer, for its slot; NULL: not kept */
    uint32_t n_told;
    uint32_t n_left_out; /* messages without room in the context */
    struct event_usage usage;
    struct prompt_excess excess;
    atomic_bool cancelled, listening, has_begun;
    atomic_size_t n_prompt_now, n_answer_now; /* tokens, for whoever looks on */
    atomic_size_t n_open; /* choices to end, and one while they are being started */
    pthread_mutex_t mutex;
    struct scheduler_job **jobs; /* [n_jobs]; under the mutex, with what follows */
    size_t n_jobs;
    size_t n_submitted, n_running; /* choices; running: submitted and not ended */
    hearth_status status;          /* the first failure */
    hearth_error err;
};

/* The fields above are set. The sink gets its last event, DONE or FAILED, in every case that
 * local_answer_run is called. */
void local_answer_init(struct local_answer *answer);
void local_answer_run(struct local_answer *answer);
/* The same where there is no model: the answer has failed. */
void local_answer_refuse(struct local_answer *answer, const hearth_error *problem);
void local_answer_cancel(struct local_answer *answer); /* any thread, any number of times */
/* After `ended`, or where it was never run. */
void local_answer_release(struct local_answer *answer);

#endif
