#include "route/drafting.h"

#include "infer/draft_model.h"
#include "infer/mtp_drafter.h"
#include "infer/ngram_drafter.h"

void drafting_settings_init(struct drafting_settings *settings) {
    *settings = (struct drafting_settings){.most = SPECULATION_MAX_DRAFT, .min_probability = 0.5};
}

static int type_of(const struct drafting_settings *s) {
    if (s->most == 0) return DRAFTING_NONE;
    if (s->type != DRAFTING_AUTO) return s->type;
    return s->model ? DRAFTING_MODEL : DRAFTING_NGRAM;
}

uint32_t drafting_n_draft(const struct drafting_settings *s) {
    return type_of(s) == DRAFTING_NONE ? 0 : (uint32_t)s->most;
}

bool drafting_uses_head(const struct drafting_settings *s) {
    return type_of(s) == DRAFTING_MTP;
}

static hearth_status open_draft_model(struct drafting *d, const struct drafting_settings *settings,
                                      const struct engine *engine,
                                      const struct engine_settings *model, struct drafter **drafter,
                                      hearth_error *err) {
    struct engine_settings own = *model;
    struct context_options options = context_defaults();
    own.model = settings->model;
    own.n_ctx = context_length(engine->context);
    own.adapters.count = 0; /* they were made for the model */
    options.n_draft = (uint32_t)settings->most;
    RETURN_IF_ERROR(engine_open(&d->engine, &own, options, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&d->engine, err));
    RETURN_IF_ERROR(draft_model_check(engine->tokenizer, d->engine.tokenizer, err));
    RETURN_IF_ERROR(session_open(&d->session, d->engine.context, 0, err));
    return draft_model_open(drafter, d->session, engine->model.config.n_vocab,
                            (float)settings->min_probability, err);
}

hearth_status drafting_open(struct drafting *d, const struct drafting_settings *settings,
                            const struct engine *engine, const struct engine_settings *model,
                            hearth_error *err) {
    struct drafter *drafter = NULL;
    uint32_t n_ctx = context_length(engine->context);
    const struct speculation_options options = {.max_draft = (uint32_t)settings->most,
                                                .min_draft = (uint32_t)settings->least};
    hearth_status status = HEARTH_OK;
    *d = (struct drafting){0};
    switch (type_of(settings)) {
    case DRAFTING_NGRAM: status = ngram_drafter_open(&drafter, n_ctx, err); break;
    case DRAFTING_MODEL:
        if (!settings->model)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "no draft model given; use --model-draft FILE");
        status = open_draft_model(d, settings, engine, model, &drafter, err);
        if (status != HEARTH_OK)
            error_prefix(err, status, "cannot draft with '%s'", settings->model);
        break;
    case DRAFTING_MTP:
        status =
            mtp_drafter_open(&drafter, engine->context, 0, (float)settings->min_probability, err);
        break;
    default: return HEARTH_OK;
    }
    if (status == HEARTH_OK)
        status = speculation_open(&d->speculation, drafter, &options, n_ctx, err);
    if (status != HEARTH_OK) drafting_close(d);
    return status;
}

void drafting_close(struct drafting *d) {
    speculation_close(d->speculation);
    session_close(d->session);
    engine_close(&d->engine);
    *d = (struct drafting){0};
}
