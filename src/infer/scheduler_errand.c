/* What others want of the context, between two passes. */
#include "infer/scheduler_parts.h"

/* Lives on the stack of whoever waits for it. */
struct errand {
    scheduler_work work;
    void *context;
    uint32_t n_tokens;
    hearth_status status;
    hearth_error *err;
    bool done;
    struct errand *next;
};

hearth_status scheduler_do(struct scheduler *s, uint32_t n_tokens, scheduler_work work,
                           void *work_context, hearth_error *err) {
    struct errand errand = {
        .work = work, .context = work_context, .n_tokens = n_tokens, .err = err};
    if (n_tokens > s->n_ctx)
        return error_set(err, HEARTH_ERROR_LIMIT, "%u tokens exceed the context of %u", n_tokens,
                         s->n_ctx);
    pthread_mutex_lock(&s->mutex);
    struct errand **link = &s->errands;
    while (*link)
        link = &(*link)->next;
    *link = &errand;
    pthread_cond_signal(&s->work);
    while (!errand.done)
        pthread_cond_wait(&s->errand_done, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    return errand.status;
}

void scheduler_run_errand(struct scheduler *s) {
    pthread_mutex_lock(&s->mutex);
    struct errand *errand = s->errands;
    if (errand) s->errands = errand->next;
    pthread_mutex_unlock(&s->mutex);
    if (!errand) return;
    uint32_t sequence = NO_SEQUENCE;
    if (errand->n_tokens > 0) {
        sequence = scheduler_clear(s, errand->n_tokens);
        context_sequence_set_adapters(s->context, sequence, NULL, NULL);
    }
    errand->status = errand->work(errand->context, s->context, sequence, errand->err);
    if (sequence != NO_SEQUENCE) context_sequence_truncate(s->context, sequence, 0);
    pthread_mutex_lock(&s->mutex);
    errand->done = true;
    pthread_cond_broadcast(&s->errand_done);
    pthread_mutex_unlock(&s->mutex);
}
