/* Errors, bodies and chunks that OpenAI's endpoints share. */
#include "chat/dialect_openai.h"

#include <string.h>

/* Clients that shorten conversations look for the first words where they do not know the code. */
static void put_excess(const struct dialect_problem *problem, struct buf *message) {
    buf_append_format(message,
                      "this model's maximum context length is %llu tokens, but the prompt has "
                      "%llu; send a shorter one",
                      (unsigned long long)problem->excess.n_ctx,
                      (unsigned long long)problem->excess.n_prompt);
}

json_t *openai_problem(const struct dialect_problem *problem) {
    int status = problem->http_status;
    bool is_model = strcmp(problem->parameter, "model") == 0;
    const char *code = status == 401           ? "invalid_api_key"
                       : status == 404         ? (is_model ? "model_not_found" : "unknown_url")
                       : status == 429         ? "rate_limit_exceeded"
                       : problem->excess.n_ctx ? "context_length_exceeded"
                                               : NULL;
    const char *type = status == 429   ? "rate_limit_error"
                       : status >= 500 ? "server_error"
                                       : "invalid_request_error";
    struct buf message;
    buf_init(&message, 2048);
    if (problem->excess.n_ctx)
        put_excess(problem, &message);
    else if (problem->parameter[0] && status != 404)
        buf_append_format(&message, "'%s' %s", problem->parameter, problem->message);
    else
        buf_append_text(&message, problem->message);
    json_t *error = json_pack(
        "{s:{s:o, s:s, s:o, s:s?}}", "error", "message", buf_json(&message), "type", type, "param",
        problem->parameter[0] ? text_json(problem->parameter, strlen(problem->parameter))
                              : json_null(),
        "code", code);
    buf_release(&message);
    return error;
}

bool openai_put_failure(struct answer_writer *w, struct buf *out) {
    return put_event(out, NULL, openai_problem(&w->problem));
}

json_t *openai_object(const struct answer_writer *w, const char *kind, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", w->id, "object", kind, "created",
                     (json_int_t)w->created_s, "model", w->model, "system_fingerprint",
                     "hearth-" HEARTH_VERSION, "choices", choices);
}

/* Takes the object. */
static json_t *with_numbers(const struct answer_writer *w, json_t *object) {
    if (set_json(object, "usage", usage_json(&w->usage)) &&
        set_json(object, "timings", timings_json(&w->usage)))
        return object;
    json_decref(object);
    return NULL;
}

bool openai_put_body(const struct answer_writer *w, const char *kind, json_t *choices,
                     struct buf *out) {
    bool whole = json_array_size(choices) == w->n_choices;
    json_t *body = with_numbers(w, openai_object(w, kind, choices));
    return put_json(out, body) && whole;
}

bool openai_put_chunk(const struct answer_writer *w, const char *kind, json_t *choice,
                      struct buf *out) {
    json_t *chunk = openai_object(w, kind, json_pack("[o]", choice));
    bool ok = !w->stream_usage || set_json(chunk, "usage", json_null());
    return put_event(out, NULL, chunk) && ok;
}

bool openai_put_end(const struct answer_writer *w, const char *kind, struct buf *out) {
    if (w->stream_usage) {
        json_t *chunk = openai_object(w, kind, json_array());
        if (!put_event(out, NULL, with_numbers(w, chunk))) return false;
    }
    return buf_append_text(out, "data: [DONE]\n\n");
}
