#include "route/engine.h"

#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/numa.h"
#include "base/pool.h"
#include "hub/hub.h"

enum { ADAPTER_NAME_BYTES = 200 };

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

/* ---- adapters --------------------------------------------------------------------- */

size_t engine_find_adapter(const struct engine *engine, const char *name) {
    size_t i = 0;
    while (i < engine->n_adapters && strcmp(engine->adapters[i]->name, name) != 0)
        i++;
    return i;
}

/* The last part of path[0 .. *end), slashes after it left out: where it begins, and ends. */
static size_t last_part(const char *path, size_t *end) {
    while (*end > 1 && path[*end - 1] == '/')
        --*end;
    size_t first = *end;
    while (first > 0 && path[first - 1] != '/')
        first--;
    return first;
}

/* Of "folder/name.gguf", or "folder/name/", the name; of "run/adapter.gguf", which is what runs of
 * training call theirs, the folder's. */
static void name_of(const char *path, char *name, size_t size) {
    static const char ending[] = ".gguf", any[] = "adapter";
    size_t end = strlen(path), n = sizeof ending - 1, first = last_part(path, &end);
    if (end - first > n && strncmp(path + end - n, ending, n) == 0) end -= n;
    size_t folder_end = first, folder = last_part(path, &folder_end);
    bool is_any = end - first == sizeof any - 1 && strncmp(path + first, any, end - first) == 0;
    if (is_any && folder < folder_end && path[folder] != '.' && path[folder] != '/') {
        first = folder;
        end = folder_end;
    }
    snprintf(name, size, "%.*s", (int)(end - first < size ? end - first : size - 1), path + first);
}

/* A name like `wanted` (NULL: like that of the file) that no other adapter has; NULL: no memory. */
static char *new_name(const struct engine *engine, const char *wanted, const char *path) {
    char base[ADAPTER_NAME_BYTES], name[ADAPTER_NAME_BYTES + 16];
    if (wanted)
        snprintf(base, sizeof base, "%s", wanted);
    else
        name_of(path, base, sizeof base);
    snprintf(name, sizeof name, "%s", base);
    for (int n = 2; engine_find_adapter(engine, name) < engine->n_adapters; n++)
        snprintf(name, sizeof name, "%s-%d", base, n);
    return mem_strdup(name);
}

hearth_status engine_open_adapter(const struct engine *engine, const char *item, const char *name,
                                  struct engine_adapter **out, hearth_error *err) {
    float scale;
    struct engine_adapter *opened = mem_calloc(1, sizeof *opened);
    *out = NULL;
    if (!opened) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    hearth_status status =
        adapter_open_scaled(&opened->adapter, &scale, item, &engine->model.config, err);
    if (status == HEARTH_OK) {
        opened->is_on = scale != 0;
        opened->scale = opened->is_on ? scale : 1;
        opened->name = new_name(engine, name, opened->adapter.directory.path);
        if (!opened->name) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    }
    if (status == HEARTH_OK)
        *out = opened;
    else
        engine_adapter_close(opened);
    return status;
}

void engine_adapter_close(struct engine_adapter *adapter) {
    if (!adapter) return;
    adapter_close(&adapter->adapter);
    mem_free(adapter->name);
    mem_free(adapter);
}

static hearth_status open_adapters(struct engine *engine, const struct option_list *items,
                                   hearth_error *err) {
    for (size_t i = 0; i < items->count; i++) {
        if (engine->n_adapters == ADAPTER_LOADED_MAX)
            return error_set(err, HEARTH_ERROR_LIMIT, "more than %d adapters",
                             (int)ADAPTER_LOADED_MAX);
        RETURN_IF_ERROR(
            engine_open_adapter(engine, items->items[i], NULL, &engine->adapters[i], err));
        engine->n_adapters++;
    }
    return HEARTH_OK;
}

static hearth_status load_adapters(struct engine *engine, hearth_error *err) {
    struct adapter_item items[ADAPTER_LOADED_MAX];
    struct adapter_set on = {.count = 0};
    for (size_t i = 0; i < engine->n_adapters; i++) {
        const struct engine_adapter *a = engine->adapters[i];
        items[i] = (struct adapter_item){&a->adapter, a->scale};
        if (!a->is_on) continue;
        if (on.count == ADAPTER_SET_MAX)
            return error_set(err, HEARTH_ERROR_LIMIT,
                             "more than %d adapters at once; give others the scale 0, as in "
                             "--lora %s:0",
                             (int)ADAPTER_SET_MAX, a->adapter.directory.path);
        on.items[on.count++] = items[i];
    }
    if (engine->n_adapters == 0) return HEARTH_OK;
    RETURN_IF_ERROR(context_load_adapters(engine->context, items, engine->n_adapters, err));
    return context_use_adapters(engine->context, &on, err);
}

/* ---- the context -------------------------------------------------------------------- */

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
    RETURN_IF_ERROR(open_adapters(engine, &settings->adapters, err));
    RETURN_IF_ERROR(context_open(&engine->context, &engine->model, &options, err));
    return load_adapters(engine, err);
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
    for (size_t i = 0; i < engine->n_adapters; i++)
        engine_adapter_close(engine->adapters[i]);
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
