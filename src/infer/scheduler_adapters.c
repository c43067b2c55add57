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

/* The entry of a set, or NULL. */
static struct scheduler_root *find_root(struct scheduler *s, const uint8_t *identity) {
    for (uint32_t i = 0; i < SCHEDULER_ROOTS && s->roots[i].used > 0; i++)
        if (memcmp(s->roots[i].identity, identity, sizeof s->roots[i].identity) == 0)
            return &s->roots[i];
    return NULL;
}

/* The context's own set, the first one, stays. Of others those that have not been asked for longest
 * make room: their pages are not found again, and leave the tree as the oldest ones do. A number
 * never has another meaning while a page is under it: there are more numbers than pages. */
uint32_t scheduler_root(struct scheduler *s, const uint8_t identity[SHA256_BYTES]) {
    struct scheduler_root *root = find_root(s, identity);
    if (!root) {
        root = &s->roots[s->n_roots == 0 ? 0 : 1];
        for (uint32_t i = 1; s->n_roots > 0 && i < SCHEDULER_ROOTS; i++)
            if (s->roots[i].used < root->used) root = &s->roots[i];
        memcpy(root->identity, identity, sizeof root->identity);
        root->number = PREFIX_ROOT - s->n_roots;
        if (++s->n_roots == PREFIX_ROOT / 2) s->n_roots = 1;
    }
    root->used = ++s->n_root_uses;
    return root->number;
}

hearth_status choice_use_adapters(struct choice *c, hearth_error *err) {
    const struct scheduler_job *job = c->job;
    return context_sequence_set_adapters(job->scheduler->context, c->sequence,
                                         job->has_adapters ? &job->adapters : NULL, err);
}
