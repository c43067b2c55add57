#include "server/http_errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chat/answer_parts.h"

/* What is quoted of a request may be bytes of no character. */
static void put_own(const struct dialect_problem *problem, struct http_exchange *x) {
    const char *field = problem->parameter;
    json_t *error = json_pack("{s:{s:o}}", "error", "message",
                              text_json(problem->message, strlen(problem->message)));
    if (error && *field)
        json_object_set_new(json_object_get(error, "error"), "field",
                            text_json(field, strlen(field)));
    http_reply_json(x, problem->http_status, error);
}

static bool begins(const char *path, const char *with) {
    return strncmp(path, with, strlen(with)) == 0;
}

/* Clients of both OpenAI and Anthropic ask below /v1/. */
static enum http_errors errors_of_path(const struct http_exchange *x) {
    if (begins(x->path, "/v1/messages")) return ERRORS_ANTHROPIC;
    if (begins(x->path, "/v1/"))
        return http_exchange_header(x, "anthropic-version") ? ERRORS_ANTHROPIC : ERRORS_OPENAI;
    return begins(x->path, "/api/") && !begins(x->path, "/api/hearth/") ? ERRORS_OLLAMA
                                                                        : ERRORS_HEARTH;
}

static enum http_errors errors_of(const struct http_exchange *x) {
    bool has_own = x->route && x->route->errors != ERRORS_BY_PATH;
    return has_own ? x->route->errors : errors_of_path(x);
}

static enum endpoint endpoint_of(const struct http_exchange *x) {
    if (x->route && x->route->endpoint != ENDPOINT_COUNT) return x->route->endpoint;
    switch (errors_of(x)) {
    case ERRORS_ANTHROPIC: return ENDPOINT_ANTHROPIC_MESSAGES;
    case ERRORS_OLLAMA: return ENDPOINT_OLLAMA_CHAT;
    default: return ENDPOINT_OPENAI_CHAT;
    }
}

void http_reply_problem(struct http_exchange *x, const struct dialect_problem *problem) {
    if (problem->http_status == MHD_HTTP_TOO_MANY_REQUESTS ||
        problem->http_status == MHD_HTTP_SERVICE_UNAVAILABLE)
        http_reply_header(x, "Retry-After", "1");
    if (errors_of(x) == ERRORS_HEARTH) {
        put_own(problem, x);
        return;
    }
    x->reply.status = problem->http_status;
    x->reply.type = "application/json";
    buf_clear(&x->reply.body);
    dialect_put_problem(endpoint_of(x), problem, &x->reply.body);
}

void http_reply_error(struct http_exchange *x, int status, const char *field, const char *format,
                      ...) {
    struct dialect_problem problem = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(problem.message, sizeof problem.message, format, args);
    va_end(args);
    problem.http_status = status;
    snprintf(problem.parameter, sizeof problem.parameter, "%s", field);
    http_reply_problem(x, &problem);
}

void http_reply_failure(struct http_exchange *x, hearth_status status, const hearth_error *err) {
    struct dialect_problem problem = {0};
    dialect_problem_of_failure(status, err->message, &problem);
    http_reply_problem(x, &problem);
}
