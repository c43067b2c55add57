#include "route/local_adapters.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* What follows "MODEL:", or the whole name. */
static const char *adapter_part(const struct local_model *m, const char *name) {
    size_t n = strlen(m->name);
    return strncmp(name, m->name, n) == 0 && name[n] == ':' ? name + n + 1 : name;
}

static size_t find_as_model(const struct local_model *m, const char *name) {
    if (!name || strcmp(name, m->name) == 0) return m->engine.n_adapters;
    return engine_find_adapter(&m->engine, adapter_part(m, name));
}

/* By name, or else by number. */
static size_t find_adapter(const struct local_model *m, const char *name) {
    size_t i = engine_find_adapter(&m->engine, name), n = m->engine.n_adapters, number = 0;
    size_t length = strspn(name, "0123456789");
    if (i < n || length == 0 || length > 3 || name[length]) return i;
    for (size_t k = 0; k < length; k++)
        number = number * 10 + (size_t)(name[k] - '0');
    return number < n ? number : n;
}

static hearth_status refuse_unknown(const struct local_model *m, const char *name,
                                    hearth_error *err) {
    char names[512] = "";
    size_t at = 0;
    for (size_t i = 0; i < m->engine.n_adapters && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s'%s'", i ? ", " : "",
                               m->engine.adapters[i]->name);
    if (m->engine.n_adapters == 0)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "no adapter '%.200s' here; there are none",
                         name);
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "no adapter '%.200s' here; there is %s", name,
                     names);
}

/* ---- sets ------------------------------------------------------------------------------- */

/* Of each adapter the scale that is wanted. */
struct wanted_scales {
    bool named[ADAPTER_LOADED_MAX];
    float scale[ADAPTER_LOADED_MAX];
};

static hearth_status want(const struct local_model *m, const json_t *item,
                          struct wanted_scales *wanted, hearth_error *err) {
    const char *name = json_string_value(json_object_get(item, "name"));
    const json_t *scale = json_object_get(item, "scale");
    if (!name) return error_set(err, HEARTH_ERROR_ARGUMENT, "an adapter without a name");
    size_t i = find_adapter(m, name);
    if (i == m->engine.n_adapters) return refuse_unknown(m, name, err);
    const struct engine_adapter *adapter = m->engine.adapters[i];
    if (wanted->named[i])
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the adapter '%s' is named twice",
                         adapter->name);
    wanted->named[i] = true;
    wanted->scale[i] = scale ? (float)json_number_value(scale) : adapter->scale;
    if (wanted->scale[i] == 0 || wanted->scale[i] == adapter->scale ||
        !adapter_is_decomposed(&adapter->adapter))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "the adapter '%s' is a weight-decomposed one (DoRA) that was opened with "
                     "scale %g; it has no other",
                     adapter->name, (double)adapter->scale);
}

static hearth_status make_set(const struct local_model *m, const struct wanted_scales *wanted,
                              struct adapter_set *set, hearth_error *err) {
    set->count = 0;
    for (size_t i = 0; i < m->engine.n_adapters; i++) {
        if (wanted->scale[i] == 0) continue;
        if (set->count == ADAPTER_SET_MAX)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "more than %d adapters at once",
                             (int)ADAPTER_SET_MAX);
        set->items[set->count++] =
            (struct adapter_item){&m->engine.adapters[i]->adapter, wanted->scale[i]};
    }
    return adapter_set_check(set, err);
}

static hearth_status choose(const struct local_model *m, const struct request *r,
                            struct adapter_set *set, hearth_error *err) {
    struct wanted_scales wanted = {0};
    size_t as_model = find_as_model(m, r->model), i;
    const json_t *item;
    if (!r->adapters && as_model == m->engine.n_adapters) {
        *set = m->adapters_on;
        return HEARTH_OK;
    }
    json_array_foreach(r->adapters, i, item) {
        RETURN_IF_ERROR(want(m, item, &wanted, err));
    }
    if (!r->adapters) wanted.scale[as_model] = m->engine.adapters[as_model]->scale;
    return make_set(m, &wanted, set, err);
}

hearth_status local_adapters_choose(struct local_model *m, const struct request *request,
                                    struct adapter_set *set, hearth_error *err) {
    pthread_mutex_lock(&m->adapters);
    hearth_status status = choose(m, request, set, err);
    pthread_mutex_unlock(&m->adapters);
    return status;
}

bool local_adapters_names(struct local_model *m, const char *name) {
    pthread_mutex_lock(&m->adapters);
    bool found = find_as_model(m, name) < m->engine.n_adapters;
    pthread_mutex_unlock(&m->adapters);
    return found;
}

/* ---- more of them ------------------------------------------------------------------------- */

static hearth_status load(struct local_model *m, const struct engine_adapter *adapter,
                          hearth_error *err) {
    const struct adapter_item item = {&adapter->adapter, adapter->scale};
    if (m->scheduler) return scheduler_load_adapter(m->scheduler, item.adapter, item.scale, err);
    pthread_mutex_lock(&m->embedding);
    hearth_status status = context_load_adapters(m->engine.context, &item, 1, err);
    pthread_mutex_unlock(&m->embedding);
    return status;
}

