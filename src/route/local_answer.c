#include "route/local_answer.h"

#include "base/mem.h"
#include "infer/generator.h"
#include "route/answer_events.h"
#include "route/request_prompt.h"
#include "route/request_sampling.h"

#define MAX_ECHO_BYTES ((size_t)64 << 20)

/* Prompts are made before the first event, so that a request that cannot be answered fails
 * before anything of it is out. */
struct answering {
    const struct local_answer *answer;
    struct local_model *model;
    const struct request *request;
    struct token_list *prompts; /* [n_prompts] */
    size_t n_prompts;
    bool thinks;  /* the prompt of a chat ends inside the model's thinking */
    bool stopped; /* cancelled, or nobody listens */
    struct event_usage usage;
    const char *stops[REQUEST_MAX_STOPS];
    size_t n_stops;
};

/* One choice being generated. */
struct choice {
    struct answering *answering;
    struct answer_events events;
};

static void send(const struct answering *a, const struct event *event) {
    a->answer->sink.take(a->answer->sink.context, event);
}

static hearth_status read_stops(struct answering *a, hearth_error *err) {
    size_t n = json_array_size(a->request->stops);
    if (n > REQUEST_MAX_STOPS)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%zu stop texts, at most %d", n,
                         REQUEST_MAX_STOPS);
    for (size_t i = 0; i < n; i++) {
        const json_t *stop = json_array_get(a->request->stops, i);
        if (json_string_length(stop) > GENERATION_STOP_BYTES)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "a stop text of %zu bytes, at most %d",
                             json_string_length(stop), GENERATION_STOP_BYTES);
        a->stops[a->n_stops++] = json_string_value(stop);
    }
    return HEARTH_OK;
}

/* ---- prompts -------------------------------------------------------------- */

static hearth_status check_prompt(const struct answering *a, const struct token_list *prompt,
                                  hearth_error *err) {
    uint32_t n_ctx = context_length(a->model->engine.context);
    if (prompt->count <= n_ctx) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the prompt has %zu tokens, the context of '%s' holds %u", prompt->count,
                     a->model->name, n_ctx);
}

static hearth_status make_prompts(struct answering *a, hearth_error *err) {
    const struct request *r = a->request;
    const struct tokenizer *tokenizer = a->model->engine.tokenizer;
    bool chats = r->kind == REQUEST_CHAT || r->kind == REQUEST_COUNT;
    a->n_prompts = chats ? 1 : json_array_size(r->inputs);
    a->prompts = mem_calloc(a->n_prompts ? a->n_prompts : 1, sizeof *a->prompts);
    if (!a->prompts) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the prompt");
    if (chats)
        RETURN_IF_ERROR(
            request_prompt_chat(r, tokenizer, a->model->template, &a->prompts[0], &a->thinks, err));
    for (size_t i = 0; !chats && i < a->n_prompts; i++)
        RETURN_IF_ERROR(
            request_prompt_input(json_array_get(r->inputs, i), tokenizer, &a->prompts[i], err));
    for (size_t i = 0; i < a->n_prompts && r->kind != REQUEST_COUNT; i++)
        RETURN_IF_ERROR(check_prompt(a, &a->prompts[i], err));
    for (size_t i = 0; i < a->n_prompts; i++)
        a->usage.n_prompt += a->prompts[i].count;
    return HEARTH_OK;
}

static void release_prompts(struct answering *a) {
    for (size_t i = 0; a->prompts && i < a->n_prompts; i++)
        token_list_release(&a->prompts[i]);
    mem_free(a->prompts);
}

/* ---- one choice ------------------------------------------------------------ */

static bool goes_on(struct choice *c) {
    struct answering *a = c->answering;
    if (!c->events.listening || !a->answer->goes_on(a->answer->context)) a->stopped = true;
    return !a->stopped;
}

static bool take_text(void *context, const char *text, size_t n) {
    struct choice *c = context;
    return answer_events_text(&c->events, text, n);
}

static bool take_token(void *context, const struct sampler_result *token, size_t text_bytes) {
    struct choice *c = context;
    return answer_events_token(&c->events, token, text_bytes) && goes_on(c);
}

