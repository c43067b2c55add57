#include "model/cache.h"

#include <string.h>

#include "base/mem.h"

/* 256 positions: what attention reads of a layer at a time lies in one piece. */
enum { GROUP_PAGES = 8 };

/* Values a token has in K and V, for one layer. */
struct kv_shape {
    uint32_t n_head, d_k, d_v;
    bool v_in_k;
    bool exact; /* not quantised */
};

static uint32_t layers_of(const struct config *config, const struct cache_options *options) {
    return config->n_layer + (options->next ? 2 : 0);
}

static struct kv_shape kv_shape_of(const struct config *config, uint32_t i) {
    if (i > config->n_layer) return (struct kv_shape){1, config->n_embd, 0, true, true};
    const struct layer_config *layer = &config->layers[i];
    if (layer->kv_layer != i) return (struct kv_shape){0};
    if (layer->mixer == MIXER_ATTENTION)
        return (struct kv_shape){layer->n_head_kv, layer->d_k, layer->d_v, false, false};
    if (layer->mixer == MIXER_LATENT_ATTENTION)
        return (struct kv_shape){1, config->kv_rank + config->rope.n_rot, config->kv_rank, true,
                                 false};
    return (struct kv_shape){0};
}

struct state_shape {
    uint64_t conv_floats, state_floats;
};

static struct state_shape state_shape_of(const struct config *config, uint32_t i) {
    uint64_t width;
    switch (config->layers[i].mixer) {
    case MIXER_DELTA_NET:
        width = 2ull * config->delta.n_head_k * config->delta.d_k +
                (uint64_t)config->delta.n_head_v * config->delta.d_v;
        return (struct state_shape){(config->delta.conv_kernel - 1) * width,
                                    (uint64_t)config->delta.n_head_v * config->delta.d_k *
                                        config->delta.d_v};
    case MIXER_MAMBA2:
        width = (uint64_t)config->mamba.n_head * config->mamba.d_head +
                2ull * config->mamba.n_group * config->mamba.d_state;
        return (struct state_shape){(config->mamba.conv_kernel - 1) * width,
                                    (uint64_t)config->mamba.n_head * config->mamba.d_head *
                                        config->mamba.d_state};
    case MIXER_SHORT_CONV:
        return (struct state_shape){(config->short_conv_kernel - 1) * (uint64_t)config->n_embd, 0};
    default: return (struct state_shape){0};
    }
}

static enum elem k_type_of(const struct kv_shape *shape, const struct cache_options *options) {
    bool exact = options->k_type == ELEM_F32 || options->k_type == ELEM_F16;
    return shape->exact && !exact ? ELEM_F16 : options->k_type;
}

static uint64_t page_bytes(const struct kv_shape *shape, enum elem type, uint32_t d) {
    return (uint64_t)CACHE_PAGE_TOKENS * shape->n_head * elem_row_bytes(type, d);
}

uint64_t cache_page_bytes(const struct config *config, const struct cache_options *options) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < layers_of(config, options); i++) {
        struct kv_shape shape = kv_shape_of(config, i);
        total += page_bytes(&shape, k_type_of(&shape, options), shape.d_k);
        if (!shape.v_in_k) total += page_bytes(&shape, options->v_type, shape.d_v);
    }
    return total;
}

uint64_t cache_slot_bytes(const struct config *config) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        struct state_shape shape = state_shape_of(config, i);
        total += (shape.conv_floats + shape.state_floats) * sizeof(float);
    }
    return total;
}

static hearth_status check_types(const struct kv_shape *shape, const struct cache_options *options,
                                 hearth_error *err) {
    const enum elem types[] = {k_type_of(shape, options), options->v_type};
    const uint32_t widths[] = {shape->d_k, shape->d_v};
    for (int i = 0; i < 2; i++) {
        bool known = types[i] == ELEM_F32 || types[i] == ELEM_F16 || types[i] == ELEM_Q8_0 ||
                     types[i] == ELEM_Q4_0;
        if (!known)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "the cache cannot hold %s; use f32, f16, q8_0 or q4_0",
                             elem_name(types[i]));
        if (widths[i] % elem_table[types[i]].block_values != 0)
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "heads of %u values cannot be cached as %s; use f16 or f32", widths[i],
                             elem_name(types[i]));
    }
    return HEARTH_OK;
}

static uint32_t n_groups(const struct cache *cache) {
    return (cache->options.n_pages - 1) / cache->group_pages + 1;
}

static uint64_t group_bytes(const struct cache *cache) {
    return cache->page_bytes * cache->group_pages;
}

/* A layer's keys or values, `page_size` bytes of every page: in each group they come after the
 * first *at bytes, which grow by them. */
