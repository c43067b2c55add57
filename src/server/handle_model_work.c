/* What can be done with models: requests become tasks. All of it changes the machine, so where
 * there are keys it is an admin's. */
#include <string.h>

#include "server/api_fields.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_task.h"
#include "server/model_work.h"

enum { MAX_NAME_BYTES = 512, MAX_TYPE_BYTES = 32, MOST_FIELDS = 3 };

static bool is_admin(struct http_exchange *x) {
    if (asker_is_admin(&x->asker)) return true;
    http_reply_error(x, MHD_HTTP_FORBIDDEN, "", "only an admin's key may change models");
    return false;
}

/* A task of the texts in a body of these fields, all of them needed. */
static void begin(struct http_exchange *x, struct api_field *fields, size_t n_fields,
                  const struct http_task_plan *plan) {
    struct api_answer answer = {0};
    if (!is_admin(x)) return;
    if (api_fields_take(x->json, "", fields, n_fields, &answer)) {
        json_t *input = json_object();
        for (size_t i = 0; i < n_fields; i++)
            json_object_set_new(input, fields[i].name, json_string(fields[i].text));
        http_task_start(x, plan, input);
    } else {
        http_reply_json(x, answer.status, json_incref(answer.body));
    }
    api_fields_release(fields, n_fields);
    api_answer_release(&answer);
}

static void begin_named(struct http_exchange *x, const struct http_task_plan *plan) {
    struct api_field fields[] = {API_FIELD("name", FIELD_TEXT, FIELD_NEEDED, MAX_NAME_BYTES)};
    begin(x, fields, 1, plan);
}

void handle_model_pull(struct http_exchange *x) {
    static const struct http_task_plan plan = {model_work_pull, TASK_EVENTS, true};
    begin_named(x, &plan);
}

void handle_model_search(struct http_exchange *x) {
    static const struct http_task_plan plan = {model_work_search, TASK_REPLY, false};
    const char *words = http_exchange_query(x, "q");
    if (!is_admin(x)) return;
    if (words && strlen(words) > MAX_NAME_BYTES)
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "q", "'q' is longer than %d bytes",
                         MAX_NAME_BYTES);
    else
        http_task_start(x, &plan, json_pack("{s:s}", "words", words ? words : ""));
}

void handle_model_load(struct http_exchange *x) {
    static const struct http_task_plan plan = {model_work_load, TASK_REPLY, false};
    begin_named(x, &plan);
}

void handle_model_unload(struct http_exchange *x) {
    static const struct http_task_plan plan = {model_work_unload, TASK_REPLY, false};
    begin_named(x, &plan);
}

void handle_model_quantize(struct http_exchange *x) {
    static const struct http_task_plan plan = {model_work_quantize, TASK_EVENTS, true};
    struct api_field fields[] = {API_FIELD("name", FIELD_TEXT, FIELD_NEEDED, MAX_NAME_BYTES),
                                 API_FIELD("type", FIELD_TEXT, FIELD_NEEDED, MAX_TYPE_BYTES),
                                 API_FIELD("as", FIELD_TEXT, FIELD_NEEDED, MAX_NAME_BYTES)};
    begin(x, fields, 3, &plan);
}

static const struct http_task_plan delete_plan = {model_work_delete, TASK_REPLY, false};

void handle_model_delete(struct http_exchange *x) {
    if (is_admin(x)) http_task_start(x, &delete_plan, json_pack("{s:s}", "name", x->rest));
}

/* ---- Ollama's -------------------------------------------------------------------------- */

static const char *text_of(const struct http_exchange *x, const char *key) {
    const char *text = json_string_value(json_object_get(x->json, key));
    bool is_whole = text && strlen(text) == json_string_length(json_object_get(x->json, key));
    return is_whole && *text && strlen(text) <= MAX_NAME_BYTES ? text : NULL;
}

/* "name" is what "model" was called before. ":latest" says nothing here. NULL: the exchange has a
 * reply. */
static json_t *named_input(struct http_exchange *x, const char *key, const char *earlier) {
    static const char latest[] = ":latest";
    const char *name = text_of(x, key);
    if (!name && earlier) name = text_of(x, earlier);
    if (!name) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, key, "'%s' must be a model's name", key);
        return NULL;
    }
    size_t n = strlen(name), tail = sizeof latest - 1;
    if (n > tail && strcmp(name + n - tail, latest) == 0) n -= tail;
    json_t *input = json_pack("{s:s%}", "name", name, n);
    if (!input)
        http_reply_error(x, MHD_HTTP_INTERNAL_SERVER_ERROR, "", "no memory for the request");
    return input;
}

void handle_ollama_pull(struct http_exchange *x) {
    static const struct http_task_plan lines = {model_work_pull_ollama, TASK_LINES, true},
                                       reply = {model_work_pull_ollama, TASK_REPLY, true};
    const bool streams = !json_is_false(json_object_get(x->json, "stream"));
    json_t *input = is_admin(x) ? named_input(x, "model", "name") : NULL;
    if (input) http_task_start(x, streams ? &lines : &reply, input);
}

void handle_ollama_delete(struct http_exchange *x) {
    json_t *input = is_admin(x) ? named_input(x, "model", "name") : NULL;
    if (input) http_task_start(x, &delete_plan, input);
}

void handle_ollama_copy(struct http_exchange *x) {
    static const struct http_task_plan plan = {model_work_copy, TASK_REPLY, false};
    json_t *input = is_admin(x) ? named_input(x, "source", NULL) : NULL;
    const char *as = text_of(x, "destination");
    if (!input) return;
    if (as) {
        json_object_set_new(input, "as", json_string(as));
        http_task_start(x, &plan, input);
    } else {
        json_decref(input);
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "destination",
                         "'destination' must be a model's name");
    }
}
