/* What a model of this machine does right now, and did since it was opened, for those who look
 * after the server. */
#include "route/local_model.h"

static bool set(json_t *object, const char *name, uint64_t value) {
    return json_object_set_new(object, name, json_integer((json_int_t)value)) == 0;
}

/* NULL: no memory. */
static json_t *scheduler_json(struct scheduler *scheduler) {
    struct scheduler_stats s;
    scheduler_read_stats(scheduler, &s);
    const struct {
        const char *name;
        uint64_t value;
    } facts[] = {{"waiting", s.n_waiting},
                 {"running", s.n_running},
                 {"pages", s.n_pages},
                 {"free_pages", s.n_free_pages},
                 {"kept_pages", s.n_kept_pages},
                 {"passes", s.n_passes},
                 {"rows", s.n_rows},
                 {"prompt_tokens", s.n_prompt},
                 {"reused_tokens", s.n_reused},
                 {"generated_tokens", s.n_generated},
                 {"preempted", s.n_preempted},
                 {"recomputed_tokens", s.n_recomputed}};
    json_t *object = json_object();
    bool whole = object != NULL;
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        whole = whole && set(object, facts[i].name, facts[i].value);
    if (whole) return object;
    json_decref(object);
    return NULL;
}

json_t *local_model_status(const struct local_model *m) {
    const struct context *context = m->engine.context;
    json_t *status =
        json_pack("{s:s, s:I, s:I}", "name", m->name, "n_ctx", (json_int_t)context_length(context),
                  "cache_bytes", (json_int_t)context_cache_bytes(context));
    json_t *scheduler = m->scheduler ? scheduler_json(m->scheduler) : NULL;
    bool whole = status && set(status, "slots", context_settings(context)->n_sequences);
    if (m->scheduler)
        whole = whole && scheduler &&
                json_object_set(status, "running", json_object_get(scheduler, "running")) == 0 &&
                json_object_set(status, "scheduler", scheduler) == 0;
    json_decref(scheduler);
    if (whole) return status;
    json_decref(status);
    return NULL;
}