static hearth_status open_part(struct cache *cache, uint64_t page_size, uint64_t *at,
                               device_buffer *out, hearth_error *err) {
    uint64_t size = page_size * cache->group_pages,
             before = group_bytes(cache) * (n_groups(cache) - 1);
    RETURN_IF_ERROR(device_part(cache->device, cache->pages, *at, before + size, out, err));
    *at += size;
    return HEARTH_OK;
}

static hearth_status open_kv(struct cache *cache, struct layer_cache *layer, struct kv_shape shape,
                             uint64_t *at, hearth_error *err) {
    const struct cache_options *options = &cache->options;
    RETURN_IF_ERROR(check_types(&shape, options, err));
    layer->kv = (struct kv_layout){.k_type = k_type_of(&shape, options),
                                   .v_type = options->v_type,
                                   .group_bytes = group_bytes(cache),
                                   .n_head_kv = shape.n_head,
                                   .d_k = shape.d_k,
                                   .d_v = shape.d_v,
                                   .page_tokens = CACHE_PAGE_TOKENS,
                                   .group_pages = cache->group_pages,
                                   .v_in_k = shape.v_in_k};
    RETURN_IF_ERROR(
        open_part(cache, page_bytes(&shape, layer->kv.k_type, shape.d_k), at, &layer->kv.k, err));
    if (shape.v_in_k) return HEARTH_OK;
    return open_part(cache, page_bytes(&shape, options->v_type, shape.d_v), at, &layer->kv.v, err);
}

static hearth_status open_state(struct cache *cache, struct layer_cache *layer,
                                struct state_shape shape, hearth_error *err) {
    layer->conv_bytes = shape.conv_floats * sizeof(float);
    layer->state_bytes = shape.state_floats * sizeof(float);
    if (layer->conv_bytes)
        RETURN_IF_ERROR(device_alloc(cache->device, layer->conv_bytes * cache->options.n_slots,
                                     &layer->conv, err));
    if (layer->state_bytes)
        RETURN_IF_ERROR(device_alloc(cache->device, layer->state_bytes * cache->options.n_slots,
                                     &layer->state, err));
    return HEARTH_OK;
}

hearth_status cache_open(struct cache *cache, struct device *device, const struct config *config,
                         const struct cache_options *options, hearth_error *err) {
    *cache = (struct cache){.device = device,
                            .n_layers = layers_of(config, options),
                            .page_bytes = cache_page_bytes(config, options),
                            .group_pages =
                                options->n_pages < GROUP_PAGES ? options->n_pages : GROUP_PAGES,
                            .options = *options};
    cache->layers = mem_calloc(cache->n_layers, sizeof *cache->layers);
    hearth_status status = cache->layers ? HEARTH_OK
                                         : error_set(err, HEARTH_ERROR_NO_MEMORY,
                                                     "no memory for %u layers", cache->n_layers);
    uint64_t at = 0;
    if (status == HEARTH_OK && cache->page_bytes > 0)
        status =
            device_alloc_huge(device, group_bytes(cache) * n_groups(cache), &cache->pages, err);
    for (uint32_t i = 0; i < cache->n_layers && status == HEARTH_OK; i++) {
        struct kv_shape shape = kv_shape_of(config, i);
        if (shape.n_head > 0) status = open_kv(cache, &cache->layers[i], shape, &at, err);
        if (status == HEARTH_OK && i < config->n_layer)
            status = open_state(cache, &cache->layers[i], state_shape_of(config, i), err);
    }
    if (status != HEARTH_OK) cache_release(cache);
    return status;
}

void cache_release(struct cache *cache) {
    for (uint32_t i = 0; cache->layers && i < cache->n_layers; i++) {
        device_free(cache->device, cache->layers[i].kv.k);
        device_free(cache->device, cache->layers[i].kv.v);
        device_free(cache->device, cache->layers[i].conv);
        device_free(cache->device, cache->layers[i].state);
    }
    device_free(cache->device, cache->pages);
    mem_free(cache->layers);
    *cache = (struct cache){0};
}

/* ---- pages and slots as bytes ------------------------------------------------ */

/* What one page or slot is made of: spans of device buffers, in the order of layers. */
struct part {
    device_buffer buffer;
    uint64_t at, size_bytes;
    uint32_t n_rows; /* of the span: heads times positions; 0 for states */
};

static struct part page_part(const struct kv_layout *kv, bool values, uint32_t page) {
    enum elem type = values ? kv->v_type : kv->k_type;
    struct kv_shape shape = {.n_head = kv->n_head_kv};
    uint64_t size = page_bytes(&shape, type, values ? kv->d_v : kv->d_k);
    uint64_t at = page / kv->group_pages * kv->group_bytes + page % kv->group_pages * size;
    return (struct part){values ? kv->v : kv->k, at, size, kv->n_head_kv * CACHE_PAGE_TOKENS};
}

