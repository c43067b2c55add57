/* Which models may be asked for, open or not. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "route/model_pool_parts.h"

/* What models take that do not make way. */
static uint64_t staying_bytes(const struct model_pool *pool) {
    uint64_t sum = 0;
    for (const struct pooled_model *p = pool->models; p; p = p->next)
        if (p->named && p->state == POOLED_OPEN) sum += p->bytes;
    return sum;
}

/* As local_model_describe says it of an open one; a path need not be UTF-8, then it cannot be said
 * in JSON. */
static json_t *describe_closed(const struct model_pool *pool, const struct listed_model *listed,
                               const struct model_facts *facts) {
    int64_t wanted = pool->settings.engine.n_ctx;
    uint64_t need = model_facts_need(facts, (uint32_t)wanted);
    bool fits =
        facts->problem.code == HEARTH_OK && staying_bytes(pool) + need <= pool->settings.max_bytes;
    json_t *model =
        json_pack("{s:o*, s:o*, s:I, s:I, s:s, s:s, s:I, s:I, s:b, s:b, s:b}", "name",
                  json_string(listed->name), "path", json_string(listed->path), "size_bytes",
                  (json_int_t)facts->size_bytes, "n_parameters", (json_int_t)facts->n_parameters,
                  "type", facts->type, "family", facts->family, "n_ctx",
                  (json_int_t)(wanted ? wanted : facts->n_ctx_train), "n_ctx_train",
                  (json_int_t)facts->n_ctx_train, "loaded", 0, "fits", (int)fits, "embeds",
                  (int)facts->embeds);
    if (model && facts->problem.code != HEARTH_OK)
        json_object_set_new(model, "problem", json_string(facts->problem.message));
    return model;
}

static json_t *describe_open(struct pooled_model *p) {
    json_t *model = local_model_describe(&p->model);
    double left = pool_use_of(p).seconds_left;
    if (model && isfinite(left)) json_object_set_new(model, "seconds_left", json_real(left));
    return model;
}

static hearth_status append(struct model_pool *pool, const struct listed_model *listed, json_t *out,
                            hearth_error *err) {
    struct model_facts facts;
    model_catalogue_facts(pool->catalogue, listed, &facts);
    pthread_mutex_lock(&pool->mutex);
    struct pooled_model *p = pool_by_identity(pool, listed->identity);
    bool is_open = p && p->state == POOLED_OPEN && (p->n_users > 0 || !p->leaves);
    json_t *model = is_open ? describe_open(p) : describe_closed(pool, listed, &facts);
    pthread_mutex_unlock(&pool->mutex);
    if (model && !json_object_get(model, "adapters"))
        json_object_set_new(model, "adapters", json_array());
    if (model) json_object_set_new(model, "modified_s", json_integer(listed->modified_s));
    if (model && is_open) json_object_set_new(model, "name", json_string(listed->name));
    if (model && json_array_append_new(out, model) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of models");
}

/* Names that are no UTF-8 cannot be asked for either. */
static bool can_be_said(const struct listed_model *listed) {
    json_t *name = json_string(listed->name);
    json_decref(name);
    return name != NULL;
}

/* Whoever asks by this name gets a model that the settings name. */
static bool is_taken(const struct model_pool *pool, const char *name) {
    for (size_t i = 0; i < pool->settings.n_models; i++)
        if (strcmp(pool->named[i].name, name) == 0) return true;
    return false;
}

hearth_status model_pool_list(struct model_pool *pool, json_t *out, hearth_error *err) {
    struct listed_model *others = NULL;
    size_t n_others = 0;
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < pool->settings.n_models && status == HEARTH_OK; i++)
        if (pool_named_index(pool, pool->named[i].identity) == i)
            status = append(pool, &pool->named[i], out, err);
    if (status == HEARTH_OK && !pool->settings.only_named)
        status = model_catalogue_list(pool->catalogue, &others, &n_others, err);
    for (size_t i = 0; i < n_others && status == HEARTH_OK; i++)
        if (can_be_said(&others[i]) && !is_taken(pool, others[i].name) &&
            pool_named_index(pool, others[i].identity) == pool->settings.n_models)
            status = append(pool, &others[i], out, err);
    if (others) listed_models_free(others, n_others);
    return status;
}
