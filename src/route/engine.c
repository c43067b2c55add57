#include "route/engine.h"

#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/numa.h"
#include "base/pool.h"
#include "hub/hub.h"

static const enum elem cache_types[] = {ELEM_F16, ELEM_F32, ELEM_Q8_0, ELEM_Q4_0};

void engine_settings_init(struct engine_settings *settings) {
    *settings =
        (struct engine_settings){.k_type = ENGINE_CACHE_UNSET, .v_type = ENGINE_CACHE_UNSET};
}

typedef hearth_status (*model_opener)(struct model *model, const char *path, hearth_error *err);

static hearth_status open_by_name(struct model *model, const char *name, model_opener open,
                                  hearth_error *err) {
    struct hub *hub;
    char *path = NULL;
    RETURN_IF_ERROR(hub_open(&hub, err));
    hearth_status status = hub_resolve(hub, name, &path, err);
    if (status == HEARTH_OK) status = open(model, path, err);
    mem_free(path);
    hub_close(hub);
    return status;
}

static hearth_status open_with_tokenizer(struct engine *engine,
                                         const struct engine_settings *settings, model_opener open,
                                         hearth_error *err) {
    *engine = (struct engine){0};
    if (!settings->model)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "no model given; use -m FILE");
    RETURN_IF_ERROR(open_by_name(&engine->model, settings->model, open, err));
    hearth_status status =
        tokenizer_open(&engine->tokenizer, &engine->model.directory.metadata, err);
    if (status == HEARTH_OK || status == HEARTH_ERROR_NOT_FOUND) return HEARTH_OK;
    error_prefix(err, status, "cannot use the tokenizer of '%s'", settings->model);
    engine_close(engine);
    return status;
}

hearth_status engine_open_model(struct engine *engine, const struct engine_settings *settings,
                                hearth_error *err) {
    return open_with_tokenizer(engine, settings, model_open, err);
}

hearth_status engine_open_vocabulary(struct engine *engine, const struct engine_settings *settings,
                                     hearth_error *err) {
    RETURN_IF_ERROR(open_with_tokenizer(engine, settings, model_open_files, err));
    hearth_status status = engine_need_tokenizer(engine, err);
    if (status != HEARTH_OK) engine_close(engine);
    return status;
}

static hearth_status open_adapter(struct engine *engine, const char *item, hearth_error *err) {
    struct adapter_set *set = &engine->adapter_set;
    size_t i = set->count;
    if (i == ADAPTER_SET_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d adapters", ADAPTER_SET_MAX);
    RETURN_IF_ERROR(adapter_open_scaled(&engine->adapters[i], &set->items[i].scale, item,
                                        &engine->model.config, err));
    set->items[i].adapter = &engine->adapters[i];
    set->count++;
    return HEARTH_OK;
}

static bool spreads_weights(struct engine *engine, const struct engine_settings *settings) {
    if (settings->numa == ENGINE_NUMA_OFF) return false;
    numa_read_nodes(&engine->nodes);
    if (engine->nodes.count == 1 || settings->numa == ENGINE_NUMA_DISTRIBUTE)
        return engine->nodes.count > 1;
    return directory_bytes(&engine->model.directory) <= cpu_memory_available() / 2;
}

/* By the threads that will read them, as many as the context gets. */
static hearth_status spread_weights(struct engine *engine, unsigned n_threads, hearth_error *err) {
    struct pool *pool;
    RETURN_IF_ERROR(pool_open(&pool, n_threads, err));
    pool_tie(pool, &engine->nodes);
    hearth_status status = directory_spread(&engine->model.directory, pool, err);
    pool_close(pool);
    return status;
}

/* A lock that is refused costs speed at worst: said, and gone on without. */
static hearth_status place_weights(struct engine *engine, const struct engine_settings *settings,
                                   struct context_options *options, hearth_error *err) {
    hearth_error problem = {0};
    struct directory *dir = &engine->model.directory;
    if (spreads_weights(engine, settings)) {
        RETURN_IF_ERROR(spread_weights(engine, options->n_threads, err));
        options->nodes = &engine->nodes;
    } else if (settings->copy) {
        RETURN_IF_ERROR(directory_copy(dir, err));
    }
    if (settings->lock && directory_lock(dir, &problem) != HEARTH_OK)
        log_message(LOG_WARNING, "the weights are not locked: %s", problem.message);
    return HEARTH_OK;
}

hearth_status engine_open_context(struct engine *engine, const struct engine_settings *settings,
                                  struct context_options options, hearth_error *err) {
    if (settings->n_ctx) options.n_ctx = (uint32_t)settings->n_ctx;
    if (settings->n_threads) options.n_threads = (unsigned)settings->n_threads;
    if (settings->max_batch) options.max_batch = (uint32_t)settings->max_batch;
    if (settings->k_type != ENGINE_CACHE_UNSET) options.k_type = cache_types[settings->k_type];
    if (settings->v_type != ENGINE_CACHE_UNSET) options.v_type = cache_types[settings->v_type];
    if (settings->activations == ENGINE_ACTIVATIONS_F32) options.activations_f32 = true;
    if (settings->max_bytes) options.max_bytes = settings->max_bytes;
    RETURN_IF_ERROR(place_weights(engine, settings, &options, err));
    for (size_t i = 0; i < settings->adapters.count; i++)
        RETURN_IF_ERROR(open_adapter(engine, settings->adapters.items[i], err));
    RETURN_IF_ERROR(context_open(&engine->context, &engine->model, &options, err));
    if (engine->adapter_set.count == 0) return HEARTH_OK;
    return context_set_adapters(engine->context, &engine->adapter_set, err);
}

hearth_status engine_open(struct engine *engine, const struct engine_settings *settings,
                          struct context_options base, hearth_error *err) {
    RETURN_IF_ERROR(engine_open_model(engine, settings, err));
    hearth_status status = engine_open_context(engine, settings, base, err);
    if (status != HEARTH_OK) engine_close(engine);
    return status;
}

void engine_close(struct engine *engine) {
    context_close(engine->context);
    for (size_t i = 0; i < engine->adapter_set.count; i++)
        adapter_close(&engine->adapters[i]);
    tokenizer_close(engine->tokenizer);
    model_close(&engine->model);
    *engine = (struct engine){0};
}

hearth_status engine_need_tokenizer(const struct engine *engine, hearth_error *err) {
    if (engine->tokenizer) return HEARTH_OK;
    return error_set(
        err, HEARTH_ERROR_UNSUPPORTED,
        "'%s' carries no vocabulary (tokenizer.ggml.model is absent or 'no_vocab'): it "
        "cannot read or write text; 'hearth logits', 'show' and 'bench' work without",
        engine->model.directory.path);
}
