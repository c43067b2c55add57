/* Tuning over HTTP: what is not api_tune.h's, forms and events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/http_task.h"
#include "server/model_holding.h"

enum { MOST_PARTS = 4, FORM_BLOCK_BYTES = 4096, MOST_NAME_BYTES = 1024, MOST_MODEL_BYTES = 400 };

/* ---- forms --------------------------------------------------------------------------------------
 */

struct form {
    struct buf file, text, model, name;
};

static struct buf *field_of(struct form *form, const char *key) {
    if (strcmp(key, "file") == 0) return &form->file;
    if (strcmp(key, "text") == 0) return &form->text;
    return strcmp(key, "model") == 0 ? &form->model : NULL;
}

/* A piece of a part; parts of other names are passed over. */
static enum MHD_Result take_piece(void *context, enum MHD_ValueKind kind, const char *key,
                                  const char *file_name, const char *type, const char *encoding,
                                  const char *data, uint64_t offset, size_t size) {
    struct form *form = context;
    struct buf *field = key ? field_of(form, key) : NULL;
    (void)kind;
    (void)type;
    (void)encoding;
    if (!field) return MHD_YES;
    if (offset == 0 && file_name && field == &form->file) {
        buf_clear(&form->name);
        buf_append_text(&form->name, file_name);
    }
    if (offset == 0) buf_clear(field);
    return buf_append(field, data, size) || size == 0 ? MHD_YES : MHD_NO;
}

static bool read_form(struct http_exchange *x, struct form *form) {
    struct MHD_PostProcessor *processor =
        MHD_create_post_processor(x->connection, FORM_BLOCK_BYTES, take_piece, form);
    bool read = processor && MHD_post_process(processor, x->body.data, x->body.length) == MHD_YES;
    return (!processor || MHD_destroy_post_processor(processor) == MHD_YES) && read &&
           !form->name.failed && !form->model.failed;
}

/* The same from JSON, {"text", "name", "model"}. */
static bool read_json(const json_t *body, struct form *form) {
    const json_t *text = json_object_get(body, "text"), *name = json_object_get(body, "name");
    const json_t *model = json_object_get(body, "model");
    if (!json_is_string(text) || (name && !json_is_string(name)) ||
        (model && !json_is_string(model)))
        return false;
    buf_append(&form->text, json_string_value(text), json_string_length(text));
    buf_append(&form->name, json_string_value(name), json_string_length(name));
    buf_append(&form->model, json_string_value(model), json_string_length(model));
    return !form->text.failed && !form->name.failed && !form->model.failed;
}

