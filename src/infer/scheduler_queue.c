/* Who waits, and whose turn it is: a counter of service for each client (Sheng et al., "Fairness in
 * Serving Large Language Models", OSDI 2024, algorithm 2), of which the least comes next.
 *
 * Entries of clients are never all in use: at most max_waiting answers wait, as many again were
 * cancelled and are being ended, n_sequences run, and each of those who have any has at least one.
 * What is left remembers clients that ask for nothing now, those that had most. */
#include "infer/scheduler_parts.h"

#include <assert.h>

#include "base/mem.h"

enum { REMEMBERED_CLIENTS = 64 };

bool choice_precedes(const struct choice *a, const struct choice *b) {
    const struct scheduler_job *x = a->job, *y = b->job;
    if (x->priority != y->priority) return x->priority > y->priority;
    return x->number != y->number ? x->number < y->number : a < b;
}

/* ---- clients ------------------------------------------------------------------- */

hearth_status scheduler_open_queue(struct scheduler *s, hearth_error *err) {
    s->n_clients = 2 * (size_t)s->options.max_waiting + s->n_sequences + REMEMBERED_CLIENTS;
    s->clients = mem_calloc(s->n_clients, sizeof *s->clients);
    if (!s->clients) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a queue");
    return HEARTH_OK;
}

struct scheduler_client *scheduler_client_of(struct scheduler *s, uint64_t number) {
    struct scheduler_client *least = NULL;
    for (size_t i = 0; i < s->n_clients; i++) {
        struct scheduler_client *client = &s->clients[i];
        if (client->number == number) return client;
        if (client->n_open > 0 || client == s->last_left) continue;
        if (!least || client->service < least->service) least = client;
    }
    assert(least);
    least->number = number;
    least->service = least->left = 0;
    return least;
}

/* What a client that asks for nothing yet may have had at least, so that nobody saves up: the least
 * of those who wait, or else what the last one that waited has had. */
static uint64_t least_service(const struct scheduler *s) {
    if (!s->waiting) return s->last_left ? s->last_left->service : 0;
    uint64_t least = UINT64_MAX;
    for (const struct choice *c = s->waiting; c; c = c->next)
        if (c->job->client->service < least) least = c->job->client->service;
    return least;
}

void choice_charge(struct scheduler *s, const struct choice *c, uint32_t n) {
    pthread_mutex_lock(&s->mutex);
    c->job->client->service += n;
    pthread_mutex_unlock(&s->mutex);
}

void choice_refund(struct scheduler *s, const struct choice *c, uint32_t n) {
    pthread_mutex_lock(&s->mutex);
    c->job->client->service -= n;
    pthread_mutex_unlock(&s->mutex);
}

/* ---- the queue ----------------------------------------------------------------- */

void queue_insert(struct scheduler *s, struct choice *c) {
    struct scheduler_client *client = c->job->client;
    struct choice **link = &s->waiting;
    if (client->n_waiting++ == 0) {
        uint64_t least = least_service(s);
        if (client->service < least) client->service = least;
    }
    while (*link && choice_precedes(*link, c))
        link = &(*link)->next;
    c->next = *link;
    *link = c;
    s->n_waiting++;
}

static void unlink_first(struct scheduler *s, struct choice **link) {
    struct choice *c = *link;
    *link = c->next;
    s->n_waiting--;
    s->last_left = c->job->client;
    s->last_left->n_waiting--;
    s->last_left->left = ++s->n_left;
}

void queue_take(struct scheduler *s, struct choice *c) {
    struct choice **link = &s->waiting;
    while (*link != c)
        link = &(*link)->next;
    unlink_first(s, link);
}

struct choice *queue_take_ended(struct scheduler *s, bool all) {
    struct choice *list = NULL, **link = &s->waiting;
    while (*link) {
        struct choice *c = *link;
        if (all || c->job->cancelled) {
            unlink_first(s, link);
            c->next = list;
            list = c;
        } else
            link = &c->next;
    }
    return list;
}

/* Of those who have had as much the one comes first whose last turn was longest ago. */
static bool is_before(const struct scheduler_client *a, const struct scheduler_client *b) {
    if (a->service != b->service) return a->service < b->service;
    return a->left < b->left;
}

struct choice *queue_first(struct scheduler *s) {
    struct choice *first = NULL;
    for (struct choice *c = s->waiting; c; c = c->next) {
        if (c->job->leader && c->n_tokens == c->job->n_prompt) continue;
        if (first && first->job->priority > c->job->priority) break;
        if (!first || is_before(c->job->client, first->job->client)) first = c;
    }
    return first;
}
