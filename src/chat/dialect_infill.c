/* /infill of llama.cpp's server: the text between a prefix and a suffix, for editors. Answers have
 * the form of its native completions.
 * Source: the documentation of llama.cpp's server. */
#include <string.h>

#include "base/mem.h"
#include "chat/dialect_openai.h"
#include "chat/dialect_parts.h"

enum { EXTRA_FILES_MAX = 4096 };

/* ---- requests ---- */

/* Another file that helps; they go in front of the prefix's file. */
static void check_file(struct fields *file, void *context) {
    (void)context;
    if (!field_string(file, "text")) field_need(file, "text");
    field_string(file, "filename");
}

/* "prompt" is the beginning of what fills the gap. */
static void read_prefix(struct fields *body, struct request *request) {
    json_t *prefix = field_string(body, "input_prefix"), *prompt = field_string(body, "prompt");
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    buf_append(&text, json_string_value(prefix), json_string_length(prefix));
    buf_append(&text, json_string_value(prompt), json_string_length(prompt));
    if (!prefix) field_problem(body, "input_prefix", "is missing");
    request->inputs = json_pack("[o]", buf_json(&text));
    if (!request->inputs || text.failed) problem_no_memory(body->problem);
    buf_release(&text);
}

static void parse_infill(struct fields *body, struct request *request) {
    static const char *const limits[] = {"n_predict", "max_tokens", NULL};
    static const struct field_kept kept[] = {
        {"input_extra", FIELD_ARRAY},       {"cache_prompt", FIELD_FLAG},
        {"id_slot", FIELD_INTEGER},         {"samplers", FIELD_ARRAY},
        {"t_max_predict_ms", FIELD_NUMBER}, {"t_max_prompt_ms", FIELD_NUMBER}};
    request->kind = REQUEST_TEXT;
    fields_check_kept(body, kept, sizeof kept / sizeof kept[0]);
    fields_each(body, "input_extra", json_object_get(body->object, "input_extra"), EXTRA_FILES_MAX,
                check_file, NULL);
    request->documents = json_incref(field_array(body, "input_extra", EXTRA_FILES_MAX));
    field_text(body, "model", TEXT_MAX_NAME_BYTES, &request->model);
    read_prefix(body, request);
    const char *suffix = field_word(body, "input_suffix");
    if (!suffix) field_problem(body, "input_suffix", "is missing");
    request->suffix = mem_strdup(suffix ? suffix : "");
    if (!request->suffix) problem_no_memory(body->problem);
    read_max_tokens(body, limits, request);
    read_limits(body, request);
    if (request->n_choices != 1) field_problem(body, "n", "only one answer can be asked for");
    read_sampling(body, request);
    read_chat_logprobs(body, request);
    read_guided(body, request);
}

/* ---- answers ---- */

static json_t *entry_json(const struct event_token *token) {
    struct event_logprob one = {.token = *token};
    json_t *entry = chat_logprob(&one);
    json_object_del(entry, "top_logprobs");
    if (set_json(entry, "id", json_integer(token->id))) return entry;
    json_decref(entry);
    return NULL;
}

static bool add_logprob(json_t **kept, const struct event_logprob *logprob, size_t *n_characters) {
    json_t *entry = entry_json(&logprob->token), *top = json_array();
    (void)n_characters;
    for (size_t i = 0; i < logprob->n_top; i++)
        json_array_append_new(top, entry_json(&logprob->top[i]));
    bool ok = set_json(entry, "top_logprobs", whole_list(top, logprob->n_top));
    if (!*kept) *kept = json_array();
    return json_array_append_new(*kept, entry) == 0 && ok;
}

static const char *stop_type(const struct answer_choice *choice) {
    switch (choice->reason) {
    case FINISH_STOP_TEXT: return "word";
    case FINISH_LENGTH: return "limit";
    case FINISH_CANCELLED: return "none";
    case FINISH_STOP:
    case FINISH_TOOL_CALLS: break;
    }
    return "eos";
}

/* Takes the content and the log-probabilities (NULL: none). */
static json_t *piece_json(const struct answer_writer *w, json_t *content, json_t *logprobs,
                          bool ends) {
    json_t *piece = json_pack("{s:i, s:o, s:[], s:i, s:b, s:s}", "index", 0, "content", content,
                              "tokens", "id_slot", -1, "stop", ends, "model", w->model);
    if (!logprobs || set_json(piece, "completion_probabilities", logprobs)) return piece;
    json_decref(piece);
    return NULL;
}

/* Takes the content and the log-probabilities (NULL: none). */
static json_t *end_json(const struct answer_writer *w, json_t *content, json_t *logprobs) {
    const struct answer_choice *choice = &w->choices[0];
    json_t *body = piece_json(w, content, logprobs, true);
    json_t *end =
        json_pack("{s:I, s:I, s:I, s:b, s:s, s:s, s:o}", "tokens_predicted",
                  (json_int_t)w->usage.n_answer, "tokens_evaluated", (json_int_t)w->usage.n_prompt,
                  "tokens_cached", (json_int_t)(w->usage.n_prompt + w->usage.n_answer), "truncated",
                  0, "stop_type", stop_type(choice), "stopping_word",
                  choice->stop_text ? choice->stop_text : "", "timings", timings_json(&w->usage));
    bool ok = body && end && json_object_update(body, end) == 0;
    json_decref(end);
    if (ok) return body;
    json_decref(body);
    return NULL;
}

static bool infill_body(struct answer_writer *w, struct buf *out) {
    const struct answer_choice *choice = &w->choices[0];
    return put_json(out, end_json(w, buf_json(&choice->text), json_incref(choice->logprobs)));
}

static bool stream_infill(struct answer_writer *w, const struct event *event, struct buf *out) {
    json_t *logprobs;
    if (event->kind == EVENT_DONE) return put_event(out, NULL, end_json(w, json_string(""), NULL));
    if (event->kind != EVENT_TEXT) return true;
    if (!piece_logprobs(w, event, &logprobs)) return false;
    return put_event(
        out, NULL, piece_json(w, text_json(event->text.data, event->text.length), logprobs, false));
}

/* ---- errors ---- */

static json_t *infill_problem(const struct dialect_problem *problem) {
    json_t *body = openai_problem(problem), *error = json_object_get(body, "error");
    bool ok = set_json(error, "code", json_integer(problem->http_status));
    if (problem->excess.n_ctx)
        ok = ok && set_json(error, "type", json_string("exceed_context_size_error")) &&
             set_json(error, "n_prompt_tokens",
                      json_integer((json_int_t)problem->excess.n_prompt)) &&
             set_json(error, "n_ctx", json_integer((json_int_t)problem->excess.n_ctx));
    if (ok) return body;
    json_decref(body);
    return NULL;
}

static bool put_failure(struct answer_writer *w, struct buf *out) {
    return put_event(out, NULL, infill_problem(&w->problem));
}

static const struct answer_ops infill_answer = {.id_prefix = "",
                                                .body = infill_body,
                                                .stream = stream_infill,
                                                .failure = put_failure,
                                                .add_logprob = add_logprob};

const struct endpoint_ops infill_endpoint = {
    .parse = parse_infill, .problem = infill_problem, .answer = &infill_answer};
