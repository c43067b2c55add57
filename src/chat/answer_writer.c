/* One answer being written: keeps what its dialect needs, and calls the dialect. */
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_table.h"

/* ---- opening ---- */

static char *prefixed(const char *prefix, const char *id) {
    struct buf text;
    buf_init(&text, 4096);
    buf_append_text(&text, prefix);
    buf_append_text(&text, id);
    char *whole = buf_take(&text);
    buf_release(&text);
    return whole;
}

/* Models are named after files, whose names may be any bytes. */
static char *model_name(const char *name) {
    json_t *mended = text_json(name, strlen(name));
    char *copy = mended ? mem_strdup(json_string_value(mended)) : NULL;
    json_decref(mended);
    return copy;
}

static bool open_lists(struct answer_writer *w, const struct request *request) {
    size_t n_inputs = request->kind == REQUEST_TEXT || request->kind == REQUEST_EMBED
                          ? json_array_size(request->inputs)
                          : 1;
    if (request->kind == REQUEST_EMBED) {
        w->n_vectors = n_inputs;
        w->vectors = mem_calloc(n_inputs, sizeof w->vectors[0]);
        return w->vectors || n_inputs == 0;
    }
    w->n_choices = n_inputs * request->n_choices;
    w->choices = mem_calloc(w->n_choices, sizeof w->choices[0]);
    for (size_t i = 0; w->choices && i < w->n_choices; i++) {
        buf_init(&w->choices[i].reasoning, ANSWER_MAX_BYTES);
        buf_init(&w->choices[i].text, ANSWER_MAX_BYTES);
    }
    return w->choices || w->n_choices == 0;
}

hearth_status answer_writer_open(struct answer_writer **out, enum endpoint endpoint,
                                 const struct request *request,
                                 const struct answer_identity *identity, hearth_error *err) {
    const struct answer_ops *ops = endpoint_ops_of(endpoint)->answer;
    struct answer_writer *w = mem_calloc(1, sizeof *w);
    *out = NULL;
    if (!w) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
    *w = (struct answer_writer){.ops = ops,
                                .created_s = identity->created_s,
                                .stream = request->stream && ops->stream,
                                .stream_usage = request->stream_usage,
                                .wants_logprobs = request->n_logprobs >= 0,
                                .id = prefixed(ops->id_prefix, identity->id),
                                .model = model_name(identity->model ? identity->model : ""),
                                .shape = json_incref(request->answer_shape),
                                .only_loads = request->kind == REQUEST_CHAT &&
                                              json_array_size(request->messages) == 0};
    if (open_lists(w, request) && w->id && w->model) {
        *out = w;
        return HEARTH_OK;
    }
    answer_writer_close(w);
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
}

static void release_choice(struct answer_choice *choice) {
    for (size_t i = 0; i < choice->n_calls; i++) {
        mem_free(choice->calls[i].id);
        mem_free(choice->calls[i].name);
        buf_release(&choice->calls[i].arguments);
    }
    mem_free(choice->calls);
    buf_release(&choice->reasoning);
    buf_release(&choice->text);
    json_decref(choice->logprobs);
    mem_free(choice->stop_text);
}

void answer_writer_close(struct answer_writer *w) {
    if (!w) return;
    for (size_t i = 0; w->choices && i < w->n_choices; i++)
        release_choice(&w->choices[i]);
    for (size_t i = 0; w->vectors && i < w->n_vectors; i++)
        mem_free(w->vectors[i].values);
    mem_free(w->choices);
    mem_free(w->vectors);
    json_decref(w->shape);
    json_decref(w->items);
    mem_free(w->id);
    mem_free(w->model);
    mem_free(w);
}

const char *answer_writer_content_type(const struct answer_writer *w) {
    if (!w->stream) return "application/json";
    return w->ops->lines ? "application/x-ndjson" : "text/event-stream";
}

const struct dialect_problem *answer_writer_problem(const struct answer_writer *w) {
    return w->problem.http_status != 0 ? &w->problem : NULL;
}

/* ---- keeping what comes ---- */

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an answer");
}

static hearth_status too_much(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_LIMIT, "the answer is too large to be kept");
}

static hearth_status keep_text(struct answer_writer *w, const struct event *event,
                               hearth_error *err) {
    struct answer_choice *choice = &w->choices[event->choice];
    struct buf *to = event->kind == EVENT_TEXT ? &choice->text : &choice->reasoning;
    if (!buf_append(to, event->text.data, event->text.length)) return too_much(err);
    if (event->kind != EVENT_TEXT || !w->wants_logprobs || !w->ops->add_logprob) return HEARTH_OK;
    for (size_t i = 0; i < event->text.n_logprobs; i++) {
        w->n_logprobs += 1 + event->text.logprobs[i].n_top;
        if (w->n_logprobs > ANSWER_MAX_LOGPROBS) return too_much(err);
        if (!w->ops->add_logprob(&choice->logprobs, &event->text.logprobs[i],
                                 &choice->n_characters))
            return no_memory(err);
    }
    return HEARTH_OK;
}

static hearth_status add_call(struct answer_choice *choice, const struct event *event,
                              hearth_error *err) {
    if (choice->n_calls == ANSWER_MAX_CALLS) return too_much(err);
    struct answer_call *calls =
        mem_realloc_array(choice->calls, choice->n_calls + 1, sizeof choice->calls[0]);
    if (!calls) return no_memory(err);
    choice->calls = calls;
    struct answer_call *call = &calls[choice->n_calls++];
    *call = (struct answer_call){
        .id = mem_strdup(event->tool_call.id ? event->tool_call.id : "call_0"),
        .name = mem_strdup(event->tool_call.name ? event->tool_call.name : "")};
    buf_init(&call->arguments, ANSWER_MAX_BYTES);
    return call->id && call->name ? HEARTH_OK : no_memory(err);
}

