/* cache.h - the memory of sequences: paged keys and values for attention layers,
 * fixed-size states for recurrent ones.
 *
 * model/ owns the layout, infer/ owns which pages and slots belong to whom. A page
 * holds `page_tokens` positions of every layer. Pages are used from the first on and lie in groups,
 * which hold all layers: so those in use fill huge pages of the system, and short sequences take
 * the memory of one group, not huge pages for every layer.
 *
 * With `next` two layers follow those of the model: that of the head which predicts a
 * further token, and what the head is fed with, the last hidden row of every position
 * (model/next_token.c). So they are forgotten, saved and restored with everything else. */
#ifndef HEARTH_MODEL_CACHE_H
#define HEARTH_MODEL_CACHE_H

#include "device/device.h"
#include "model/config.h"

enum { CACHE_PAGE_TOKENS = 32 };

/* Counts the changes of what cache_read_page and cache_read_slot give, which outlives the
 * program in files. */
enum { CACHE_LAYOUT = 1 };

struct cache_options {
    uint32_t n_pages, n_slots; /* at least 1 */
    enum elem k_type, v_type;  /* F32, F16, Q8_0 or Q4_0 */
    bool next;
};

struct layer_cache {
    struct kv_layout kv;              /* attention layers */
    device_buffer conv;               /* recurrent layers: [n_slots][kernel - 1][width] */
    device_buffer state;              /* [n_slots][...] */
    uint64_t conv_bytes, state_bytes; /* of one slot */
};

struct cache {
    struct device *device;
    device_buffer pages; /* [group][layer][K, then V][page in group], of which layers have parts */
    struct layer_cache *layers;
    uint32_t n_layers, group_pages;
    uint64_t page_bytes;
    struct cache_options options;
};

hearth_status cache_open(struct cache *cache, struct device *device, const struct config *config,
                         const struct cache_options *options, hearth_error *err);
void cache_release(struct cache *cache);

/* Bytes of one page over all layers, and of one sequence's recurrent states. */
uint64_t cache_page_bytes(const struct config *config, const struct cache_options *options);
uint64_t cache_slot_bytes(const struct config *config);

/* The first n_rows positions of a page, [cache_page_bytes]: layer after layer, K before V,
 * as they lie in the cache. Later positions, which may hold what was forgotten, are zero. */
hearth_status cache_read_page(const struct cache *cache, uint32_t page, uint32_t n_rows,
                              uint8_t *out, hearth_error *err);
hearth_status cache_write_page(struct cache *cache, uint32_t page, const uint8_t *bytes,
                               hearth_error *err);
/* A slot's states, [cache_slot_bytes]: layer after layer, the convolution's before the other. */
hearth_status cache_read_slot(const struct cache *cache, uint32_t slot, uint8_t *out,
                              hearth_error *err);
hearth_status cache_write_slot(struct cache *cache, uint32_t slot, const uint8_t *bytes,
                               hearth_error *err);

/* A page or slot becomes like another. */
hearth_status cache_copy_page(struct cache *cache, uint32_t from, uint32_t to, hearth_error *err);
hearth_status cache_copy_slot(struct cache *cache, uint32_t from, uint32_t to, hearth_error *err);

#endif
