/* Invariants: (1) events come from whoever runs the answer until a choice is submitted, then from
 * the scheduler's thread, which submits further choices as others end, and the last one from
 * whoever closes the last of n_open; (2) after `ended` nothing here is touched but by
 * local_answer_release. */
#include "route/local_answer.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "route/local_adapters.h"
#include "route/local_slots.h"
#include "route/request_prompt.h"
#include "route/request_terms.h"

#define MAX_ECHO_BYTES ((size_t)64 << 20)

/* One choice among those of the request. */
struct local_choice {
    struct local_answer *answer;
    const struct token_list *prompt;
    uint32_t number;
    bool is_first; /* of those that share a prompt, whose tokens are counted once */
    struct answer_stream stream;
};

static bool take_event(void *context, const struct event *event) {
    struct local_answer *a = context;
    if (!atomic_load(&a->listening)) return false;
    if (a->sink.take(a->sink.context, event)) return true;
    atomic_store(&a->listening, false);
    local_answer_cancel(a);
    return false;
}

static void keep_failure(struct local_answer *a, hearth_status status, const hearth_error *err) {
    pthread_mutex_lock(&a->mutex);
    if (a->status == HEARTH_OK) {
        a->status = status;
        a->err = *err;
    }
    pthread_mutex_unlock(&a->mutex);
}

static void say_started(struct local_answer *a) {
    const struct event event = {
        .kind = EVENT_STARTED, .n_left_out = a->n_left_out, .model = a->model->name};
    if (atomic_exchange(&a->has_begun, true)) return;
    a->usage.queue_seconds = clock_seconds_since(a->queued_ns);
    a->begun(a->context);
    take_event(a, &event);
}

/* One of n_open is over; with the last one, all is. */
static void close_one(struct local_answer *a) {
    struct event last = {.kind = EVENT_DONE};
    if (atomic_fetch_sub(&a->n_open, 1) != 1) return;
    if (a->status != HEARTH_OK) {
        last.kind = EVENT_FAILED;
        last.failed.status = a->status;
        last.failed.message = a->err.message;
        last.failed.excess = a->excess;
    } else {
        last.usage = a->usage;
    }
    if (atomic_load(&a->listening)) a->sink.take(a->sink.context, &last);
    a->ended(a->context);
}

/* ---- one choice: what the scheduler calls ------------------------------------------ */

static void submit_next(struct local_answer *a);

static bool is_scored(const struct local_answer *a) {
    return a->request->echo && a->request->n_logprobs >= 0;
}

/* The prompt stands in front of its answer: token by token with their log-probabilities, or
 * whole. */
static void echo_prompt(struct local_choice *c) {
    struct local_answer *a = c->answer;
    struct event event = {.kind = EVENT_TEXT, .choice = c->number};
    struct buf text;
    if (is_scored(a)) {
        const struct sampler_result first = {.token = c->prompt->ids[0], .logprob = NAN};
        answer_stream_echo(&c->stream, &first);
        return;
    }
    buf_init(&text, MAX_ECHO_BYTES);
    hearth_status status = tokenizer_decode(a->model->engine.tokenizer, c->prompt->ids,
                                            c->prompt->count, false, &text, &c->stream.err);
    event.text.data = buf_text(&text);
    event.text.length = text.length;
    if (status == HEARTH_OK)
        take_event(a, &event);
    else
        c->stream.status = status;
    buf_release(&text);
}

static void begin_choice(void *context) {
    struct local_choice *c = context;
    say_started(c->answer);
    if (c->answer->request->echo) echo_prompt(c);
}

static void score_token(void *context, const struct scheduler_token *token) {
    struct local_choice *c = context;
    const struct sampler_result result = {
        .token = token->token, .logprob = token->logprob, .top = token->top, .n_top = token->n_top};
    answer_stream_echo(&c->stream, &result);
}

static bool allow_tokens(void *context, const uint64_t **allowed) {
    struct local_choice *c = context;
    return answer_stream_allowed(&c->stream, allowed);
}

/* The context holds no more than this. */
static void note_told(struct local_answer *a, const struct scheduler_token *token) {
    if (!a->told || token->ends || a->n_told == context_length(a->model->engine.context)) return;
    a->told[a->n_told++] = token->token;
}

static enum scheduler_verdict take_token(void *context, const struct scheduler_token *token,
                                         struct scheduler_words *words) {
    struct local_choice *c = context;
    if (c->answer->request->max_tokens == 0) return SCHEDULER_STOP; /* only the prompt's scores */
    atomic_fetch_add(&c->answer->n_answer_now, 1);
    if (c->number == 0) note_told(c->answer, token);
    return answer_stream_take(&c->stream, token, words);
}

