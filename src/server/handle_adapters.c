/* Which adapters are on, as llama.cpp's server has it: /lora-adapters, of the first model or of
 * ?model=. */
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/model_question.h"

/* After switching to `scales`, unless NULL; NULL: there is a problem. */
static json_t *adapters_of(struct backend *backend, const char *model, const json_t *scales,
                           struct dialect_problem *problem) {
    hearth_error err = {0};
    json_t *list = json_array();
    hearth_status status =
        list ? backend_adapters(backend, model, scales, list, &err)
             : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of adapters");
    if (status == HEARTH_OK) return list;
    json_decref(list);
    return model_question_fail(problem, status, &err);
}

static json_t *list_adapters(struct backend *backend, const char *model, const json_t *body,
                             struct dialect_problem *problem) {
    (void)body;
    return adapters_of(backend, model, NULL, problem);
}

void handle_adapters(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, list_adapters};
    model_question_answer(x, &question, http_exchange_query(x, "model"));
}

static json_t *switch_adapters(struct backend *backend, const char *model, const json_t *body,
                               struct dialect_problem *problem) {
    json_t *list = adapters_of(backend, model, body, problem);
    if (!list) return NULL;
    json_decref(list);
    return json_pack("{s:b}", "success", 1);
}

void handle_switch_adapters(struct http_exchange *x) {
    static const struct model_question question = {MODEL_QUESTION_PLAN, switch_adapters};
    if (asker_is_admin(&x->asker))
        model_question_answer(x, &question, http_exchange_query(x, "model"));
    else
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "", "this key may not look after the server");
}
