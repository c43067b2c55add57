#include "route/drafting.h"

#include "infer/draft_model.h"
#include "infer/mtp_drafter.h"
#include "infer/ngram_drafter.h"
#include "infer/speculation.h"

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

/* What the model has left of the memory they have together, beside the draft model's weights; 0
 * where nobody has set a limit. */
static uint64_t room_left(const struct drafting *d, const struct engine_settings *model) {
    uint64_t taken =
        context_allocated_bytes(d->target->context) + directory_bytes(&d->engine.model.directory);
    if (!model->max_bytes) return 0;
    return model->max_bytes > taken ? model->max_bytes - taken : 1;
}

static hearth_status open_draft_model(struct drafting *d, const struct drafting_settings *settings,
                                      const struct engine_settings *model, hearth_error *err) {
    struct engine_settings own = *model;
    struct context_options options = context_defaults();
    own.model = settings->model;
    own.n_ctx = context_length(d->target->context);
    own.adapters.count = 0; /* they were made for the model */
    options.n_draft = (uint32_t)settings->most;
    RETURN_IF_ERROR(engine_open_model(&d->engine, &own, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&d->engine, err));
    RETURN_IF_ERROR(draft_model_check(d->target->tokenizer, d->engine.tokenizer, err));
    own.max_bytes = room_left(d, model);
    RETURN_IF_ERROR(engine_open_context(&d->engine, &own, options, err));
    return session_open(&d->session, d->engine.context, 0, err);
}

static hearth_status prepare(struct drafting *d, const struct drafting_settings *settings,
                             const struct engine *engine, const struct engine_settings *model,
                             hearth_error *err) {
    *d = (struct drafting){.type = type_of(settings),
                           .min_probability = (float)settings->min_probability,
                           .target = engine};
    if (d->type != DRAFTING_MODEL) return HEARTH_OK;
    if (!settings->model)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "no draft model given; use --model-draft FILE");
    hearth_status status = open_draft_model(d, settings, model, err);
    if (status != HEARTH_OK) error_prefix(err, status, "cannot draft with '%s'", settings->model);
    return status;
}

static hearth_status open_drafter(void *context, uint32_t sequence, struct drafter **drafter,
                                  hearth_error *err) {
    const struct drafting *d = context;
    struct context *target = d->target->context;
    switch (d->type) {
    case DRAFTING_MODEL:
        return draft_model_open(drafter, d->session, d->target->model.config.n_vocab,
                                d->min_probability, err);
    case DRAFTING_MTP: return mtp_drafter_open(drafter, target, sequence, d->min_probability, err);
    default: return ngram_drafter_open(drafter, context_length(target), err);
    }
}

hearth_status drafting_open(struct drafting *d, const struct drafting_settings *settings,
                            const struct engine *engine, const struct engine_settings *model,
                            const struct scheduler_drafting **out, hearth_error *err) {
    *out = NULL;
    hearth_status status = prepare(d, settings, engine, model, err);
    d->scheduled = (struct scheduler_drafting){.open = open_drafter,
                                               .context = d,
                                               .single = d->type == DRAFTING_MODEL,
                                               .max_draft = (uint32_t)settings->most,
                                               .min_draft = (uint32_t)settings->least};
    if (status != HEARTH_OK)
        drafting_close(d);
    else if (d->type != DRAFTING_NONE)
        *out = &d->scheduled;
    return status;
}

void drafting_close(struct drafting *d) {
    session_close(d->session);
    engine_close(&d->engine);
    *d = (struct drafting){0};
}
