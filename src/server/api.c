#include "server/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "base/log.h"

void api_answer_release(struct api_answer *answer) {
    json_decref(answer->body);
    answer->body = NULL;
}

bool api_method_is(const struct api_request *request, const char *method) {
    return strcmp(request->method, method) == 0;
}

const char *api_parameter(const struct api_request *request, const char *name) {
    for (size_t i = 0; i < request->n_query; i++)
        if (strcmp(request->query[i].name, name) == 0) return request->query[i].value;
    return NULL;
}

/* ---- answers -------------------------------------------------------------------------------- */

void api_give(struct api_answer *answer, int status, json_t *body) {
    json_decref(answer->body);
    answer->body = body;
    answer->status = body ? status : 503;
    if (!body) log_message(LOG_WARNING, "no memory for an answer");
}

void api_fail(struct api_answer *answer, int status, const char *field, const char *format, ...) {
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    /* What is quoted may have been cut in the middle of a character. */
    json_t *text = json_string(message), *name = field ? json_string(field) : NULL;
    if (!text) text = json_string("the request is not valid");
    answer->cookie = COOKIE_STAYS;
    api_give(answer, status, json_pack("{s:{s:o, s:o*}}", "error", "message", text, "field", name));
}

void api_fail_store(struct api_answer *answer, hearth_status status, const hearth_error *err) {
    switch (status) {
    case HEARTH_ERROR_NOT_FOUND: api_fail(answer, 404, NULL, "%s", err->message); return;
    case HEARTH_ERROR_ARGUMENT: api_fail(answer, 400, NULL, "%s", err->message); return;
    case HEARTH_ERROR_LIMIT: api_fail(answer, 413, NULL, "%s", err->message); return;
    case HEARTH_ERROR_NO_MEMORY:
        api_fail(answer, 503, NULL, "the server is short of memory");
        break;
    default: api_fail(answer, 500, NULL, "the server cannot use its database; its log says why");
    }
    log_message(LOG_WARNING, "%s", err->message);
}

void api_fail_place(struct api_answer *answer) {
    api_fail(answer, 404, NULL, "there is nothing at this path");
}

void api_fail_method(struct api_answer *answer, const char *methods) {
    api_fail(answer, 405, NULL, "only %s here", methods);
}

bool api_need_admin(const struct api_request *request, struct api_answer *answer) {
    if (asker_is_admin(request->asker)) return true;
    api_fail(answer, 403, NULL, "this key may not look after the server");
    return false;
}

json_t *api_date(int64_t ms) {
    char text[DATE_TEXT_BYTES];
    return ms == 0 ? json_null() : json_string(date_format(ms, text));
}

/* ---- jobs ------------------------------------------------------------------------------------ */

struct call {
    api_handler handler;
    const struct api_request *request;
    struct api_answer *answer;
};

/* A failure that has been put into words already undoes what was done. */
static hearth_status carry_out(struct store *store, void *context, hearth_error *err) {
    struct call *call = context;
    call->handler(store, call->request, call->answer);
    return call->answer->status < 400 ? HEARTH_OK
                                      : error_set(err, HEARTH_ERROR_CANCELLED, "refused");
}

void api_call(struct store_pool *pool, api_handler handler, const struct api_request *request,
              struct api_answer *answer) {
    struct call call = {handler, request, answer};
    hearth_error err = {0};
    *answer = (struct api_answer){0};
    hearth_status status = api_method_is(request, "GET")
                               ? store_pool_read(pool, carry_out, &call, &err)
                               : store_pool_write(pool, carry_out, &call, &err);
    if (status != HEARTH_OK && answer->status < 400) api_fail_store(answer, status, &err);
}
