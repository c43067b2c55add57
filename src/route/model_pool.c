#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "route/local_adapters.h"
#include "route/model_pool_parts.h"

void model_pool_settings_init(struct model_pool_settings *settings) {
    *settings = (struct model_pool_settings){.keep_alive_s = MODEL_POOL_KEEP_ALIVE_S,
                                             .max_wait_s = MODEL_POOL_MAX_WAIT_S,
                                             .patience_s = MODEL_POOL_PATIENCE_S};
    engine_settings_init(&settings->engine);
    drafting_settings_init(&settings->drafting);
}

/* ---- names ------------------------------------------------------------------------------ */

static bool is_called(const char *own, const char *name) {
    size_t n = strlen(own);
    if (strncmp(own, name, n) != 0) return false;
    return !name[n] || strcmp(name + n, ":latest") == 0;
}

size_t pool_named_index(const struct model_pool *pool, const char *identity) {
    size_t i = 0;
    while (i < pool->settings.n_models && strcmp(pool->named[i].identity, identity) != 0)
        i++;
    return i;
}

/* "FIRST:ADAPTER", or an adapter's own name. */
static bool is_adapter_of_first(const struct model_pool *pool, const char *name) {
    const char *first = pool->named[0].name;
    size_t n = strlen(first), i = 0;
    if (strncmp(name, first, n) == 0 && name[n] == ':') name += n + 1;
    while (i < pool->n_adapters && strcmp(pool->adapters[i], name) != 0)
        i++;
    return i < pool->n_adapters;
}

/* Which named model goes by this name; n_models: none. */
static size_t named_by(const struct model_pool *pool, const char *name) {
    size_t i = 0;
    if (!name || !*name) return 0;
    while (i < pool->settings.n_models && !is_called(pool->named[i].name, name))
        i++;
    return i == pool->settings.n_models && is_adapter_of_first(pool, name) ? 0 : i;
}

/* The open model that has an adapter which is meant; the lock is held. NULL: none. */
static struct pooled_model *by_adapter(const struct model_pool *pool, const char *name) {
    struct pooled_model *p = pool->models;
    while (p && !(p->state == POOLED_OPEN && local_adapters_names(&p->model, name)))
        p = p->next;
    return p;
}

hearth_status model_pool_check_name(struct model_pool *pool, const char *name, hearth_error *err) {
    if (!pool->settings.only_named || named_by(pool, name) < pool->settings.n_models)
        return HEARTH_OK;
    pthread_mutex_lock(&pool->mutex);
    bool is_adapter = by_adapter(pool, name) != NULL;
    pthread_mutex_unlock(&pool->mutex);
    if (is_adapter) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no model '%.200s' here; there is '%s'", name,
                     pool->named[0].name);
}

