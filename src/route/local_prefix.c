#include "route/local_prefix.h"

#include "route/local_adapters.h"
#include "route/request_terms.h"

/* The tokens of the request's only prompt; request_terms_release(answer) in every case. */
static hearth_status make_prompt(struct local_answer *answer, hearth_error *err) {
    if (!answer->model->scheduler)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' embeds texts, it does not answer",
                         answer->model->name);
    RETURN_IF_ERROR(local_adapters_choose(answer->model, answer->request, &answer->adapters, err));
    RETURN_IF_ERROR(request_terms_prompts(answer, err));
    if (answer->n_prompts == 1) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "%zu prompts; one can be kept", answer->n_prompts);
}

static struct scheduler_prefix prefix_of(const struct local_answer *answer) {
    return (struct scheduler_prefix){.tokens = answer->prompts[0].ids,
                                     .n_tokens = (uint32_t)answer->prompts[0].count,
                                     .adapters = &answer->adapters};
}

hearth_status local_prefix_save(struct local_model *model, const struct request *request,
                                const char *path, hearth_error *err) {
    struct local_answer answer = {.model = model, .request = request};
    uint32_t n_saved;
    hearth_status status = make_prompt(&answer, err);
    if (status == HEARTH_OK) {
        const struct scheduler_prefix prefix = prefix_of(&answer);
        status = scheduler_save_prefix(model->scheduler, &prefix, path, &n_saved, err);
    }
    request_terms_release(&answer);
    return status;
}

hearth_status local_prefix_load(struct local_model *model, const struct request *request,
                                const char *path, bool *complete, hearth_error *err) {
    struct local_answer answer = {.model = model, .request = request};
    uint32_t n_found = 0;
    *complete = false;
    hearth_status status = make_prompt(&answer, err);
    if (status == HEARTH_OK) {
        const struct scheduler_prefix prefix = prefix_of(&answer);
        status = scheduler_load_prefix(model->scheduler, &prefix, path, &n_found, err);
    }
    /* The last token is computed in any case, and with it its page. */
    if (status == HEARTH_OK)
        *complete =
            (answer.prompts[0].count - 1) / CACHE_PAGE_TOKENS <= n_found / CACHE_PAGE_TOKENS;
    request_terms_release(&answer);
    return status;
}
