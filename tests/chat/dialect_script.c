#include "dialect_script.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

json_t *script_load(const char *name) {
    char path[4096];
    json_error_t error;
    const char *root = getenv("HEARTH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/chat/%s", root ? root : ".", name);
    json_t *loaded = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!loaded) print_message("%s:%d: %s\n", path, error.line, error.text);
    assert_non_null(loaded);
    return loaded;
}

static const char *const endpoint_names[ENDPOINT_COUNT] = {
    [ENDPOINT_OPENAI_CHAT] = "openai_chat",
    [ENDPOINT_OPENAI_COMPLETIONS] = "openai_completions",
    [ENDPOINT_OPENAI_EMBEDDINGS] = "openai_embeddings",
    [ENDPOINT_OPENAI_RESPONSES] = "openai_responses",
    [ENDPOINT_ANTHROPIC_MESSAGES] = "anthropic_messages",
    [ENDPOINT_ANTHROPIC_COUNT] = "anthropic_count",
    [ENDPOINT_OLLAMA_CHAT] = "ollama_chat",
    [ENDPOINT_OLLAMA_GENERATE] = "ollama_generate",
    [ENDPOINT_OLLAMA_EMBED] = "ollama_embed",
    [ENDPOINT_INFILL] = "infill",
    [ENDPOINT_RERANK] = "rerank",
};

enum endpoint script_endpoint(const char *name) {
    for (int i = 0; i < ENDPOINT_COUNT; i++)
        if (strcmp(endpoint_names[i], name) == 0) return (enum endpoint)i;
    fail_msg("no endpoint '%s'", name);
    return ENDPOINT_COUNT;
}

const char *script_endpoint_name(enum endpoint endpoint) {
    return endpoint_names[endpoint];
}

bool script_equal(const char *what, const json_t *found, const json_t *expected) {
    if (json_equal(found, expected)) return true;
    char *a = found ? json_dumps(found, JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_INDENT(1)) : NULL;
    char *b =
        expected ? json_dumps(expected, JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_INDENT(1)) : NULL;
    print_message("%s\n  found    %s\n  expected %s\n", what, a, b);
    free(a);
    free(b);
    return false;
}

/* ---- requests ---- */

static void put(json_t *out, const char *name, json_t *value) {
    assert_int_equal(json_object_set_new(out, name, value), 0);
}

static void put_texts(json_t *out, const struct request *r) {
    if (r->model) put(out, "model", json_string(r->model));
    if (r->suffix) put(out, "suffix", json_string(r->suffix));
    if (r->tool_name) put(out, "tool_name", json_string(r->tool_name));
    if (r->constraint_text) put(out, "constraint_text", json_string(r->constraint_text));
    if (r->reasoning_effort) put(out, "reasoning_effort", json_string(r->reasoning_effort));
}

static void put_values(json_t *out, const struct request *r) {
    const struct {
        const char *name;
        json_t *value;
    } values[] = {{"messages", r->messages},
                  {"inputs", r->inputs},
                  {"documents", r->documents},
                  {"tools", r->tools},
                  {"sampling", r->sampling},
                  {"stops", r->stops},
                  {"constraint_schema", r->constraint_schema},
                  {"template_settings", r->template_settings},
                  {"adapters", r->adapters},
                  {"answer_shape", r->answer_shape}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i].value) put(out, values[i].name, json_incref(values[i].value));
    if (json_object_size(r->extra) > 0) put(out, "extra", json_incref(r->extra));
}

static void put_numbers(json_t *out, const struct request *r) {
    if (r->n_choices != 1) put(out, "n_choices", json_integer(r->n_choices));
    if (r->max_tokens != -1) put(out, "max_tokens", json_integer(r->max_tokens));
    if (r->n_logprobs != -1) put(out, "n_logprobs", json_integer(r->n_logprobs));
    if (r->thinking_budget != -1) put(out, "thinking_budget", json_integer(r->thinking_budget));
    if (r->priority != 0) put(out, "priority", json_integer(r->priority));
    if (r->slot != 0) put(out, "slot", json_integer(r->slot));
    if (isinf(r->keep_alive_s))
        put(out, "keep_alive_s", json_string("for ever"));
    else if (!isnan(r->keep_alive_s))
        put(out, "keep_alive_s", json_real(r->keep_alive_s));
}

