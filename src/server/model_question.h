/* model_question.h - what is asked about a model without an answer of its own: its tokens, its
 * template, its adapters; private to the room.
 *
 * Where the model is loaded the reply is made at once; otherwise a task loads it, as a request for
 * an answer would, and asks while it holds it. */
#ifndef HEARTH_SERVER_MODEL_QUESTION_H
#define HEARTH_SERVER_MODEL_QUESTION_H

#include "route/backend.h"
#include "server/http_task.h"

struct model_question {
    struct http_task_plan plan; /* MODEL_QUESTION_PLAN: how it is asked in a task */
    /* The reply, given; NULL: the problem says why, with status 404 where the model is not loaded.
     * `model`: NULL is the backend's own. Any thread. */
    json_t *(*ask)(struct backend *backend, const char *model, const json_t *body,
                   struct dialect_problem *problem);
};

hearth_status model_question_work(struct http_task *task, const json_t *input, hearth_error *err);
#define MODEL_QUESTION_PLAN                                                                        \
    { .work = model_question_work, .form = TASK_REPLY }

/* Leaves the exchange with a reply or a task, which takes its body. The question is borrowed for
 * ever, `model` is borrowed. */
void model_question_answer(struct http_exchange *x, const struct model_question *question,
                           const char *model);

/* The same always in a task, as for what waits; takes `body` (NULL: no memory). */
void model_question_start(struct http_exchange *x, const struct model_question *question,
                          const char *model, json_t *body);

/* ---- for questions: both return NULL --------------------------------------------------- */

json_t *model_question_refuse(struct dialect_problem *problem, const char *field,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));
json_t *model_question_fail(struct dialect_problem *problem, hearth_status status,
                            const hearth_error *err);

#endif