/* One that is loaded and holds the same; NULL: none. */
static const struct engine_adapter *find_equal(const struct engine *engine,
                                               const struct engine_adapter *adapter) {
    uint8_t wanted[FINGERPRINT_BYTES], own[FINGERPRINT_BYTES];
    directory_fingerprint(&adapter->adapter.directory, wanted);
    for (size_t i = 0; i < engine->n_adapters; i++) {
        directory_fingerprint(&engine->adapters[i]->adapter.directory, own);
        if (memcmp(own, wanted, sizeof own) == 0) return engine->adapters[i];
    }
    return NULL;
}

/* `adapter` is the engine's afterwards, unless this fails. */
static hearth_status append(struct local_model *m, struct engine_adapter *adapter,
                            hearth_error *err) {
    struct engine *engine = &m->engine;
    if (engine->n_adapters == ADAPTER_LOADED_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "%d adapters are loaded; more cannot be",
                         (int)ADAPTER_LOADED_MAX);
    RETURN_IF_ERROR(load(m, adapter, err));
    pthread_mutex_lock(&m->adapters);
    engine->adapters[engine->n_adapters++] = adapter;
    pthread_mutex_unlock(&m->adapters);
    return HEARTH_OK;
}

/* Only whoever adds changes the list, and `adapters` is not held while the scheduler gets round to
 * loading one: its callbacks may wait for those who hold it. */
static hearth_status add(struct local_model *m, const char *item, const char *name, char **found,
                         hearth_error *err) {
    struct engine_adapter *opened;
    RETURN_IF_ERROR(engine_open_adapter(&m->engine, item, name, &opened, err));
    const struct engine_adapter *equal = find_equal(&m->engine, opened);
    *found = mem_strdup(equal ? equal->name : opened->name);
    hearth_status status =
        *found ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a name");
    if (status == HEARTH_OK && !equal) status = append(m, opened, err);
    if (status != HEARTH_OK || equal) engine_adapter_close(opened);
    if (status != HEARTH_OK) {
        mem_free(*found);
        *found = NULL;
    }
    return status;
}

hearth_status local_adapters_add(struct local_model *m, const char *item, const char *name,
                                 char **found, hearth_error *err) {
    *found = NULL;
    pthread_mutex_lock(&m->adding);
    hearth_status status = add(m, item, name, found, err);
    pthread_mutex_unlock(&m->adding);
    return status;
}

/* ---- what there is ------------------------------------------------------------------------ */

json_t *local_adapters_list(struct local_model *m) {
    json_t *names = json_array();
    pthread_mutex_lock(&m->adapters);
    for (size_t i = 0; names && i < m->engine.n_adapters; i++) {
        json_t *name = json_string(m->engine.adapters[i]->name);
        if (name) json_array_append_new(names, name); /* one that is not UTF-8 cannot be said */
    }
    pthread_mutex_unlock(&m->adapters);
    return names;
}

static double scale_now(const struct local_model *m, const struct adapter *adapter) {
    for (size_t i = 0; i < m->adapters_on.count; i++)
        if (m->adapters_on.items[i].adapter == adapter)
            return (double)m->adapters_on.items[i].scale;
    return 0;
}

json_t *local_adapters_describe(struct local_model *m) {
    json_t *list = json_array();
    pthread_mutex_lock(&m->adapters);
    for (size_t i = 0; list && i < m->engine.n_adapters; i++) {
        const struct engine_adapter *a = m->engine.adapters[i];
        json_t *name = json_string(a->name), *path = json_string(a->adapter.directory.path);
        json_array_append_new(list,
                              json_pack("{s:I, s:o*, s:o*, s:f}", "id", (json_int_t)i, "name", name,
                                        "path", path, "scale", scale_now(m, &a->adapter)));
    }
    pthread_mutex_unlock(&m->adapters);
    return list;
}

/* ---- switching ------------------------------------------------------------------------------ */

static hearth_status want_numbered(const struct local_model *m, const json_t *item,
                                   struct wanted_scales *wanted, hearth_error *err) {
    const json_t *id = json_object_get(item, "id"), *scale = json_object_get(item, "scale");
    char number[24];
    if (!json_is_integer(id) || !json_is_number(scale) || fabs(json_number_value(scale)) > 1000)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "an adapter is switched by {\"id\": number, \"scale\": number}");
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
    json_t *named = json_pack("{s:s, s:f}", "name", number, "scale", json_number_value(scale));
    if (!named) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to switch adapters");
    hearth_status status = want(m, named, wanted, err);
    json_decref(named);
    return status;
}

hearth_status local_adapters_switch(struct local_model *m, const json_t *scales,
                                    hearth_error *err) {
    struct wanted_scales wanted = {0};
    struct adapter_set on;
    hearth_status status = HEARTH_OK;
    size_t i;
    const json_t *item;
    if (!json_is_array(scales))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "an array of adapters is expected");
    pthread_mutex_lock(&m->adapters);
    json_array_foreach(scales, i, item) {
        if (status == HEARTH_OK) status = want_numbered(m, item, &wanted, err);
    }
    if (status == HEARTH_OK) status = make_set(m, &wanted, &on, err);
    if (status == HEARTH_OK) m->adapters_on = on;
    pthread_mutex_unlock(&m->adapters);
    return status;
}