json_t *script_request(const struct request *r) {
    static const char *const kinds[] = {"chat", "text", "embed", "count"};
    static const char *const tools[] = {"auto", "none", "required", "named"};
    static const char *const constraints[] = {"none",    "json",  "schema",
                                              "grammar", "regex", "choice"};
    static const char *const switches[] = {"unset", "on", "off"};
    json_t *out = json_pack("{s:s}", "kind", kinds[r->kind]);
    put_texts(out, r);
    put_values(out, r);
    put_numbers(out, r);
    if (r->tool_choice != TOOLS_AUTO) put(out, "tool_choice", json_string(tools[r->tool_choice]));
    if (r->constraint != CONSTRAINT_NONE)
        put(out, "constraint", json_string(constraints[r->constraint]));
    if (r->thinking != SWITCH_UNSET) put(out, "thinking", json_string(switches[r->thinking]));
    if (r->one_tool_call) put(out, "one_tool_call", json_true());
    if (r->echo) put(out, "echo", json_true());
    if (r->stream) put(out, "stream", json_true());
    if (r->stream_usage) put(out, "stream_usage", json_true());
    if (r->ignore_end) put(out, "ignore_end", json_true());
    if (r->leaves_out_oldest) put(out, "leaves_out_oldest", json_true());
    return out;
}

/* ---- events ---- */

enum { MAX_TOKENS = 16, MAX_TOP = 4 };

struct script_logprobs {
    struct event_logprob entries[MAX_TOKENS];
    struct event_token top[MAX_TOKENS][MAX_TOP];
};

/* ["text" or [bytes], logprob or null] */
static struct event_token token_of(const json_t *pair) {
    static char bytes[MAX_TOKENS * MAX_TOP][32];
    static unsigned turn;
    const json_t *text = json_array_get(pair, 0), *logprob = json_array_get(pair, 1);
    struct event_token token = {.id = 7, .bytes = json_string_value(text)};
    token.n_bytes = json_string_length(text);
    if (json_is_array(text)) {
        char *to = bytes[turn++ % (MAX_TOKENS * MAX_TOP)];
        token.n_bytes = json_array_size(text);
        for (size_t i = 0; i < token.n_bytes; i++)
            to[i] = (char)json_integer_value(json_array_get(text, i));
        token.bytes = to;
    }
    token.logprob = json_is_null(logprob)     ? NAN
                    : json_is_string(logprob) ? -INFINITY
                                              : (float)json_number_value(logprob);
    return token;
}

/* [[token, logprob, [[token, logprob], …]], …] */
static size_t fill_logprobs(const json_t *list, struct script_logprobs *out) {
    json_t *entry, *top;
    size_t i, k;
    json_array_foreach(list, i, entry) {
        assert_true(i < MAX_TOKENS);
        out->entries[i] = (struct event_logprob){.token = token_of(entry), .top = out->top[i]};
        json_array_foreach(json_array_get(entry, 2), k, top) {
            assert_true(k < MAX_TOP);
            out->top[i][out->entries[i].n_top++] = token_of(top);
        }
    }
    return json_array_size(list);
}

static hearth_status put_piece(struct answer_writer *w, struct event event, const json_t *given,
                               const json_t *text, struct buf *out) {
    struct script_logprobs logprobs;
    event.text.data = json_string_value(text);
    event.text.length = json_string_length(text);
    event.text.logprobs = logprobs.entries;
    event.text.n_logprobs = fill_logprobs(json_object_get(given, "logprobs"), &logprobs);
    return answer_writer_put(w, &event, out, NULL);
}

static hearth_status put_call(struct answer_writer *w, struct event event, const json_t *call,
                              struct buf *out) {
    const char *arguments = json_string_value(json_object_get(call, "arguments"));
    event.kind = EVENT_TOOL_CALL;
    event.tool_call.index = (uint32_t)json_integer_value(json_object_get(call, "index"));
    event.tool_call.id = json_string_value(json_object_get(call, "id"));
    event.tool_call.name = json_string_value(json_object_get(call, "name"));
    event.tool_call.arguments = arguments;
    event.tool_call.length = arguments ? strlen(arguments) : 0;
    return answer_writer_put(w, &event, out, NULL);
}

static hearth_status put_vector(struct answer_writer *w, struct event event, const json_t *values,
                                struct buf *out) {
    float numbers[64];
    event.kind = EVENT_EMBEDDING;
    event.embedding.values = numbers;
    event.embedding.n = json_array_size(values);
    assert_true(event.embedding.n <= 64);
    for (size_t i = 0; i < event.embedding.n; i++)
        numbers[i] = (float)json_number_value(json_array_get(values, i));
    return answer_writer_put(w, &event, out, NULL);
}