static bool take_progress(void *context, uint32_t done, uint32_t total) {
    (void)done;
    (void)total;
    return goes_on(context);
}

static void add_usage(struct answering *a, const struct choice *c,
                      const struct generation_stats *stats) {
    a->usage.n_cached += stats->n_reused;
    a->usage.n_answer += stats->n_generated;
    a->usage.n_reasoning += c->events.n_reasoning;
    a->usage.n_drafted += stats->n_drafted;
    a->usage.n_accepted += stats->n_accepted;
    a->usage.prompt_seconds += stats->prompt_seconds;
    a->usage.answer_seconds += stats->generate_seconds;
}

static enum finish_reason reason_of(enum generation_end end) {
    switch (end) {
    case GENERATION_STOP: return FINISH_STOP;
    case GENERATION_STOP_TEXT: return FINISH_STOP_TEXT;
    case GENERATION_CANCELLED: return FINISH_CANCELLED;
    default: return FINISH_LENGTH;
    }
}

static uint32_t most_tokens(const struct request *r) {
    if (r->max_tokens < 0) return 0; /* until the context is full */
    return r->max_tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)r->max_tokens;
}

static hearth_status generate_choice(struct choice *c, const struct token_list *prompt,
                                     struct sampler *sampler, hearth_error *err) {
    struct answering *a = c->answering;
    const struct local_model *m = a->model;
    const struct generation_options options = {.max_tokens = most_tokens(a->request),
                                               .ignore_end = a->request->ignore_end,
                                               .stops = a->stops,
                                               .n_stops = a->n_stops,
                                               .on_text = take_text,
                                               .on_token = take_token,
                                               .on_progress = take_progress,
                                               .context = c,
                                               .speculation = m->drafting.speculation};
    struct generation_stats stats = {.end = GENERATION_LENGTH};
    hearth_status status = HEARTH_OK;
    if (a->request->max_tokens != 0)
        status = generate(m->session, sampler, m->workspace, m->engine.tokenizer, prompt->ids,
                          (uint32_t)prompt->count, &options, &stats, err);
    if (status == HEARTH_ERROR_CANCELLED) {
        stats.end = GENERATION_CANCELLED;
        status = HEARTH_OK;
    }
    add_usage(a, c, &stats);
    if (status == HEARTH_OK)
        answer_events_finish(&c->events, reason_of(stats.end),
                             stats.end == GENERATION_STOP_TEXT ? a->stops[stats.stop] : NULL);
    return status;
}

/* The prompt stands in front of its answer. */
static hearth_status echo_prompt(const struct answering *a, const struct token_list *prompt,
                                 const struct answer_events *events, hearth_error *err) {
    struct event event = {.kind = EVENT_TEXT, .choice = events->choice};
    struct buf text;
    if (!a->request->echo || a->request->kind != REQUEST_TEXT) return HEARTH_OK;
    buf_init(&text, MAX_ECHO_BYTES);
    hearth_status status =
        tokenizer_decode(a->model->engine.tokenizer, prompt->ids, prompt->count, false, &text, err);
    event.text.data = buf_text(&text);
    event.text.length = text.length;
    if (status == HEARTH_OK) send(a, &event);
    buf_release(&text);
    return status;
}

static hearth_status answer_choice(struct answering *a, const struct token_list *prompt,
                                   uint32_t number, uint32_t choice, hearth_error *err) {
    struct choice c = {.answering = a};
    struct sampler *sampler = NULL;
    const struct answer_events_options options = {.splits = a->request->kind == REQUEST_CHAT,
                                                  .inside_thinking = a->thinks,
                                                  .n_logprobs = a->request->n_logprobs};
    hearth_status status = answer_events_init(&c.events, a->answer->sink, choice,
                                              a->model->engine.tokenizer, &options, err);
    if (status == HEARTH_OK)
        status = request_sampling_open(&sampler, a->request, &a->model->sampling,
                                       a->model->engine.tokenizer,
                                       a->model->engine.model.config.n_vocab, number, err);
    if (status == HEARTH_OK) status = echo_prompt(a, prompt, &c.events, err);
    if (status == HEARTH_OK) status = generate_choice(&c, prompt, sampler, err);
    sampler_close(sampler);
    answer_events_release(&c.events);
    return status;
}

