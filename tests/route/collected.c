#include "collected.h"

#include <math.h>
#include <string.h>

void collected_init(struct collected *c) {
    *c = (struct collected){0};
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->changed, NULL);
    for (int i = 0; i < COLLECTED_CHOICES; i++) {
        buf_init(&c->text[i], 1 << 20);
        buf_init(&c->reasoning[i], 1 << 20);
    }
    buf_init(&c->token_text, 1 << 20);
    buf_init(&c->calls, 1 << 20);
    c->calls_have_ids = true;
}

void collected_release(struct collected *c) {
    for (int i = 0; i < COLLECTED_CHOICES; i++) {
        buf_release(&c->text[i]);
        buf_release(&c->reasoning[i]);
    }
    buf_release(&c->token_text);
    buf_release(&c->calls);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
}

static void take_logprobs(struct collected *c, const struct event *event) {
    for (size_t i = 0; i < event->text.n_logprobs; i++) {
        const struct event_logprob *one = &event->text.logprobs[i];
        buf_append(&c->token_text, one->token.bytes, one->token.n_bytes);
        if (!isnan(one->token.logprob)) /* the first token of a prompt has none */
            c->logprob += (double)one->token.logprob;
        c->n_top = one->n_top;
        c->n_logprobs++;
    }
}

static void take_call(struct collected *c, const struct event *event) {
    if (event->tool_call.name) {
        c->calls_have_ids = c->calls_have_ids && event->tool_call.id && *event->tool_call.id;
        buf_append_format(&c->calls, "%s%s: ", c->n_calls++ ? "; " : "", event->tool_call.name);
    }
    buf_append(&c->calls, event->tool_call.arguments, event->tool_call.length);
}

static void note(struct collected *c, const struct event *event) {
    size_t i = event->choice % COLLECTED_CHOICES;
    struct buf *text = event->kind == EVENT_REASONING ? &c->reasoning[i] : &c->text[i];
    switch (event->kind) {
    case EVENT_STARTED:
        c->n_started++;
        c->n_left_out = event->n_left_out;
        break;
    case EVENT_REASONING:
    case EVENT_TEXT:
        if (event->choice < COLLECTED_CHOICES)
            buf_append(text, event->text.data, event->text.length);
        take_logprobs(c, event);
        break;
    case EVENT_TOOL_CALL: take_call(c, event); break;
    case EVENT_FINISHED:
        c->n_finished++;
        c->reason = event->finished.reason;
        if (event->finished.stop_text)
            snprintf(c->stop_text, sizeof c->stop_text, "%s", event->finished.stop_text);
        break;
    case EVENT_DONE: c->usage = event->usage; break;
    case EVENT_FAILED:
        c->failed = event->failed.status;
        c->excess = event->failed.excess;
        snprintf(c->message, sizeof c->message, "%s", event->failed.message);
        break;
    default: break;
    }
}

static bool take(void *context, const struct event *event) {
    struct collected *c = context;
    pthread_mutex_lock(&c->mutex);
    note(c, event);
    c->n_events++;
    if (event->kind == EVENT_DONE || event->kind == EVENT_FAILED) c->ended = true;
    bool listens = !c->most || c->n_events < c->most;
    if (!listens) c->ended = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    return listens;
}

hearth_status collected_start(struct collected *c, struct backend *backend,
                              const struct request *request, hearth_error *err) {
    const struct event_sink sink = {take, c};
    return backend_start(backend, request, sink, &c->job, err);
}

void collected_await(struct collected *c, size_t n_events) {
    pthread_mutex_lock(&c->mutex);
    while (c->n_events < n_events && !c->ended)
        pthread_cond_wait(&c->changed, &c->mutex);
    pthread_mutex_unlock(&c->mutex);
}

void collected_finish(struct collected *c) {
    collected_await(c, SIZE_MAX);
    job_finish(c->job);
}

void collected_run(struct collected *c, struct backend *backend, const struct request *request) {
    hearth_error err = {0};
    collected_init(c);
    if (collected_start(c, backend, request, &err) != HEARTH_OK) fail_msg("%s", err.message);
    collected_finish(c);
}