static void add_usage(struct local_answer *a, const struct local_choice *c,
                      const struct scheduler_result *result) {
    bool answers = a->request->max_tokens != 0;
    if (c->is_first) a->usage.n_cached += result->n_reused;
    a->usage.n_answer += answers ? result->n_generated : 0;
    a->usage.n_drafted += result->n_drafted;
    a->usage.n_accepted += result->n_accepted;
    a->usage.n_reasoning += c->stream.events.n_reasoning;
    a->usage.prompt_seconds = fmax(a->usage.prompt_seconds, result->prompt_seconds);
    a->usage.answer_seconds = fmax(a->usage.answer_seconds, result->generate_seconds);
}

static enum finish_reason reason_of(const struct local_choice *c, enum scheduler_reason reason) {
    if (c->answer->request->max_tokens == 0 && reason == SCHEDULER_STOPPED) return FINISH_LENGTH;
    switch (reason) {
    case SCHEDULER_ENDED: return FINISH_STOP;
    case SCHEDULER_STOPPED: return c->stream.why;
    case SCHEDULER_CANCELLED: return FINISH_CANCELLED;
    default: return FINISH_LENGTH;
    }
}

static void keep_told(struct local_answer *a) {
    if (!a->told) return;
    local_slots_keep(a->model->slots, a->request->slot, a->told, a->n_told, &a->adapters);
    a->told = NULL;
}

/* The choice is closed here, where its constraint is used. */
static void end_choice(void *context, const struct scheduler_result *result) {
    struct local_choice *c = context;
    struct local_answer *a = c->answer;
    add_usage(a, c, result);
    if (result->reason == SCHEDULER_FAILED && c->stream.status == HEARTH_OK) {
        c->stream.status = error_set(&c->stream.err, result->status, "%s", result->message);
    } else if (c->stream.status == HEARTH_OK) {
        answer_stream_finish(&c->stream, reason_of(c, result->reason));
    }
    if (c->stream.status != HEARTH_OK) {
        keep_failure(a, c->stream.status, &c->stream.err);
        local_answer_cancel(a);
    }
    submit_next(a);
    answer_stream_close(&c->stream);
    if (c->number == 0) keep_told(a);
    close_one(a);
}

/* ---- all choices --------------------------------------------------------------------- */

/* Room for all that the context can hold, as there is none to be taken while tokens come. */
static hearth_status open_told(struct local_answer *a, hearth_error *err) {
    const struct token_list *prompt = &a->prompts[0];
    if (!a->model->slots) return HEARTH_OK;
    a->told = mem_alloc_array(context_length(a->model->engine.context), sizeof *a->told);
    if (!a->told) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a slot");
    memcpy(a->told, prompt->ids, prompt->count * sizeof *a->told);
    a->n_told = (uint32_t)prompt->count;
    return HEARTH_OK;
}

static hearth_status open_choices(struct local_answer *a, hearth_error *err) {
    uint32_t n = a->request->n_choices;
    a->n_choices = a->n_prompts * n;
    a->choices = mem_calloc(a->n_choices, sizeof *a->choices);
    a->jobs = mem_calloc(a->n_choices, sizeof *a->jobs);
    if (!a->choices || !a->jobs)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu answers", a->n_choices);
    for (size_t i = 0; i < a->n_choices; i++) {
        struct local_choice *c = &a->choices[i];
        c->answer = a;
        c->number = (uint32_t)i;
        c->prompt = &a->prompts[i / n];
        c->is_first = i % n == 0;
    }
    return HEARTH_OK;
}

static hearth_status open_stream(struct local_choice *c, hearth_error *err) {
    const struct event_sink sink = {take_event, c->answer};
    return answer_stream_open(&c->stream, &c->answer->terms, sink, c->number, err);
}