/* ---- whole requests ---------------------------------------------------------- */

static void finish_cancelled(const struct answering *a, uint32_t choice) {
    struct event event = {.kind = EVENT_FINISHED, .choice = choice};
    event.finished.reason = FINISH_CANCELLED;
    send(a, &event);
}

static hearth_status answer_all(struct answering *a, hearth_error *err) {
    uint32_t choice = 0;
    if (!a->model->session)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' embeds texts, it does not answer",
                         a->model->name);
    for (size_t i = 0; i < a->n_prompts; i++)
        for (uint32_t k = 0; k < a->request->n_choices; k++, choice++)
            if (a->stopped)
                finish_cancelled(a, choice);
            else
                RETURN_IF_ERROR(answer_choice(a, &a->prompts[i], k, choice, err));
    return HEARTH_OK;
}

static hearth_status embed_all(struct answering *a, hearth_error *err) {
    struct event event = {.kind = EVENT_EMBEDDING};
    size_t n_embd = a->model->engine.model.config.n_embd;
    float *values = mem_alloc_array(n_embd, sizeof *values);
    if (!values) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an embedding");
    if (a->model->session) session_clear(a->model->session);
    event.embedding.values = values;
    event.embedding.n = n_embd;
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < a->n_prompts && status == HEARTH_OK; i++) {
        if (!a->answer->goes_on(a->answer->context)) break;
        status = context_embed(a->model->engine.context, 0, a->prompts[i].ids,
                               (uint32_t)a->prompts[i].count, values, err);
        event.choice = (uint32_t)i;
        if (status == HEARTH_OK) send(a, &event);
    }
    mem_free(values);
    return status;
}

static hearth_status check_request(const struct request *r, hearth_error *err) {
    if (r->constraint != CONSTRAINT_NONE)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "answers of a given form are not possible with this backend");
    if (r->suffix)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "filling a gap is not possible with this backend");
    if (json_array_size(r->adapters) > 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "adapters are chosen for all requests, with --lora");
    if (r->tool_choice == TOOLS_REQUIRED || r->tool_choice == TOOLS_NAMED)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "calls of tools cannot be required of this backend");
    if (r->echo && r->n_logprobs >= 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "log-probabilities of the prompt are not possible with this backend");
    return HEARTH_OK;
}

/* No message at all: whether the model is loaded was all that was asked. */
static void answer_nothing(const struct answering *a) {
    struct event finished = {.kind = EVENT_FINISHED};
    finished.finished.reason = FINISH_STOP;
    send(a, &finished);
}

static hearth_status answer_request(struct answering *a, hearth_error *err) {
    struct event started = {.kind = EVENT_STARTED, .model = a->model->name};
    RETURN_IF_ERROR(check_request(a->request, err));
    if (a->request->kind == REQUEST_CHAT && json_array_size(a->request->messages) == 0) {
        send(a, &started);
        answer_nothing(a);
        return HEARTH_OK;
    }
    RETURN_IF_ERROR(read_stops(a, err));
    RETURN_IF_ERROR(make_prompts(a, err));
    send(a, &started);
    switch (a->request->kind) {
    case REQUEST_EMBED: return embed_all(a, err);
    case REQUEST_COUNT: return HEARTH_OK;
    default: return answer_all(a, err);
    }
}

void local_answer_run(const struct local_answer *answer) {
    struct answering a = {.answer = answer, .model = answer->model, .request = answer->request};
    hearth_error err = {0};
    struct event last = {.kind = EVENT_DONE};
    a.usage.queue_seconds = answer->queue_seconds;
    hearth_status status = answer_request(&a, &err);
    last.usage = a.usage;
    if (status != HEARTH_OK) {
        last.kind = EVENT_FAILED;
        last.failed.status = status;
        last.failed.message = err.message;
    }
    send(&a, &last);
    release_prompts(&a);
}
