/* collected.h - the events of one request, kept as they came. */
#ifndef HEARTH_TESTS_ROUTE_COLLECTED_H
#define HEARTH_TESTS_ROUTE_COLLECTED_H

#include "testdata.h"

#include <pthread.h>

#include "base/buf.h"
#include "route/backend.h"

enum { COLLECTED_CHOICES = 8 }; /* whose text is kept */

struct collected {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf text[COLLECTED_CHOICES], reasoning[COLLECTED_CHOICES];
    struct buf calls; /* "name: arguments" of every call, "; " between them */
    size_t n_calls;
    bool calls_have_ids;
    struct buf token_text;    /* of the log-probabilities, token after token */
    size_t n_logprobs, n_top; /* n_top: of the last one */
    double logprob;           /* their sum */
    size_t n_events, n_started, n_finished;
    uint32_t n_left_out; /* messages, as STARTED says */
    bool ended;
    enum finish_reason reason; /* of the last choice */
    char stop_text[64];
    struct event_usage usage;
    hearth_status failed;
    struct prompt_excess excess; /* FAILED */
    char message[256];
    size_t most; /* events that are listened to; 0: all */
    struct job *job;
};

void collected_init(struct collected *c);
void collected_release(struct collected *c);
/* Starts the request; its events come in. */
hearth_status collected_start(struct collected *c, struct backend *backend,
                              const struct request *request, hearth_error *err);
/* Until so many events are there, or the last. */
void collected_await(struct collected *c, size_t n_events);
/* Until the last event; then the job is finished. */
void collected_finish(struct collected *c);
/* All of it; the request must start. */
void collected_run(struct collected *c, struct backend *backend, const struct request *request);

#endif