static hearth_status submit_choices(struct local_answer *a, size_t first, uint32_t n,
                                    struct scheduler_job **job, hearth_error *err) {
    const struct request *r = a->request;
    struct scheduler_choice choices[REQUEST_MAX_CHOICES] = {0};
    struct sampler_params params[REQUEST_MAX_CHOICES];
    for (uint32_t i = 0; i < n; i++) {
        RETURN_IF_ERROR(open_stream(&a->choices[first + i], err));
        params[i] = request_sampling_of_choice(&a->sampling, (uint32_t)(first + i) % r->n_choices);
        choices[i] = (struct scheduler_choice){&params[i], &a->choices[first + i]};
    }
    int64_t most = r->max_tokens < 0 ? 0 : r->max_tokens == 0 ? 1 : r->max_tokens;
    const struct scheduler_request request = {
        .prompt = a->choices[first].prompt->ids,
        .n_prompt = (uint32_t)a->choices[first].prompt->count,
        .max_tokens = most > UINT32_MAX ? UINT32_MAX : (uint32_t)most,
        .priority = r->priority,
        .client = r->client,
        .ignore_end = r->ignore_end,
        .adapters = &a->adapters,
        .callbacks = {.begin = begin_choice,
                      .score = is_scored(a) ? score_token : NULL,
                      .allowed = allow_tokens,
                      .take = take_token,
                      .end = end_choice},
        .choices = choices,
        .n_choices = n};
    return scheduler_submit(a->model->scheduler, &request, job, err);
}

/* Choices [first, first + n), which share a prompt, as a job of the scheduler; under the mutex. */
static hearth_status submit(struct local_answer *a, size_t first, uint32_t n, hearth_error *err) {
    struct scheduler_job *job;
    atomic_fetch_add(&a->n_open, n);
    hearth_status status = submit_choices(a, first, n, &job, err);
    if (status == HEARTH_OK) {
        a->jobs[a->n_jobs++] = job;
        a->n_submitted += n;
        a->n_running += n;
        return HEARTH_OK;
    }
    atomic_fetch_sub(&a->n_open, n);
    for (uint32_t i = 0; i < n; i++)
        answer_stream_close(&a->choices[first + i].stream);
    return status;
}

/* As many as keep the scheduler busy; the others follow when these have ended: many prompts in one
 * request neither fill the queue nor are refused for want of room in it. */
static hearth_status submit_some(struct local_answer *a, hearth_error *err) {
    uint32_t n = is_scored(a) ? 1 : a->request->n_choices;
    size_t most = 2 * (size_t)context_settings(a->model->engine.context)->n_sequences;
    hearth_status status = HEARTH_OK;
    pthread_mutex_lock(&a->mutex);
    while (status == HEARTH_OK && a->n_submitted < a->n_choices && !atomic_load(&a->cancelled) &&
           (a->n_running == 0 || a->n_running + n <= most))
        status = submit(a, a->n_submitted, n, err);
    if (status == HEARTH_ERROR_LIMIT && a->n_running > 0) status = HEARTH_OK;
    pthread_mutex_unlock(&a->mutex);
    return status;
}

/* Choices that nobody will submit any more end, too. */
static void end_unsubmitted(struct local_answer *a) {
    pthread_mutex_lock(&a->mutex);
    bool over = atomic_load(&a->cancelled) && a->n_running == 0;
    size_t first = over ? a->n_submitted : a->n_choices;
    if (over) a->n_submitted = a->n_choices;
    pthread_mutex_unlock(&a->mutex);
    for (size_t i = first; i < a->n_choices; i++) {
        struct event finished = {.kind = EVENT_FINISHED, .choice = (uint32_t)i};
        finished.finished.reason = FINISH_CANCELLED;
        take_event(a, &finished);
    }
}

static hearth_status submit_all(struct local_answer *a, hearth_error *err) {
    hearth_status status = submit_some(a, err);
    if (status == HEARTH_OK) end_unsubmitted(a);
    return status;
}

/* A choice has ended. */
static void submit_next(struct local_answer *a) {
    hearth_error err = {0};
    pthread_mutex_lock(&a->mutex);
    a->n_running--;
    pthread_mutex_unlock(&a->mutex);
    hearth_status status = submit_all(a, &err);
    if (status == HEARTH_OK) return;
    keep_failure(a, status, &err);
    local_answer_cancel(a);
}

/* Nothing is to be generated: the prompts, where they are part of the answers. */
static hearth_status answer_nothing(struct local_answer *a, hearth_error *err) {
    say_started(a);
    for (size_t i = 0; i < a->n_choices; i++) {
        struct local_choice *c = &a->choices[i];
        RETURN_IF_ERROR(open_stream(c, err));
        if (a->request->echo) echo_prompt(c);
        if (!answer_stream_finish(&c->stream, FINISH_LENGTH)) {
            *err = c->stream.err;
            return c->stream.status;
        }
        answer_stream_close(&c->stream);
    }
    return HEARTH_OK;
}

/* What is too large in a request stays too large; HEARTH_ERROR_LIMIT, of jobs, passes with time. */
static hearth_status of_request(hearth_status status, hearth_error *err) {
    if (status != HEARTH_ERROR_LIMIT) return status;
    return err->code = HEARTH_ERROR_ARGUMENT;
}