/* Calls come in the order of their numbers. */
static hearth_status keep_call(struct answer_writer *w, const struct event *event,
                               hearth_error *err) {
    struct answer_choice *choice = &w->choices[event->choice];
    uint32_t index = event->tool_call.index;
    if (index > choice->n_calls)
        return error_set(err, HEARTH_ERROR_INTERNAL, "call %u of tools came before call %zu", index,
                         choice->n_calls);
    if (index == choice->n_calls) RETURN_IF_ERROR(add_call(choice, event, err));
    if (event->tool_call.length > 0 &&
        !buf_append(&choice->calls[index].arguments, event->tool_call.arguments,
                    event->tool_call.length))
        return too_much(err);
    return HEARTH_OK;
}

static hearth_status keep_vector(struct answer_writer *w, const struct event *event,
                                 hearth_error *err) {
    struct answer_vector *vector = &w->vectors[event->choice];
    size_t n = event->embedding.n;
    if (vector->values) return HEARTH_OK;
    if (n > ANSWER_MAX_EMBEDDED - w->n_embedded) return too_much(err);
    vector->values = mem_alloc_array(n > 0 ? n : 1, sizeof vector->values[0]);
    if (!vector->values) return no_memory(err);
    if (n > 0) memcpy(vector->values, event->embedding.values, n * sizeof vector->values[0]);
    vector->n = n;
    w->n_embedded += n;
    return HEARTH_OK;
}

static hearth_status keep_end(struct answer_writer *w, const struct event *event,
                              hearth_error *err) {
    struct answer_choice *choice = &w->choices[event->choice];
    choice->reason = event->finished.reason;
    if (choice->reason != FINISH_STOP_TEXT || !event->finished.stop_text) return HEARTH_OK;
    mem_free(choice->stop_text);
    choice->stop_text = mem_strdup(event->finished.stop_text);
    return choice->stop_text ? HEARTH_OK : no_memory(err);
}

static hearth_status keep(struct answer_writer *w, const struct event *event, hearth_error *err) {
    bool whole = !w->stream && !w->ops->follows;
    switch (event->kind) {
    case EVENT_STARTED:
        if (!event->model) return HEARTH_OK;
        mem_free(w->model);
        w->model = model_name(event->model);
        return w->model ? HEARTH_OK : no_memory(err);
    case EVENT_REASONING:
    case EVENT_TEXT: return whole ? keep_text(w, event, err) : HEARTH_OK;
    case EVENT_TOOL_CALL:
        return whole || w->ops->keeps_calls ? keep_call(w, event, err) : HEARTH_OK;
    case EVENT_EMBEDDING: return keep_vector(w, event, err);
    case EVENT_FINISHED: return keep_end(w, event, err);
    case EVENT_DONE: w->usage = event->usage; return HEARTH_OK;
    case EVENT_FAILED: return HEARTH_OK;
    }
    return HEARTH_OK;
}

/* ---- writing ---- */

static bool index_is_right(const struct answer_writer *w, const struct event *event) {
    switch (event->kind) {
    case EVENT_REASONING:
    case EVENT_TEXT:
    case EVENT_TOOL_CALL:
    case EVENT_FINISHED: return event->choice < w->n_choices;
    case EVENT_EMBEDDING: return event->choice < w->n_vectors;
    case EVENT_STARTED:
    case EVENT_DONE:
    case EVENT_FAILED: break;
    }
    return true;
}

/* Half an event is worse than none. */
static hearth_status take_back(struct buf *out, size_t before, hearth_error *err) {
    bool full = out->failed;
    out->length = before;
    if (out->data) out->data[before] = '\0';
    return full ? error_set(err, HEARTH_ERROR_LIMIT, "the answer does not fit into its buffer")
                : no_memory(err);
}

static hearth_status put_failure(struct answer_writer *w, const struct event *event,
                                 struct buf *out, hearth_error *err) {
    w->ended = true;
    dialect_problem_of_failure(event->failed.status, event->failed.message, &w->problem);
    w->problem.excess = event->failed.excess;
    if (!w->stream || !w->begun) return HEARTH_OK;
    size_t before = out->length;
    return w->ops->failure(w, out) ? HEARTH_OK : take_back(out, before, err);
}

hearth_status answer_writer_put(struct answer_writer *w, const struct event *event, struct buf *out,
                                hearth_error *err) {
    if (w->ended) return error_set(err, HEARTH_ERROR_ARGUMENT, "the answer has ended");
    if (!index_is_right(w, event))
        return error_set(err, HEARTH_ERROR_INTERNAL, "there is no choice %u", event->choice);
    if (event->kind == EVENT_FAILED) return put_failure(w, event, out, err);
    RETURN_IF_ERROR(keep(w, event, err));
    size_t before = out->length;
    bool ok = true;
    if (w->stream || w->ops->follows)
        ok = w->ops->stream(w, event, out);
    else if (event->kind == EVENT_DONE)
        ok = w->ops->body(w, out);
    if (!ok) return take_back(out, before, err);
    w->begun |= out->length > before;
    w->ended = event->kind == EVENT_DONE;
    return HEARTH_OK;
}
