#include "cli/chat.h"

#include <string.h>

#include "cli/answer_printer.h"
#include "cli/interrupt.h"

hearth_status chat_open(struct chat *c, struct backend *backend, const json_t *model,
                        struct chat_settings *settings, bool raw, hearth_error *err) {
    *c = (struct chat){.backend = backend, .model = model, .settings = settings};
    c->raw = raw || !json_is_true(json_object_get(model, "has_template"));
    sampling_take_model(&settings->sampling, json_object_get(model, "sampling"));
    RETURN_IF_ERROR(sampling_check(&settings->sampling, err));
    RETURN_IF_ERROR(conversation_init(&c->conversation, err));
    hearth_status status = HEARTH_OK;
    if (settings->system) status = conversation_set_system(&c->conversation, settings->system, err);
    if (status != HEARTH_OK) chat_close(c);
    return status;
}

void chat_close(struct chat *c) {
    conversation_release(&c->conversation);
    *c = (struct chat){0};
}

/* ---- requests ---------------------------------------------------------------- */

static json_t *stops_of(const struct option_list *stops) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < stops->count; i++)
        if (json_array_append_new(list, json_string(stops->items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* Texts of requests are UTF-8: other bytes go as tokens. */
static json_t *inputs_of(const struct chat *c, const char *text, hearth_error *err) {
    const struct backend_text bytes = {.data = text, .length = strlen(text), .add_special = true};
    json_t *inputs = json_pack("[s]", text);
    if (inputs) return inputs;
    inputs = json_pack("[[]]");
    if (inputs && backend_tokenize(c->backend, &bytes, json_array_get(inputs, 0), err) == HEARTH_OK)
        return inputs;
    json_decref(inputs);
    return NULL;
}

static hearth_status make_request(const struct chat *c, const char *text, struct request *r,
                                  hearth_error *err) {
    static const enum request_switch switches[] = {
        [THINKING_AUTO] = SWITCH_UNSET, [THINKING_ON] = SWITCH_ON, [THINKING_OFF] = SWITCH_OFF};
    const struct chat_settings *s = c->settings;
    request_init(r);
    r->kind = c->raw ? REQUEST_TEXT : REQUEST_CHAT;
    if (c->raw)
        r->inputs = inputs_of(c, text, err);
    else
        r->messages = json_incref(c->conversation.messages);
    if (!r->inputs && !r->messages) return HEARTH_ERROR_NO_MEMORY;
    r->stops = stops_of(&s->stops);
    if (!r->stops) return error_set(err, HEARTH_ERROR_ARGUMENT, "a stop text is not valid UTF-8");
    r->max_tokens = s->max_tokens > 0 ? s->max_tokens : -1;
    r->ignore_end = s->ignore_end;
    r->shows_control = s->show_special;
    r->leaves_out_oldest = true;
    r->thinking = switches[s->thinking];
    r->thinking_budget = s->thinking_budget;
    r->stream = true;
    return sampling_request(&s->sampling, &r->sampling, err);
}

/* Until the answer is over; Ctrl-C ends it. When it begins, its prompt is computed. */
static void await(const struct chat *c, const struct request *request, struct job *job,
                  const struct answer_printer *printer) {
    bool cancelled = false;
    while (!answer_printer_is_over(printer)) {
        interrupt_wait();
        if (interrupt_requested() && !cancelled) {
            job_cancel(job);
            cancelled = true;
        }
        if (c->prompt_cache && answer_printer_has_begun(printer))
            prompt_cache_save_prompt(c->prompt_cache, request);
    }
    job_finish(job);
}

static hearth_status run_request(struct chat *c, const struct request *request,
                                 struct answer_printer *printer, hearth_error *err) {
    struct interrupt_guard guard;
    struct job *job;
    if (c->prompt_cache) prompt_cache_read(c->prompt_cache, request);
    interrupt_begin(&guard);
    hearth_status status =
        backend_start(c->backend, request, answer_printer_sink(printer), &job, err);
    if (status == HEARTH_OK) await(c, request, job, printer);
    interrupt_end(&guard);
    if (status != HEARTH_OK) return status;
    if (printer->status != HEARTH_OK)
        return error_set(err, printer->status, "%s", printer->err.message);
    return HEARTH_OK;
}

/* ---- answers ------------------------------------------------------------------- */

bool chat_filled_context(const struct chat *c) {
    int64_t most = c->settings->max_tokens;
    return c->reason == FINISH_LENGTH && (most <= 0 || c->usage.n_answer < (uint64_t)most);
}

static const char *end_of(const struct chat *c) {
    switch (c->reason) {
    case FINISH_STOP_TEXT: return "stop text";
    case FINISH_LENGTH: return chat_filled_context(c) ? "context full" : "token limit";
    case FINISH_CANCELLED: return "stopped by you";
    default: return "end of answer";
    }
}

static hearth_status print_json(const struct chat *c, const struct answer_printer *p,
                                hearth_error *err) {
    const struct event_usage *u = &c->usage;
    json_t *answer = json_pack(
        "{s:O?, s:s%, s:s%, s:s, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}}", "model",
        json_object_get(c->model, "name"), "content", buf_text(&p->content), p->content.length,
        "reasoning", buf_text(&p->reasoning), p->reasoning.length, "end", end_of(c), "usage",
        "prompt_tokens", (json_int_t)u->n_prompt, "cached_tokens", (json_int_t)u->n_cached,
        "answer_tokens", (json_int_t)u->n_answer, "reasoning_tokens", (json_int_t)u->n_reasoning,
        "drafted_tokens", (json_int_t)u->n_drafted, "accepted_tokens", (json_int_t)u->n_accepted,
        "prompt_seconds", u->prompt_seconds, "answer_seconds", u->answer_seconds);
    int failed = answer ? json_dumpf(answer, stdout, JSON_INDENT(1)) : -1;
    json_decref(answer);
    if (!failed) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_IO, "the answer cannot be written as JSON");
}

hearth_status chat_answer(struct chat *c, const char *text, hearth_error *err) {
    struct request request;
    struct answer_printer printer;
    const struct answer_printer_settings settings = {
        .out = c->settings->json ? NULL : stdout,
        .hide_thinking = c->settings->hide_thinking,
        .n_ctx = (uint32_t)json_integer_value(json_object_get(c->model, "n_ctx")),
        .n_left_out = c->n_left_out,
        .wake = interrupt_wake};
    answer_printer_init(&printer, &settings);
    hearth_status status = make_request(c, text, &request, err);
    if (status == HEARTH_OK) status = run_request(c, &request, &printer, err);
    if (status == HEARTH_OK) {
        c->usage = printer.usage;
        c->reason = printer.reason;
        c->n_left_out = printer.n_left_out;
        if (c->settings->json) status = print_json(c, &printer, err);
        if (c->prompt_cache)
            prompt_cache_take_answer(c->prompt_cache, &request, buf_text(&printer.content),
                                     printer.content.length);
    }
    if (status == HEARTH_OK && !c->raw)
        status = conversation_add(&c->conversation, "assistant", buf_text(&printer.content), err);
    request_release(&request);
    answer_printer_release(&printer);
    return status;
}

void chat_print_stats(const struct chat *c, FILE *stream) {
    const struct event_usage *u = &c->usage;
    uint64_t computed = u->n_prompt - u->n_cached;
    fprintf(stream,
            "prompt %llu tokens (%llu reused), %.1f tokens/s; answer %llu tokens, %.1f tokens/s; "
            "%llu of %llu drafted accepted; %s\n",
            (unsigned long long)u->n_prompt, (unsigned long long)u->n_cached,
            u->prompt_seconds > 0 ? (double)computed / u->prompt_seconds : 0.0,
            (unsigned long long)u->n_answer,
            u->answer_seconds > 0 ? (double)u->n_answer / u->answer_seconds : 0.0,
            (unsigned long long)u->n_accepted, (unsigned long long)u->n_drafted, end_of(c));
}

/* ---- settings ------------------------------------------------------------------ */

static void print_setting(const struct option_spec *spec) {
    if (spec->type == OPTION_FLOAT)
        printf("  %-20s %g\n", spec->name, *spec->number);
    else if (spec->type == OPTION_INT)
        printf("  %-20s %lld\n", spec->name, (long long)*spec->integer);
}

hearth_status chat_set(struct chat *c, const char *name, const char *value, hearth_error *err) {
    struct option_spec specs[SAMPLING_SPECS];
    struct sampling_settings wanted;
    size_t n = sampling_specs(&wanted, specs);
    wanted = c->settings->sampling;
    for (size_t i = 0; i < n; i++) {
        if (!*name)
            print_setting(&specs[i]);
        else if (option_is_called(&specs[i], name)) {
            RETURN_IF_ERROR(option_set(&specs[i], name, value, err));
            RETURN_IF_ERROR(sampling_check(&wanted, err));
            c->settings->sampling = wanted;
            return HEARTH_OK;
        }
    }
    if (!*name) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no setting '%s'; '/set' lists them", name);
}