/* "stop", "length", "tool_calls", "cancelled", or the stop text as an array of one. */
static hearth_status put_finished(struct answer_writer *w, struct event event, const json_t *reason,
                                  struct buf *out) {
    static const char *const reasons[] = {"stop", "stop_text", "length", "tool_calls", "cancelled"};
    event.kind = EVENT_FINISHED;
    event.finished.reason = FINISH_STOP_TEXT;
    event.finished.stop_text = json_string_value(json_array_get(reason, 0));
    for (int i = 0; json_is_string(reason) && i < 5; i++)
        if (strcmp(reasons[i], json_string_value(reason)) == 0)
            event.finished.reason = (enum finish_reason)i;
    return answer_writer_put(w, &event, out, NULL);
}

/* [prompt, cached, answer, reasoning]; the times are the same in all scripts. */
static hearth_status put_done(struct answer_writer *w, const json_t *numbers, struct buf *out) {
    uint64_t n[4];
    for (size_t i = 0; i < 4; i++)
        n[i] = (uint64_t)json_integer_value(json_array_get(numbers, i));
    struct event event = {.kind = EVENT_DONE,
                          .usage = {.n_prompt = n[0],
                                    .n_cached = n[1],
                                    .n_answer = n[2],
                                    .n_reasoning = n[3],
                                    .queue_seconds = 0.25,
                                    .load_seconds = 0.5,
                                    .prompt_seconds = 0.125,
                                    .answer_seconds = 2}};
    return answer_writer_put(w, &event, out, NULL);
}

hearth_status script_put(struct answer_writer *w, const json_t *given, struct buf *out) {
    struct event event = {.choice = (uint32_t)json_integer_value(json_object_get(given, "choice"))};
    const json_t *value;
    if ((value = json_object_get(given, "started"))) {
        event.kind = EVENT_STARTED;
        event.model = json_string_value(value);
    } else if ((value = json_object_get(given, "reasoning"))) {
        event.kind = EVENT_REASONING;
        return put_piece(w, event, given, value, out);
    } else if ((value = json_object_get(given, "text"))) {
        event.kind = EVENT_TEXT;
        return put_piece(w, event, given, value, out);
    } else if ((value = json_object_get(given, "call")))
        return put_call(w, event, value, out);
    else if ((value = json_object_get(given, "embedding")))
        return put_vector(w, event, value, out);
    else if ((value = json_object_get(given, "finished")))
        return put_finished(w, event, value, out);
    else if ((value = json_object_get(given, "done")))
        return put_done(w, value, out);
    else {
        event.kind = EVENT_FAILED;
        event.failed.status = HEARTH_ERROR_INTERNAL;
        event.failed.message = json_string_value(json_object_get(given, "failed"));
    }
    return answer_writer_put(w, &event, out, NULL);
}

void script_run(struct answer_writer *writer, const json_t *events, struct buf *out) {
    const json_t *event;
    size_t i;
    json_array_foreach(events, i, event) {
        assert_int_equal(script_put(writer, event, out), HEARTH_OK);
    }
}

struct answer_writer *script_writer(enum endpoint endpoint, const struct request *request) {
    struct answer_identity identity = {.id = "1", .created_s = 1752148800, .model = "m"};
    struct answer_writer *writer;
    assert_int_equal(answer_writer_open(&writer, endpoint, request, &identity, NULL), HEARTH_OK);
    return writer;
}

/* ---- streams ---- */

static json_t *parse_data(const char *text, size_t n) {
    json_error_t error;
    if (n == 6 && memcmp(text, "[DONE]", 6) == 0) return json_string("[DONE]");
    json_t *value = json_loadb(text, n, JSON_ALLOW_NUL, &error);
    if (!value) fail_msg("%s in: %.*s", error.text, (int)n, text);
    return value;
}

static void add_event(json_t *list, const char *text, size_t n) {
    static const char event[] = "event: ", data[] = "data: ";
    const char *name = NULL, *end = text;
    size_t n_name = 0;
    if (strncmp(text, event, sizeof event - 1) == 0) {
        name = text + sizeof event - 1;
        end = memchr(name, '\n', n);
        assert_non_null(end);
        n_name = (size_t)(end++ - name);
    }
    assert_memory_equal(end, data, sizeof data - 1);
    end += sizeof data - 1;
    json_t *value = parse_data(end, n - (size_t)(end - text));
    if (name) {
        const char *type = json_string_value(json_object_get(value, "type"));
        assert_non_null(type);
        assert_true(strlen(type) == n_name && memcmp(type, name, n_name) == 0);
    }
    json_array_append_new(list, value);
}

json_t *script_stream(const char *text, bool lines) {
    const char *mark = lines ? "\n" : "\n\n", *end;
    json_t *list = json_array();
    while ((end = strstr(text, mark))) {
        if (lines)
            json_array_append_new(list, parse_data(text, (size_t)(end - text)));
        else
            add_event(list, text, (size_t)(end - text));
        text = end + strlen(mark);
    }
    assert_string_equal(text, "");
    return list;
}
