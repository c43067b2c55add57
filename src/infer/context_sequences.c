/* Sequences of a context: their lengths, whose pages they use, and what they are as bytes. */
#include "infer/context_parts.h"

static bool page_is_shared(const struct context *c, const struct sequence *s, uint32_t position) {
    uint32_t i = position / CACHE_PAGE_TOKENS;
    return i < s->n_pages && page_table_is_shared(&c->pages, s->pages[i]);
}

uint32_t sequence_wants(const struct context *c, const struct sequence *s, uint32_t from,
                        uint32_t length) {
    if (length <= from) return 0;
    uint32_t n_pages = pages_for(length), more = n_pages > s->n_pages ? n_pages - s->n_pages : 0;
    return more + (page_is_shared(c, s, from) ? 1 : 0);
}

hearth_status sequence_check_pages(const struct context *c, uint64_t wanted, hearth_error *err) {
    if (wanted <= c->pages.n_free) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "the cache is full: %llu pages of %d tokens are wanted, %u of %u are free",
                     (unsigned long long)wanted, CACHE_PAGE_TOKENS, c->pages.n_free, c->n_pages);
}

hearth_status sequence_reserve(struct context *c, struct sequence *s, uint32_t from,
                               uint32_t length, hearth_error *err) {
    RETURN_IF_ERROR(sequence_check_pages(c, sequence_wants(c, s, from, length), err));
    if (length > from && page_is_shared(c, s, from)) {
        uint32_t *page = &s->pages[from / CACHE_PAGE_TOKENS], own = page_table_take(&c->pages);
        hearth_status status = cache_copy_page(executor_cache(c->executor), *page, own, err);
        page_table_drop(&c->pages, status == HEARTH_OK ? *page : own);
        if (status != HEARTH_OK) return status;
        *page = own;
    }
    while (s->n_pages < pages_for(length))
        s->pages[s->n_pages++] = page_table_take(&c->pages);
    return HEARTH_OK;
}

uint32_t context_sequence_length(const struct context *c, uint32_t sequence) {
    return c->sequences[sequence].length;
}

bool context_sequence_truncate(struct context *c, uint32_t sequence, uint32_t length) {
    struct sequence *s = &c->sequences[sequence];
    if (length > s->length) return true;
    bool possible =
        length == 0 || length >= s->kept_from || !config_is_recurrent(&c->model->config);
    if (!possible) length = 0;
    while (s->n_pages > pages_for(length))
        page_table_drop(&c->pages, s->pages[--s->n_pages]);
    s->length = length;
    if (s->kept_from > length) s->kept_from = length;
    if (length == 0) {
        s->fresh = true;
        sequence_drop_states(c, s);
    }
    return possible;
}

/* ---- pages of several sequences ---------------------------------------------- */

static uint32_t slot_in_force(const struct sequence *s) {
    return s->slots[s->length - s->kept_from];
}

struct page_table *context_pages(struct context *c) {
    return &c->pages;
}

bool context_has_prompts(const struct context *c) {
    return device_has_prompts(c->device);
}

uint32_t context_pages_wanted(const struct context *c, uint32_t sequence, uint32_t n_tokens) {
    const struct sequence *s = &c->sequences[sequence];
    return sequence_wants(c, s, s->length, s->length + n_tokens);
}

uint32_t context_sequence_page(const struct context *c, uint32_t sequence, uint32_t i) {
    return c->sequences[sequence].pages[i];
}

void context_sequence_adopt(struct context *c, uint32_t sequence, uint32_t page) {
    struct sequence *s = &c->sequences[sequence];
    page_table_use(&c->pages, page);
    s->pages[s->n_pages++] = page;
    s->length = s->kept_from = s->length + CACHE_PAGE_TOKENS;
    s->fresh = false;
}

void context_sequence_exchange(struct context *c, uint32_t sequence, uint32_t i, uint32_t page) {
    struct sequence *s = &c->sequences[sequence];
    page_table_use(&c->pages, page);
    page_table_drop(&c->pages, s->pages[i]);
    s->pages[i] = page;
}

static uint32_t saved_slot(const struct context *c, uint32_t i) {
    return context_first_saved_slot(c) + i;
}

hearth_status context_save_state(struct context *c, uint32_t sequence, uint32_t i,
                                 hearth_error *err) {
    return cache_copy_slot(executor_cache(c->executor), slot_in_force(&c->sequences[sequence]),
                           saved_slot(c, i), err);
}

hearth_status context_load_state(struct context *c, uint32_t sequence, uint32_t i,
                                 hearth_error *err) {
    return cache_copy_slot(executor_cache(c->executor), saved_slot(c, i),
                           slot_in_force(&c->sequences[sequence]), err);
}

hearth_status context_sequence_fork(struct context *c, uint32_t from, uint32_t to,
                                    hearth_error *err) {
    const struct sequence *source = &c->sequences[from];
    struct sequence *s = &c->sequences[to];
    context_sequence_truncate(c, to, 0);
    s->has_adapters = source->has_adapters;
    s->adapters = source->adapters;
    if (source->length == 0) return HEARTH_OK;
    RETURN_IF_ERROR(
        cache_copy_slot(executor_cache(c->executor), slot_in_force(source), slot_in_force(s), err));
    while (s->n_pages < pages_for(source->length)) {
        page_table_use(&c->pages, source->pages[s->n_pages]);
        s->pages[s->n_pages] = source->pages[s->n_pages];
        s->n_pages++;
    }
    s->length = s->kept_from = source->length;
    s->fresh = false;
    return HEARTH_OK;
}

/* ---- sequences as bytes ---------------------------------------------------- */

uint64_t context_page_bytes(const struct context *c) {
    return cache_page_bytes(&c->model->config, &executor_cache(c->executor)->options);
}

uint64_t context_state_bytes(const struct context *c) {
    return cache_slot_bytes(&c->model->config);
}

hearth_status context_read_page(const struct context *c, uint32_t sequence, uint32_t i,
                                uint8_t *out, hearth_error *err) {
    const struct sequence *s = &c->sequences[sequence];
    uint32_t left = s->length - i * CACHE_PAGE_TOKENS;
    return cache_read_page(executor_cache(c->executor), s->pages[i],
                           left < CACHE_PAGE_TOKENS ? left : CACHE_PAGE_TOKENS, out, err);
}

hearth_status context_read_state(const struct context *c, uint32_t sequence, uint8_t *out,
                                 hearth_error *err) {
    return cache_read_slot(executor_cache(c->executor), slot_in_force(&c->sequences[sequence]), out,
                           err);
}

hearth_status context_append_page(struct context *c, uint32_t sequence, const uint8_t *bytes,
                                  hearth_error *err) {
    struct sequence *s = &c->sequences[sequence];
    uint32_t length = s->length + CACHE_PAGE_TOKENS;
    RETURN_IF_ERROR(sequence_reserve(c, s, s->length, length, err));
    hearth_status status =
        cache_write_page(executor_cache(c->executor), s->pages[s->n_pages - 1], bytes, err);
    if (status != HEARTH_OK) {
        page_table_drop(&c->pages, s->pages[--s->n_pages]);
        return status;
    }
    s->length = s->kept_from = length;
    s->fresh = false;
    return HEARTH_OK;
}

hearth_status context_write_state(struct context *c, uint32_t sequence, const uint8_t *bytes,
                                  hearth_error *err) {
    return cache_write_slot(executor_cache(c->executor), slot_in_force(&c->sequences[sequence]),
                            bytes, err);
}
