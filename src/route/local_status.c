#include "route/local_status.h"

static json_t *scheduler_json(const struct scheduler_stats *s) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "running",
                     (json_int_t)s->n_running, "waiting", (json_int_t)s->n_waiting, "passes",
                     (json_int_t)s->n_passes, "rows", (json_int_t)s->n_rows, "prompt_tokens",
                     (json_int_t)s->n_prompt, "reused_tokens", (json_int_t)s->n_reused,
                     "generated_tokens", (json_int_t)s->n_generated, "preempted",
                     (json_int_t)s->n_preempted, "recomputed_tokens", (json_int_t)s->n_recomputed,
                     "pages", (json_int_t)s->n_pages, "free_pages", (json_int_t)s->n_free_pages,
                     "kept_pages", (json_int_t)s->n_kept_pages);
}

json_t *local_status_of_model(struct local_model *model, const struct model_use *use) {
    const struct context *context = model->engine.context;
    json_t *status = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", model->name, "n_ctx",
                               (json_int_t)context_length(context), "cache_bytes",
                               (json_int_t)context_cache_bytes(context), "bytes",
                               (json_int_t)use->bytes, "requests", (json_int_t)use->n_requests,
                               "slots", (json_int_t)context_settings(context)->n_sequences);
    if (status && model->scheduler) {
        struct scheduler_stats stats;
        scheduler_read_stats(model->scheduler, &stats);
        json_object_set_new(status, "running", json_integer(stats.n_running));
        json_object_set_new(status, "scheduler", scheduler_json(&stats));
    }
    return status;
}
