/* Adapters of a context: which are loaded, and which of them a sequence uses. */
#include "infer/context_parts.h"

#include <string.h>

/* The one with number `at` + 1, unless it does nothing. */
static void add_use(struct adapter_uses *uses, size_t at, const struct adapter_item *item) {
    float strength = item->scale * item->adapter->alpha;
    if (strength != 0) uses->items[uses->n++] = (struct adapter_use){(uint32_t)at + 1, strength};
}

static size_t find_loaded(const struct context *c, const struct adapter *adapter) {
    size_t i = 0;
    while (i < c->n_loaded && c->loaded[i].adapter != adapter)
        i++;
    return i;
}

/* The lengths of a decomposed adapter's rows are those of one scale. */
static hearth_status check_scale(const struct adapter_item *item, float loaded, hearth_error *err) {
    if (item->scale == loaded || item->scale == 0 || !adapter_is_decomposed(item->adapter))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "a weight-decomposed adapter (DoRA) that was loaded with scale %g cannot be "
                     "used with %g",
                     (double)loaded, (double)item->scale);
}

static hearth_status list_uses(const struct context *c, const struct adapter_set *set,
                               struct adapter_uses *uses, hearth_error *err) {
    size_t next = 0;
    RETURN_IF_ERROR(adapter_set_check(set, err));
    for (size_t i = 0; i < set->count; i++) {
        const struct adapter_item *item = &set->items[i];
        size_t at = find_loaded(c, item->adapter);
        if (at == c->n_loaded)
            return error_set(err, HEARTH_ERROR_NOT_FOUND, "adapter %zu is not loaded", i);
        if (at < next)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "adapter %zu is named twice, or not in the order of loading", i);
        next = at + 1;
        RETURN_IF_ERROR(check_scale(item, c->loaded[at].scale, err));
        add_use(uses, at, item);
    }
    return HEARTH_OK;
}

/* ---- loading -------------------------------------------------------------------- */

static hearth_status load(struct context *c, const struct adapter_item *items, size_t n,
                          hearth_error *err) {
    RETURN_IF_ERROR(executor_set_adapters(c->executor, items, n, err));
    if (n > 0) memmove(c->loaded, items, n * sizeof *items);
    c->n_loaded = n;
    return HEARTH_OK;
}

hearth_status context_load_adapters(struct context *c, const struct adapter_item *adapters,
                                    size_t n, hearth_error *err) {
    if (n > ADAPTER_LOADED_MAX - c->n_loaded)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "%zu adapters more than the %zu that are loaded; %d can be", n,
                         c->n_loaded, (int)ADAPTER_LOADED_MAX);
    memcpy(c->loaded + c->n_loaded, adapters, n * sizeof *adapters);
    return load(c, c->loaded, c->n_loaded + n, err);
}

hearth_status context_set_adapters(struct context *c, const struct adapter_set *adapters,
                                   hearth_error *err) {
    const struct adapter_set none = {0}, *set = adapters ? adapters : &none;
    RETURN_IF_ERROR(adapter_set_check(set, err));
    RETURN_IF_ERROR(load(c, set->items, set->count, err));
    c->adapters = *set;
    c->adapter_uses.n = 0;
    for (size_t i = 0; i < set->count; i++)
        add_use(&c->adapter_uses, i, &set->items[i]);
    for (uint32_t i = 0; i < c->options.n_sequences; i++)
        c->sequences[i].has_adapters = false;
    return HEARTH_OK;
}

/* ---- using ---------------------------------------------------------------------- */

hearth_status context_use_adapters(struct context *c, const struct adapter_set *set,
                                   hearth_error *err) {
    struct adapter_uses uses = {.n = 0};
    RETURN_IF_ERROR(list_uses(c, set, &uses, err));
    c->adapters = *set;
    c->adapter_uses = uses;
    return HEARTH_OK;
}

hearth_status context_sequence_set_adapters(struct context *c, uint32_t sequence,
                                            const struct adapter_set *set, hearth_error *err) {
    struct sequence *s = &c->sequences[sequence];
    struct adapter_uses uses = {.n = 0};
    if (s->length > 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the sequence holds %u tokens that were computed with other adapters",
                         s->length);
    if (set) RETURN_IF_ERROR(list_uses(c, set, &uses, err));
    s->has_adapters = set != NULL;
    s->adapters = uses;
    return HEARTH_OK;
}

const struct adapter_set *context_adapters(const struct context *c) {
    return &c->adapters;
}
