/* What others want of the context, between two passes. */
#include "infer/scheduler_parts.h"

/* Lives on the stack of whoever waits for it. */
struct errand {
    scheduler_work work;
    void *context;
    bool has_sequence; /* for so many tokens */
    uint32_t n_tokens;
    hearth_status status;
    hearth_error *err;
    bool done;
    struct errand *next;
};

static hearth_status wait_for(struct scheduler *s, struct errand *errand) {
    pthread_mutex_lock(&s->mutex);
    struct errand **link = &s->errands;
    while (*link)
        link = &(*link)->next;
    *link = errand;
    pthread_cond_signal(&s->work);
    while (!errand->done)
        pthread_cond_wait(&s->errand_done, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    return errand->status;
}

hearth_status scheduler_do(struct scheduler *s, uint32_t n_tokens, scheduler_work work,
                           void *work_context, hearth_error *err) {
    struct errand errand = {.work = work,
                            .context = work_context,
                            .has_sequence = true,
                            .n_tokens = n_tokens,
                            .err = err};
    if (n_tokens > s->n_ctx)
        return error_set(err, HEARTH_ERROR_LIMIT, "%u tokens exceed the context of %u", n_tokens,
                         s->n_ctx);
    return wait_for(s, &errand);
}

static hearth_status load_adapter(void *work_context, struct context *context, uint32_t sequence,
                                  hearth_error *err) {
    (void)sequence;
    return context_load_adapters(context, work_context, 1, err);
}

hearth_status scheduler_load_adapter(struct scheduler *s, const struct adapter *adapter,
                                     float scale, hearth_error *err) {
    struct adapter_item item = {adapter, scale};
    struct errand errand = {.work = load_adapter, .context = &item, .err = err};
    return wait_for(s, &errand);
}

static void carry_out(struct scheduler *s, struct errand *errand) {
    uint32_t sequence = NO_SEQUENCE;
    if (errand->has_sequence) {
        sequence = scheduler_clear(s, errand->n_tokens);
        context_sequence_set_adapters(s->context, sequence, NULL, NULL);
    }
    errand->status = errand->work(errand->context, s->context, sequence, errand->err);
    if (errand->has_sequence) context_sequence_truncate(s->context, sequence, 0);
}

void scheduler_run_errand(struct scheduler *s) {
    pthread_mutex_lock(&s->mutex);
    struct errand *errand = s->errands;
    if (errand) s->errands = errand->next;
    pthread_mutex_unlock(&s->mutex);
    if (!errand) return;
    carry_out(s, errand);
    pthread_mutex_lock(&s->mutex);
    errand->done = true;
    pthread_cond_broadcast(&s->errand_done);
    pthread_mutex_unlock(&s->mutex);
}
