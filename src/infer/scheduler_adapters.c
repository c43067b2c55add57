/* What answers are computed with, and where pages of it are in the tree. */
#include "infer/scheduler_parts.h"

#include <string.h>

hearth_status job_set_adapters(struct scheduler_job *job, const struct adapter_set *adapters,
                               hearth_error *err) {
    const struct adapter_set *set = adapters ? adapters : context_adapters(job->scheduler->context);
    RETURN_IF_ERROR(adapter_set_check(set, err));
    job->has_adapters = adapters != NULL;
    job->adapters = *set;
    adapter_set_identity(set, job->adapters_identity);
    return HEARTH_OK;
}

/* Sets that have not been asked for longest make room for new ones: their pages are not found
 * again, and leave the tree as the oldest ones do. A number never has another meaning while a page
 * is under it: there are more numbers than pages. */
uint32_t scheduler_root(struct scheduler *s, const uint8_t identity[SHA256_BYTES]) {
    struct scheduler_root *found = NULL, *oldest = &s->roots[0];
    for (int i = 0; i < SCHEDULER_ROOTS && !found; i++) {
        struct scheduler_root *r = &s->roots[i];
        if (r->used < oldest->used) oldest = r;
        if (r->used > 0 && memcmp(r->identity, identity, sizeof r->identity) == 0) found = r;
    }
    if (!found) {
        found = oldest;
        memcpy(found->identity, identity, sizeof found->identity);
        found->number = PREFIX_ROOT - s->n_roots++ % (PREFIX_ROOT / 2);
    }
    found->used = ++s->n_root_uses;
    return found->number;
}

hearth_status choice_use_adapters(struct choice *c, hearth_error *err) {
    const struct scheduler_job *job = c->job;
    return context_sequence_set_adapters(job->scheduler->context, c->sequence,
                                         job->has_adapters ? &job->adapters : NULL, err);
}