static const char *text_or_null(const struct buf *text) {
    return text->length > 0 ? buf_text(text) : NULL;
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool is_cancelled(void *context) {
    return atomic_load((const atomic_bool *)context);
}

static struct tune_api api_of(struct http_server *server) {
    return (struct tune_api){.settings = server->settings.tuning,
                             .queue = server->runs,
                             .backend = server->settings.backend};
}

static hearth_status hold(void *task, const char *model,
                          hearth_status (*use)(void *context, const char *model, hearth_error *err),
                          void *context, hearth_error *err) {
    return model_holding_use(task, model, use, context, err);
}

static struct tune_api api_of_task(struct http_task *task) {
    struct tune_api api = api_of(http_task_server(task));
    api.stop = is_cancelled;
    api.context = (void *)(uintptr_t)http_task_cancelled(task);
    api.hold = hold;
    api.holder = task;
    return api;
}

static hearth_status finish(struct http_task *task, struct api_answer *answer, hearth_error *err) {
    const json_t *error = json_object_get(answer->body, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *field = json_string_value(json_object_get(error, "field"));
    hearth_status status = HEARTH_OK;
    if (answer->status < 400) {
        http_task_succeed_as(task, answer->status);
        http_task_say(task, json_incref(answer->body));
    } else {
        http_task_fail_as(task, answer->status);
        http_task_fail_at(task, field ? field : "");
        status = error_set(err, HEARTH_ERROR_ARGUMENT, "%s", message ? message : "it has failed");
    }
    api_answer_release(answer);
    return status;
}

/* ---- examples: {"name", "model"} and the file ------------------------------------------------ */

static hearth_status inspect(struct http_task *task, const json_t *input, hearth_error *err) {
    struct api_answer answer = {0};
    const struct tune_api api = api_of_task(task);
    const struct buf *data = http_task_data(task);
    const struct tune_upload upload = {.name = json_string_value(json_object_get(input, "name")),
                                       .model = json_string_value(json_object_get(input, "model")),
                                       .data = data->data,
                                       .size = data->length};
    api_tune_inspect(&api, &upload, &answer);
    return finish(task, &answer, err);
}

static void begin_inspection(struct http_exchange *x) {
    static const struct http_task_plan plan = {inspect, TASK_REPLY, false};
    struct form form;
    buf_init(&form.file, x->server->settings.max_body_bytes);
    buf_init(&form.text, x->server->settings.max_body_bytes);
    buf_init(&form.name, MOST_NAME_BYTES);
    buf_init(&form.model, MOST_MODEL_BYTES);
    json_t *input = NULL;
    if (x->json ? read_json(x->json, &form) : read_form(x, &form))
        input = json_pack("{s:s*, s:s*}", "name", text_or_null(&form.name), "model",
                          text_or_null(&form.model)); /* NULL: no UTF-8 */
    if (input)
        http_task_start_with(x, &plan, input, form.file.length > 0 ? &form.file : &form.text);
    else
        http_reply_error(
            x, MHD_HTTP_BAD_REQUEST, "",
            "a form (multipart/form-data) with 'file', or JSON with 'text', is expected");
    buf_release(&form.file);
    buf_release(&form.text);
    buf_release(&form.name);
    buf_release(&form.model);
}

/* ---- runs: {"method", "path", "body"} ---------------------------------------------------------
 */

/* Cuts the path at its slashes; 0: it is empty, or has too many parts. */
static size_t split(char *path, const char *parts[MOST_PARTS]) {
    char *rest;
    size_t n = 0;
    for (char *at = strtok_r(path, "/", &rest); at; at = strtok_r(NULL, "/", &rest)) {
        if (n == MOST_PARTS) return 0;
        parts[n++] = at;
    }
    return n;
}

static void answer_runs(const struct tune_api *api, const char *method, const char *target,
                        const json_t *body, struct api_answer *answer) {
    char path[HTTP_MAX_PATH_BYTES];
    const char *parts[MOST_PARTS];
    snprintf(path, sizeof path, "%s", target);
    const struct api_request request = {
        .method = method, .n_parts = split(path, parts), .parts = parts, .body = body};
    api_tune_runs(api, &request, answer);
}

static hearth_status change_runs(struct http_task *task, const json_t *input, hearth_error *err) {
    struct api_answer answer = {0};
    const struct tune_api api = api_of_task(task);
    answer_runs(&api, json_string_value(json_object_get(input, "method")),
                json_string_value(json_object_get(input, "path")), json_object_get(input, "body"),
                &answer);
    return finish(task, &answer, err);
}

static bool exports(const char *path) {
    static const char word[] = "/export";
    size_t n = strlen(path), length = sizeof word - 1;
    return n > length && strcmp(path + n - length, word) == 0;
}

static void begin_change(struct http_exchange *x) {
    static const struct http_task_plan short_plan = {change_runs, TASK_REPLY, false},
                                       long_plan = {change_runs, TASK_REPLY, true};
    json_t *path = json_string(x->rest); /* NULL: no UTF-8 */
    if (path)
        http_task_start(
            x, exports(x->rest) ? &long_plan : &short_plan,
            json_pack("{s:s, s:o, s:O*}", "method", x->method, "path", path, "body", x->json));
    else
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "there is nothing at this path");
}

static void show_runs(struct http_exchange *x) {
    struct api_answer answer = {0};
    const struct tune_api api = api_of(x->server);
    answer_runs(&api, "GET", x->rest, NULL, &answer);
    http_reply_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    http_reply_json(x, answer.status, answer.body);
}

static void follow(struct http_exchange *x, const char *id) {
    struct served_run run;
    hearth_error err = {0};
    hearth_status status = run_shelf_find(run_queue_shelf(x->server->runs), id, &run, &err);
    if (status == HEARTH_OK)
        run_feed_answer(x->server->run_feed, x, &run);
    else
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "%s", err.message);
    served_run_close(&run);
}

/* "runs/ID/events" streams, as long as the run goes on. */
static void get_runs(struct http_exchange *x) {
    char path[HTTP_MAX_PATH_BYTES];
    const char *parts[MOST_PARTS];
    snprintf(path, sizeof path, "%s", x->rest);
    if (split(path, parts) == 3 && strcmp(parts[2], "events") == 0)
        follow(x, parts[1]);
    else
        show_runs(x);
}

void handle_tune(struct http_exchange *x) {
    size_t n = strcspn(x->rest, "/");
    bool is_runs = n == 4 && strncmp(x->rest, "runs", n) == 0;
    bool gets = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
    if (!asker_is_admin(&x->asker))
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "", "this key may not look after the server");
    else if (!x->server->runs)
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "this server does not tune");
    else if (strcmp(x->rest, "inspect") == 0 && strcmp(x->method, "POST") == 0)
        begin_inspection(x);
    else if (strcmp(x->rest, "inspect") == 0)
        http_reply_error(x, MHD_HTTP_METHOD_NOT_ALLOWED, "", "only POST here");
    else if (!is_runs)
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "there is nothing at this path");
    else if (gets)
        get_runs(x);
    else
        begin_change(x);
}
