#include "route/backend.h"

hearth_status backend_start(struct backend *backend, const struct request *request,
                            struct event_sink sink, struct job **out, hearth_error *err) {
    *out = NULL;
    return backend->ops->start(backend, request, sink, out, err);
}

void job_cancel(struct job *job) {
    job->backend->ops->cancel(job);
}

struct job_progress job_progress(struct job *job) {
    struct job_progress progress = {0};
    if (job->backend->ops->progress) job->backend->ops->progress(job, &progress);
    return progress;
}

void job_finish(struct job *job) {
    job->backend->ops->finish(job);
}

hearth_status backend_list_models(struct backend *backend, json_t *out, hearth_error *err) {
    return backend->ops->list_models(backend, out, err);
}

hearth_status backend_status(struct backend *backend, json_t *out, hearth_error *err) {
    return backend->ops->status(backend, out, err);
}

hearth_status backend_adapters(struct backend *backend, const char *model, const json_t *scales,
                               json_t *out, hearth_error *err) {
    if (backend->ops->adapters) return backend->ops->adapters(backend, model, scales, out, err);
    if (!scales) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "this model has no adapters here");
}

hearth_status backend_add_adapter(struct backend *backend, const char *model, const char *path,
                                  const char *name, char **found, hearth_error *err) {
    *found = NULL;
    if (backend->ops->add_adapter)
        return backend->ops->add_adapter(backend, model, path, name, found, err);
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "this model has no adapters here");
}

hearth_status backend_slot(struct backend *backend, const struct backend_slot *slot, json_t *out,
                           hearth_error *err) {
    if (backend->ops->slot) return backend->ops->slot(backend, slot, out, err);
    return error_set(err, HEARTH_ERROR_UNSUPPORTED, "what answers have computed is not kept here");
}

static hearth_status has_no_vocabulary(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "the vocabulary of this model is not at hand here");
}

hearth_status backend_tokenize(struct backend *backend, const struct backend_text *text,
                               json_t *ids, hearth_error *err) {
    if (!backend->ops->tokenize) return has_no_vocabulary(err);
    return backend->ops->tokenize(backend, text, ids, err);
}

hearth_status backend_detokenize(struct backend *backend, const char *model, const json_t *ids,
                                 struct buf *text, hearth_error *err) {
    if (!backend->ops->detokenize) return has_no_vocabulary(err);
    return backend->ops->detokenize(backend, model, ids, text, err);
}

hearth_status backend_render(struct backend *backend, const struct request *request,
                             struct buf *prompt, hearth_error *err) {
    if (!backend->ops->render) return has_no_vocabulary(err);
    return backend->ops->render(backend, request, prompt, err);
}

void backend_close(struct backend *backend) {
    if (backend) backend->ops->close(backend);
}
