/* What the places of answers have computed, kept in files as llama.cpp's server does it:
 * POST /slots/ID?action=save|restore|erase. Clients name files, never paths. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/model_question.h"

enum { MAX_FILE_NAME_BYTES = 200, MAX_SLOT_DIGITS = 4 };

static const struct {
    const char *name, *timing;
    enum backend_slot_action action;
} actions[] = {{"save", "save_ms", SLOT_SAVE},
               {"restore", "restore_ms", SLOT_RESTORE},
               {"erase", "erase_ms", SLOT_ERASE}};
enum { N_ACTIONS = sizeof actions / sizeof actions[0] };

/* ---- in a task: waits for the model and the disk ------------------------------------------ */

static hearth_status call_slot(struct backend *backend, const struct backend_slot *slot,
                               const char *timing, json_t *reply, hearth_error *err) {
    uint64_t begun = clock_now_ns();
    RETURN_IF_ERROR(backend_slot(backend, slot, reply, err));
    json_t *timings = json_pack("{s:f}", timing, clock_seconds_since(begun) * 1e3);
    if (json_object_set_new(reply, "timings", timings) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the reply");
}

/* The model is loaded: what is not found or cannot be used is the file. */
static json_t *ask_slot(struct backend *backend, const char *model, const json_t *body,
                        struct dialect_problem *problem) {
    json_int_t i = json_integer_value(json_object_get(body, "action"));
    const json_t *number = json_object_get(body, "id_slot"), *name = json_object_get(body, "name");
    const struct backend_slot slot = {.model = model,
                                      .number = (uint32_t)json_integer_value(number),
                                      .action = actions[i].action,
                                      .path = json_string_value(json_object_get(body, "path"))};
    hearth_error err = {0};
    json_t *reply = json_pack("{s:O, s:O*}", "id_slot", number, "filename", name);
    if (!reply) return NULL;
    hearth_status status = call_slot(backend, &slot, actions[i].timing, reply, &err);
    if (status == HEARTH_OK) return reply;
    json_decref(reply);
    if (status == HEARTH_ERROR_NOT_FOUND || status == HEARTH_ERROR_FORMAT ||
        status == HEARTH_ERROR_UNSUPPORTED)
        return model_question_refuse(problem, "filename", "%s", err.message);
    return model_question_fail(problem, status, &err);
}

/* ---- requests ------------------------------------------------------------------------------ */

static bool read_number(const char *text, json_int_t *number) {
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > MAX_SLOT_DIGITS || text[n]) return false;
    *number = strtol(text, NULL, 10);
    return true;
}

/* A name in the folder and nothing else: no separator, no hidden file, no device. */
static bool is_file_name(const json_t *value) {
    const char *name = json_string_value(value);
    if (!name || !*name || *name == '.' || strlen(name) != json_string_length(value)) return false;
    if (json_string_length(value) > MAX_FILE_NAME_BYTES) return false;
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || strchr("/\\:*?\"<>|", *at)) return false;
    return true;
}

static size_t action_of(const struct http_exchange *x) {
    const char *asked = http_exchange_query(x, "action");
    size_t i = 0;
    while (i < N_ACTIONS && (!asked || strcmp(actions[i].name, asked) != 0))
        i++;
    return i;
}

static json_t *input_of(const struct http_exchange *x, size_t action, json_int_t number) {
    const json_t *name = json_object_get(x->json, "filename");
    json_t *input = json_pack("{s:I, s:I}", "action", (json_int_t)action, "id_slot", number);
    if (!input || actions[action].action == SLOT_ERASE) return input;
    char *path = path_join(x->server->settings.slot_folder, json_string_value(name));
    bool whole = path && json_object_set_new(input, "path", json_string(path)) == 0 &&
                 json_object_set_new(input, "name", json_string(json_string_value(name))) == 0;
    mem_free(path);
    if (whole) return input;
    json_decref(input);
    return NULL;
}

static const char *model_of(const struct http_exchange *x) {
    const char *name = json_string_value(json_object_get(x->json, "model"));
    return name ? name : http_exchange_query(x, "model");
}

void handle_slot(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, ask_slot};
    size_t action = action_of(x);
    json_int_t number;
    if (!asker_is_admin(&x->asker))
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "", "this key may not look after the server");
    else if (!x->server->settings.slot_folder)
        http_reply_error(x, MHD_HTTP_NOT_IMPLEMENTED, "",
                         "slots are not kept here; start the server with --slot-save-path");
    else if (!read_number(x->rest, &number))
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "", "'%.40s' is no number of a slot", x->rest);
    else if (action == N_ACTIONS)
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "", "'action' must be save, restore or erase");
    else if (actions[action].action != SLOT_ERASE &&
             !is_file_name(json_object_get(x->json, "filename")))
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "filename",
                         "must be the name of a file, of %d bytes at most, without a folder",
                         MAX_FILE_NAME_BYTES);
    else
        model_question_start(x, &question, model_of(x), input_of(x, action, number));
}