static uint32_t page_parts(const struct layer_cache *layer, uint32_t page, struct part parts[2]) {
    uint32_t n = 0;
    if (layer->kv.k) parts[n++] = page_part(&layer->kv, false, page);
    if (layer->kv.v) parts[n++] = page_part(&layer->kv, true, page);
    return n;
}

static uint32_t slot_parts(const struct layer_cache *layer, uint32_t slot, struct part parts[2]) {
    uint32_t n = 0;
    if (layer->conv)
        parts[n++] = (struct part){layer->conv, slot * layer->conv_bytes, layer->conv_bytes, 0};
    if (layer->state)
        parts[n++] = (struct part){layer->state, slot * layer->state_bytes, layer->state_bytes, 0};
    return n;
}

typedef uint32_t (*part_finder)(const struct layer_cache *layer, uint32_t number,
                                struct part parts[2]);

static hearth_status read_parts(const struct cache *cache, part_finder find, uint32_t number,
                                uint8_t *out, hearth_error *err) {
    struct part parts[2];
    for (uint32_t i = 0; i < cache->n_layers; i++) {
        uint32_t n = find(&cache->layers[i], number, parts);
        for (uint32_t p = 0; p < n; out += parts[p++].size_bytes)
            RETURN_IF_ERROR(device_read(cache->device, parts[p].buffer, parts[p].at, out,
                                        parts[p].size_bytes, err));
    }
    return HEARTH_OK;
}

static hearth_status write_parts(struct cache *cache, part_finder find, uint32_t number,
                                 const uint8_t *bytes, hearth_error *err) {
    struct part parts[2];
    for (uint32_t i = 0; i < cache->n_layers; i++) {
        uint32_t n = find(&cache->layers[i], number, parts);
        for (uint32_t p = 0; p < n; bytes += parts[p++].size_bytes)
            RETURN_IF_ERROR(device_write(cache->device, parts[p].buffer, parts[p].at, bytes,
                                         parts[p].size_bytes, err));
    }
    return HEARTH_OK;
}

static void clear_rows(const struct cache *cache, uint32_t from, uint8_t *page) {
    struct part parts[2];
    for (uint32_t i = 0; i < cache->n_layers; i++) {
        uint32_t n = page_parts(&cache->layers[i], 0, parts);
        for (uint32_t p = 0; p < n; page += parts[p++].size_bytes) {
            uint64_t row = parts[p].size_bytes / parts[p].n_rows;
            for (uint32_t head = 0; head < parts[p].n_rows; head += CACHE_PAGE_TOKENS)
                memset(page + (head + from) * row, 0, (CACHE_PAGE_TOKENS - from) * row);
        }
    }
}

hearth_status cache_read_page(const struct cache *cache, uint32_t page, uint32_t n_rows,
                              uint8_t *out, hearth_error *err) {
    RETURN_IF_ERROR(read_parts(cache, page_parts, page, out, err));
    if (n_rows < CACHE_PAGE_TOKENS) clear_rows(cache, n_rows, out);
    return HEARTH_OK;
}

hearth_status cache_write_page(struct cache *cache, uint32_t page, const uint8_t *bytes,
                               hearth_error *err) {
    return write_parts(cache, page_parts, page, bytes, err);
}

hearth_status cache_read_slot(const struct cache *cache, uint32_t slot, uint8_t *out,
                              hearth_error *err) {
    return read_parts(cache, slot_parts, slot, out, err);
}

hearth_status cache_write_slot(struct cache *cache, uint32_t slot, const uint8_t *bytes,
                               hearth_error *err) {
    return write_parts(cache, slot_parts, slot, bytes, err);
}

static hearth_status copy_parts(struct cache *cache, part_finder find, uint32_t from, uint32_t to,
                                hearth_error *err) {
    struct part source[2], target[2];
    for (uint32_t i = 0; i < cache->n_layers; i++) {
        uint32_t n = find(&cache->layers[i], from, source);
        find(&cache->layers[i], to, target);
        for (uint32_t p = 0; p < n; p++)
            RETURN_IF_ERROR(device_copy(cache->device, source[p].buffer, source[p].at, target[p].at,
                                        source[p].size_bytes, err));
    }
    return HEARTH_OK;
}

hearth_status cache_copy_page(struct cache *cache, uint32_t from, uint32_t to, hearth_error *err) {
    return copy_parts(cache, page_parts, from, to, err);
}

hearth_status cache_copy_slot(struct cache *cache, uint32_t from, uint32_t to, hearth_error *err) {
    return copy_parts(cache, slot_parts, from, to, err);
}