static hearth_status find_by_adapter(struct model_pool *pool, const char *name,
                                     struct listed_model *out, hearth_error *err) {
    pthread_mutex_lock(&pool->mutex);
    const struct pooled_model *p = by_adapter(pool, name);
    hearth_status status = p ? listed_model_copy(out, &p->listed, err) : HEARTH_ERROR_NOT_FOUND;
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

hearth_status pool_find_name(struct model_pool *pool, const char *name, struct listed_model *out,
                             hearth_error *err) {
    size_t i = named_by(pool, name), n_named = pool->settings.n_models;
    *out = (struct listed_model){0};
    if (i < n_named) return listed_model_copy(out, &pool->named[i], err);
    hearth_status adapted = find_by_adapter(pool, name, out, err);
    if (adapted != HEARTH_ERROR_NOT_FOUND) return adapted;
    RETURN_IF_ERROR(model_pool_check_name(pool, name, err));
    RETURN_IF_ERROR(model_catalogue_find(pool->catalogue, name, out, err));
    i = pool_named_index(pool, out->identity);
    if (i == n_named) return HEARTH_OK;
    listed_model_release(out);
    return listed_model_copy(out, &pool->named[i], err);
}

/* ---- models -------------------------------------------------------------------------------- */

struct pooled_model *pool_by_identity(const struct model_pool *pool, const char *identity) {
    struct pooled_model *p = pool->models;
    while (p && strcmp(p->listed.identity, identity) != 0)
        p = p->next;
    return p;
}

struct pooled_model *pool_add(struct model_pool *pool, struct listed_model *listed) {
    struct pooled_model *p = mem_calloc(1, sizeof *p), **at = &pool->models;
    if (!p) {
        listed_model_release(listed);
        return NULL;
    }
    p->listed = *listed;
    *listed = (struct listed_model){0};
    p->named = pool_named_index(pool, p->listed.identity) < pool->settings.n_models;
    while (*at)
        at = &(*at)->next;
    *at = p;
    return p;
}

void pool_remove(struct model_pool *pool, struct pooled_model *pooled) {
    struct pooled_model **at = &pool->models;
    while (*at != pooled)
        at = &(*at)->next;
    *at = pooled->next;
    listed_model_release(&pooled->listed);
    mem_free(pooled);
}

bool pool_is_at_hand(const struct pooled_model *p) {
    return p->state == POOLED_OPEN && !p->leaves && !p->yields;
}

uint64_t pool_used_bytes(const struct model_pool *pool) {
    uint64_t sum = 0;
    for (const struct pooled_model *p = pool->models; p; p = p->next)
        sum += p->bytes;
    return sum;
}

/* Durations beyond a century are for ever. */
uint64_t pool_time_from(uint64_t since_ns, double seconds) {
    if (seconds <= 0) return since_ns;
    return seconds < 3e9 ? since_ns + (uint64_t)(seconds * 1e9) : UINT64_MAX;
}

uint64_t pool_time_after(double seconds) {
    return seconds <= 0 ? 0 : pool_time_from(clock_now_ns(), seconds);
}

void pool_hold(struct pooled_model *p) {
    p->n_users++;
    p->n_requests++;
    p->used_ns = clock_now_ns();
}

/* ---- using a model --------------------------------------------------------------------------- */

/* The model at hand that goes by this name, now held; or NULL. */
static struct pooled_model *hold_by_name(struct model_pool *pool, const char *name) {
    size_t named = named_by(pool, name), n_named = pool->settings.n_models;
    for (struct pooled_model *p = pool->models; p; p = p->next) {
        bool is_it = named < n_named ? pool_named_index(pool, p->listed.identity) == named
                                     : is_called(p->listed.name, name);
        if (!pool_is_at_hand(p) || !(is_it || local_adapters_names(&p->model, name))) continue;
        pool_hold(p);
        return p;
    }
    return NULL;
}

void model_pool_acquire(struct model_pool *pool, struct model_wait *wait, const char *name) {
    const hearth_error none = {0};
    wait->name = name;
    wait->pooled = NULL;
    wait->cancelled = false;
    wait->since_ns = clock_now_ns();
    wait->next = NULL;
    pthread_mutex_lock(&pool->mutex);
    struct pooled_model *held = hold_by_name(pool, name);
    if (!held) {
        struct model_wait **at = &pool->waits;
        while (*at)
            at = &(*at)->next;
        *at = wait;
        pthread_cond_signal(&pool->tidings);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (held) wait->ready(wait, &held->model, &none);
}

void model_pool_cancel(struct model_pool *pool, struct model_wait *wait) {
    pthread_mutex_lock(&pool->mutex);
    wait->cancelled = true;
    pthread_cond_signal(&pool->tidings);
    pthread_mutex_unlock(&pool->mutex);
}

hearth_status model_pool_borrow(struct model_pool *pool, const char *name, struct local_model **out,
                                hearth_error *err) {
    struct listed_model listed;
    RETURN_IF_ERROR(pool_find_name(pool, name, &listed, err));
    pthread_mutex_lock(&pool->mutex);
    struct pooled_model *p = pool_by_identity(pool, listed.identity);
    /* While others hold it, too, this keeps nobody from its memory. */
    bool is_held = p && p->state == POOLED_OPEN && !p->leaves && p->n_users > p->n_borrowed;
    bool is_there = is_held || (p && pool_is_at_hand(p));
    if (is_there) {
        pool_hold(p);
        p->n_borrowed++;
    }
    pthread_mutex_unlock(&pool->mutex);
    *out = is_there ? &p->model : NULL;
    hearth_status status = HEARTH_OK;
    if (!is_there)
        status = error_set(err, HEARTH_ERROR_NOT_FOUND,
                           "the model '%.200s' is not loaded; load it first", listed.name);
    listed_model_release(&listed);
    return status;
}

void model_pool_return(struct model_pool *pool, struct local_model *model) {
    pthread_mutex_lock(&pool->mutex);
    ((struct pooled_model *)model)->n_borrowed--;
    pthread_mutex_unlock(&pool->mutex);
    model_pool_release(pool, model, NAN);
}

void model_pool_release(struct model_pool *pool, struct local_model *model, double keep_alive_s) {
    struct pooled_model *p = (struct pooled_model *)model;
    pthread_mutex_lock(&pool->mutex);
    p->n_users--;
    p->used_ns = clock_now_ns();
    if (!isnan(keep_alive_s)) p->keep_alive_s = keep_alive_s;
    p->expires_ns = p->named ? UINT64_MAX : pool_time_after(p->keep_alive_s);
    pthread_cond_signal(&pool->tidings);
    if (p->n_users == 0) pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

hearth_status model_pool_unload(struct model_pool *pool, const char *name, hearth_error *err) {
    struct listed_model listed;
    RETURN_IF_ERROR(pool_find_name(pool, name, &listed, err));
    pthread_mutex_lock(&pool->mutex);
    struct pooled_model *p = pool_by_identity(pool, listed.identity);
    if (p && p->state == POOLED_OPEN) {
        p->leaves = true;
        pthread_cond_signal(&pool->tidings);
    }
    pthread_mutex_unlock(&pool->mutex);
    listed_model_release(&listed);
    return HEARTH_OK;
}

/* ---- what there is ------------------------------------------------------------------------- */

/* The time of a model in use begins when it is given back. */
static double seconds_left(const struct pooled_model *p) {
    uint64_t now = clock_now_ns();
    if (p->leaves) return 0;
    if (p->named) return INFINITY;
    if (p->n_users > 0) return p->keep_alive_s;
    if (p->expires_ns == UINT64_MAX) return INFINITY;
    return p->expires_ns > now ? (double)(p->expires_ns - now) * 1e-9 : 0;
}

struct model_use pool_use_of(const struct pooled_model *p) {
    return (struct model_use){.n_users = p->n_users,
                              .n_requests = p->n_requests,
                              .bytes = p->bytes,
                              .seconds_left = seconds_left(p)};
}

void model_pool_visit(struct model_pool *pool,
                      void (*visit)(void *context, struct local_model *model,
                                    const struct model_use *use),
                      void *context) {
    pthread_mutex_lock(&pool->mutex);
    for (struct pooled_model *p = pool->models; p; p = p->next) {
        const struct model_use use = pool_use_of(p);
        if (p->state == POOLED_OPEN) visit(context, &p->model, &use);
    }
    pthread_mutex_unlock(&pool->mutex);
}

struct model_pool_memory model_pool_memory(struct model_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    struct model_pool_memory memory = {pool->settings.max_bytes, pool_used_bytes(pool)};
    pthread_mutex_unlock(&pool->mutex);
    return memory;
}

/* ---- open and close ----------------------------------------------------------------------- */

/* Of a path, the file's name without its ending; other names stay as they are. */
static char *name_of(const char *asked) {
    if (!file_exists(asked)) return mem_strdup(asked);
    const char *base = path_base(asked), *end = strrchr(base, '.');
    size_t n = end && strcmp(end, ".gguf") == 0 ? (size_t)(end - base) : strlen(base);
    return mem_strndup(base, n);
}

static hearth_status resolve_named(struct model_pool *pool, size_t i, hearth_error *err) {
    const struct model_pool_settings *s = &pool->settings;
    struct listed_model *named = &pool->named[i];
    RETURN_IF_ERROR(model_catalogue_resolve(s->models[i], named, err));
    mem_free(named->name);
    named->name = i == 0 && s->name ? mem_strdup(s->name) : name_of(s->models[i]);
    if (!named->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    for (size_t k = 0; k < i; k++)
        if (strcmp(pool->named[k].name, named->name) == 0)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' and '%s' would both be called '%s'",
                             s->models[k], s->models[i], named->name);
    return HEARTH_OK;
}

static hearth_status open_named(struct model_pool *pool, size_t i, hearth_error *err) {
    struct listed_model listed;
    if (pool_by_identity(pool, pool->named[i].identity)) return HEARTH_OK;
    RETURN_IF_ERROR(listed_model_copy(&listed, &pool->named[i], err));
    struct pooled_model *p = pool_add(pool, &listed);
    if (!p) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a model");
    return pool_open_model(pool, p, err);
}

/* It can be asked for by them also when it is not open. */
static hearth_status note_adapters(struct model_pool *pool, hearth_error *err) {
    const struct engine *engine = &pool->models->model.engine;
    for (size_t i = 0; i < engine->n_adapters; i++) {
        pool->adapters[i] = mem_strdup(engine->adapters[i]->name);
        if (!pool->adapters[i])
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
        pool->n_adapters++;
    }
    return HEARTH_OK;
}

static hearth_status start_thread(pthread_t *thread, void *(*run)(void *), struct model_pool *pool,
                                  bool *has, hearth_error *err) {
    int code = pthread_create(thread, NULL, run, pool);
    *has = code == 0;
    if (code == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start a thread: %s", strerror(code));
}

static hearth_status open_all(struct model_pool *pool, hearth_error *err) {
    hearth_status status = model_catalogue_open(&pool->catalogue, err);
    for (size_t i = 0; i < pool->settings.n_models && status == HEARTH_OK; i++)
        status = resolve_named(pool, i, err);
    pthread_mutex_lock(&pool->mutex);
    for (size_t i = 0; i < pool->settings.n_models && status == HEARTH_OK; i++)
        status = open_named(pool, i, err);
    if (status == HEARTH_OK) status = note_adapters(pool, err);
    pthread_mutex_unlock(&pool->mutex);
    if (status == HEARTH_OK)
        status = start_thread(&pool->opener, pool_run_opener, pool, &pool->has_opener, err);
    if (status == HEARTH_OK)
        status = start_thread(&pool->teller, pool_run_teller, pool, &pool->has_teller, err);
    return status;
}

hearth_status model_pool_open(struct model_pool **out, const struct model_pool_settings *settings,
                              hearth_error *err) {
    struct model_pool *pool = mem_calloc(1, sizeof *pool);
    pthread_condattr_t monotonic;
    *out = NULL;
    if (!pool) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for models");
    pool->settings = *settings;
    pool->has_limit = settings->max_bytes > 0;
    if (!pool->has_limit) pool->settings.max_bytes = cpu_memory_available();
    if (!pool->settings.max_bytes) pool->settings.max_bytes = UINT64_MAX; /* nobody knows */
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->work, &monotonic);
    pthread_cond_init(&pool->tidings, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->named = mem_calloc(settings->n_models, sizeof *pool->named);
    hearth_status status = pool->named
                               ? open_all(pool, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for models");
    pool->settings.models = NULL;
    if (status == HEARTH_OK)
        *out = pool;
    else
        model_pool_close(pool);
    return status;
}

void model_pool_close(struct model_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stops = true;
    pthread_cond_signal(&pool->work);
    pthread_cond_signal(&pool->tidings);
    pthread_mutex_unlock(&pool->mutex);
    if (pool->has_teller) pthread_join(pool->teller, NULL);
    if (pool->has_opener) pthread_join(pool->opener, NULL);
    while (pool->models) {
        local_model_close(&pool->models->model);
        pool_remove(pool, pool->models);
    }
    if (pool->named) listed_models_free(pool->named, pool->settings.n_models);
    for (size_t i = 0; i < pool->n_adapters; i++)
        mem_free(pool->adapters[i]);
    model_catalogue_close(pool->catalogue);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->tidings);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool);
}