static hearth_status answer_all(struct local_answer *a, hearth_error *err) {
    if (!a->model->scheduler)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' embeds texts, it does not answer",
                         a->model->name);
    RETURN_IF_ERROR(of_request(request_terms_make(a, err), err));
    RETURN_IF_ERROR(open_choices(a, err));
    if (a->request->max_tokens != 0) RETURN_IF_ERROR(open_told(a, err));
    if (a->request->max_tokens != 0 || is_scored(a)) return submit_all(a, err);
    return answer_nothing(a, err);
}

/* ---- what is no answer ----------------------------------------------------------------- */

static hearth_status embed_all(struct local_answer *a, hearth_error *err) {
    struct event event = {.kind = EVENT_EMBEDDING};
    size_t n_embd = a->model->engine.model.config.n_embd;
    float *values = mem_alloc_array(n_embd, sizeof *values);
    if (!values) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an embedding");
    event.embedding.values = values;
    event.embedding.n = n_embd;
    hearth_status status = HEARTH_OK;
    say_started(a);
    for (size_t i = 0; i < a->n_prompts && status == HEARTH_OK; i++) {
        if (atomic_load(&a->cancelled)) break;
        status =
            of_request(local_model_embed(a->model, &a->prompts[i], &a->adapters, values, err), err);
        event.choice = (uint32_t)i;
        if (status == HEARTH_OK) take_event(a, &event);
    }
    mem_free(values);
    return status;
}

/* No message at all: that the model is loaded was all that was asked, or that it no longer is. */
static void say_loaded(struct local_answer *a) {
    struct event finished = {.kind = EVENT_FINISHED};
    finished.finished.reason = FINISH_STOP;
    if (a->model) say_started(a);
    take_event(a, &finished);
}

static hearth_status answer_request(struct local_answer *a, hearth_error *err) {
    if (a->request->kind == REQUEST_CHAT && json_array_size(a->request->messages) == 0) {
        say_loaded(a);
        return HEARTH_OK;
    }
    RETURN_IF_ERROR(local_adapters_choose(a->model, a->request, &a->adapters, err));
    RETURN_IF_ERROR(of_request(request_terms_prompts(a, err), err));
    atomic_store(&a->n_prompt_now, a->usage.n_prompt);
    switch (a->request->kind) {
    case REQUEST_EMBED: return embed_all(a, err);
    case REQUEST_COUNT: say_started(a); return HEARTH_OK;
    default: return answer_all(a, err);
    }
}

/* ---- the whole of it --------------------------------------------------------------------- */

void local_answer_init(struct local_answer *a) {
    pthread_mutex_init(&a->mutex, NULL);
    atomic_init(&a->cancelled, false);
    atomic_init(&a->has_begun, false);
    atomic_init(&a->n_prompt_now, 0);
    atomic_init(&a->n_answer_now, 0);
    atomic_init(&a->listening, true);
    atomic_init(&a->n_open, 1);
}

static void say_cancelled(struct local_answer *a) {
    struct event finished = {.kind = EVENT_FINISHED};
    finished.finished.reason = FINISH_CANCELLED;
    a->usage.queue_seconds = clock_seconds_since(a->queued_ns);
    take_event(a, &finished);
}

void local_answer_run(struct local_answer *a) {
    hearth_error err = {0};
    hearth_status status = HEARTH_OK;
    if (atomic_load(&a->cancelled))
        say_cancelled(a);
    else
        status = answer_request(a, &err);
    if (status != HEARTH_OK) {
        keep_failure(a, status, &err);
        local_answer_cancel(a);
    }
    close_one(a);
}

void local_answer_refuse(struct local_answer *a, const hearth_error *problem) {
    keep_failure(a, problem->code, problem);
    close_one(a);
}

void local_answer_cancel(struct local_answer *a) {
    pthread_mutex_lock(&a->mutex);
    atomic_store(&a->cancelled, true);
    for (size_t i = 0; i < a->n_jobs; i++)
        scheduler_cancel(a->jobs[i]);
    pthread_mutex_unlock(&a->mutex);
}

void local_answer_release(struct local_answer *a) {
    for (size_t i = 0; i < a->n_jobs; i++)
        scheduler_finish(a->jobs[i]);
    for (size_t i = 0; a->choices && i < a->n_choices; i++)
        answer_stream_close(&a->choices[i].stream);
    request_terms_release(a);
    mem_free(a->choices);
    mem_free(a->jobs);
    mem_free(a->told);
    pthread_mutex_destroy(&a->mutex);
}
