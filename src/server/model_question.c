#include "server/model_question.h"

#include <stdarg.h>
#include <stdio.h>

#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/model_holding.h"

json_t *model_question_refuse(struct dialect_problem *problem, const char *field,
                              const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(problem->message, sizeof problem->message, format, args);
    va_end(args);
    problem->http_status = MHD_HTTP_BAD_REQUEST;
    snprintf(problem->parameter, sizeof problem->parameter, "%s", field);
    return NULL;
}

json_t *model_question_fail(struct dialect_problem *problem, hearth_status status,
                            const hearth_error *err) {
    dialect_problem_of_failure(status, err->message, problem);
    return NULL;
}

void model_question_start(struct http_exchange *x, const struct model_question *question,
                          const char *model, json_t *body) {
    json_t *name = model ? json_string(model) : json_null();
    if (name) {
        http_task_start(x, &question->plan, json_pack("{s:o, s:o}", "model", name, "body", body));
        return;
    }
    json_decref(body);
    http_reply_error(x, MHD_HTTP_NOT_FOUND, "model", "no model has such a name");
}

void model_question_answer(struct http_exchange *x, const struct model_question *question,
                           const char *model) {
    struct dialect_problem problem = {0};
    json_t *reply = question->ask(x->server->settings.backend, model, x->json, &problem);
    if (problem.http_status == MHD_HTTP_NOT_FOUND) {
        json_t *body = x->json ? x->json : json_null();
        x->json = NULL;
        model_question_start(x, question, model, body);
    } else if (problem.http_status) {
        http_reply_problem(x, &problem);
    } else {
        http_reply_json(x, MHD_HTTP_OK, reply);
    }
}

/* ---- in a task --------------------------------------------------------------------------- */

struct asking {
    struct http_task *task;
    const json_t *body;
};

static hearth_status ask(void *context, const char *model, hearth_error *err) {
    const struct asking *a = context;
    const struct model_question *question =
        (const struct model_question *)http_task_plan_of(a->task); /* its first field */
    struct dialect_problem problem = {0};
    struct backend *backend = http_task_server(a->task)->settings.backend;
    json_t *reply = question->ask(backend, model, a->body, &problem);
    if (reply) {
        http_task_say(a->task, reply);
        return HEARTH_OK;
    }
    if (!problem.http_status)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the reply");
    http_task_fail_as(a->task, problem.http_status);
    http_task_fail_at(a->task, problem.parameter);
    return error_set(err, HEARTH_ERROR_ARGUMENT, "%s", problem.message);
}

hearth_status model_question_work(struct http_task *task, const json_t *input, hearth_error *err) {
    struct asking asking = {task, json_object_get(input, "body")};
    const char *model = json_string_value(json_object_get(input, "model"));
    return model_holding_use(task, model, ask, &asking, err);
}
