/* Computed pages between the tree and files. */
#include <string.h>

#include "base/mem.h"
#include "infer/prefix_file.h"
#include "infer/scheduler_parts.h"

/* The pages of a prompt that begins with these tokens. */
struct prefix {
    struct scheduler *s;
    const int32_t *tokens;
    struct prefix_origin origin;
    uint32_t n_pages;
    uint32_t n_states, *ends, *states; /* after which pages, and their places; [n_pages] */
};

/* Of all of its whole pages. */
static hearth_status open_prefix(struct prefix *p, struct scheduler *s,
                                 const struct scheduler_prefix *wanted, hearth_error *err) {
    const struct adapter_set *set =
        wanted->adapters ? wanted->adapters : context_adapters(s->context);
    uint32_t n = wanted->n_tokens < s->n_ctx ? wanted->n_tokens : s->n_ctx;
    *p = (struct prefix){.s = s, .tokens = wanted->tokens, .n_pages = n / CACHE_PAGE_TOKENS};
    if (!s->tree)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "what is computed of prompts is not kept here");
    for (uint32_t i = 0; i < n; i++)
        if (p->tokens[i] < 0 || (uint32_t)p->tokens[i] >= s->n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "token %d at place %u is not in the vocabulary of %u", p->tokens[i], i,
                             s->n_vocab);
    return prefix_origin_of(s->context, set, &p->origin, err);
}

static uint32_t root_of(const struct prefix *p) {
    pthread_mutex_lock(&p->s->mutex);
    uint32_t root = scheduler_root(p->s, p->origin.adapters);
    pthread_mutex_unlock(&p->s->mutex);
    return root;
}

static const uint32_t *keys_of(const struct prefix *p, uint32_t page, uint32_t *keys) {
    memcpy(keys, p->tokens + (size_t)page * CACHE_PAGE_TOKENS, CACHE_PAGE_TOKENS * sizeof *keys);
    return keys;
}

/* Adopts the pages that are in the tree, as many as there are. */
static void adopt_found(struct prefix *p, struct context *context, uint32_t sequence) {
    uint32_t keys[CACHE_PAGE_TOKENS], page = root_of(p), n = 0;
    for (; n < p->n_pages; n++) {
        page = prefix_tree_find(p->s->tree, page, keys_of(p, n, keys));
        if (page == PREFIX_ROOT) break;
        context_sequence_adopt(context, sequence, page);
        uint32_t state = prefix_tree_state(p->s->tree, page);
        if (state == PREFIX_ROOT) continue;
        p->ends[p->n_states] = n + 1;
        p->states[p->n_states++] = state;
    }
    p->n_pages = n;
    /* Beyond its last state nobody can go on. */
    if (p->s->recurrent) p->n_pages = p->n_states ? p->ends[p->n_states - 1] : 0;
}

/* As whoever uses pages of the tree lets go of them (prefix_tree.h). */
static void touch_all(const struct prefix *p, struct context *context, uint32_t sequence) {
    uint32_t n = context_sequence_length(context, sequence) / CACHE_PAGE_TOKENS;
    while (n-- > 0)
        prefix_tree_touch(p->s->tree, context_sequence_page(context, sequence, n));
}

/* ---- saving ---------------------------------------------------------------- */

struct saving {
    struct prefix prefix;
    struct prefix_writer writer;
    const char *path;
    uint8_t *bytes; /* of a page or a state */
};

static hearth_status write_parts(struct saving *v, struct context *context, uint32_t sequence,
                                 hearth_error *err) {
    const struct prefix *p = &v->prefix;
    for (uint32_t i = 0; i < p->n_pages; i++) {
        RETURN_IF_ERROR(context_read_page(context, sequence, i, v->bytes, err));
        RETURN_IF_ERROR(prefix_writer_put(&v->writer, v->bytes, err));
    }
    for (uint32_t i = 0; i < p->n_states; i++) {
        RETURN_IF_ERROR(context_load_state(context, sequence, p->states[i], err));
        RETURN_IF_ERROR(context_read_state(context, sequence, v->bytes, err));
        RETURN_IF_ERROR(prefix_writer_put(&v->writer, v->bytes, err));
    }
    return HEARTH_OK;
}

static hearth_status write_found(void *work_context, struct context *context, uint32_t sequence,
                                 hearth_error *err) {
    struct saving *v = work_context;
    adopt_found(&v->prefix, context, sequence);
    hearth_status status = HEARTH_OK;
    if (v->prefix.n_pages > 0)
        status = prefix_writer_open(&v->writer, v->path, &v->prefix.origin, v->prefix.n_pages,
                                    v->prefix.n_states, err);
    if (v->prefix.n_pages > 0 && status == HEARTH_OK) {
        status = write_parts(v, context, sequence, err);
        if (status != HEARTH_OK) prefix_writer_discard(&v->writer);
    }
    touch_all(&v->prefix, context, sequence);
    return status;
}

/* The disk is waited for while the scheduler goes on. */
static hearth_status save(struct saving *v, hearth_error *err) {
    struct prefix *p = &v->prefix;
    uint64_t bytes =
        p->origin.page_bytes > p->origin.state_bytes ? p->origin.page_bytes : p->origin.state_bytes;
    v->bytes = mem_alloc((size_t)bytes + 1);
    p->ends = mem_alloc_array((size_t)p->n_pages + 1, sizeof *p->ends);
    p->states = mem_alloc_array((size_t)p->n_pages + 1, sizeof *p->states);
    if (!v->bytes || !p->ends || !p->states)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to save a prompt");
    RETURN_IF_ERROR(scheduler_do(p->s, 0, write_found, v, err));
    if (p->n_pages == 0) return HEARTH_OK;
    return prefix_writer_commit(&v->writer, p->tokens, p->ends, err);
}

hearth_status scheduler_save_prefix(struct scheduler *s, const struct scheduler_prefix *prefix,
                                    const char *path, uint32_t *n_saved, hearth_error *err) {
    struct saving v = {.path = path};
    *n_saved = 0;
    RETURN_IF_ERROR(open_prefix(&v.prefix, s, prefix, err));
    hearth_status status = save(&v, err);
    if (status == HEARTH_OK) *n_saved = v.prefix.n_pages * CACHE_PAGE_TOKENS;
    mem_free(v.bytes);
    mem_free(v.prefix.ends);
    mem_free(v.prefix.states);
    return status;
}

/* ---- loading --------------------------------------------------------------- */

struct loading {
    struct prefix prefix;
    struct prefix_view view;
};

/* The states of the file that are within its first n_pages. */
static uint32_t states_within(const struct prefix_view *view, uint32_t n_pages) {
    uint32_t n = 0;
    while (n < view->n_states && prefix_file_end(view, n) <= n_pages)
        n++;
    return n;
}

/* What of the file is wanted, found whole before anything of it is used. */
static hearth_status check_parts(struct loading *l, hearth_error *err) {
    struct prefix *p = &l->prefix;
    p->n_states = p->s->recurrent ? states_within(&l->view, p->n_pages) : 0;
    if (p->s->recurrent) p->n_pages = p->n_states ? prefix_file_end(&l->view, p->n_states - 1) : 0;
    for (uint32_t i = 0; i < p->n_pages; i++)
        if (!prefix_file_page(&l->view, i))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "page %u does not match its checksum: it is damaged", i);
    for (uint32_t i = 0; i < p->n_states; i++)
        if (!prefix_file_state(&l->view, i))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "state %u does not match its checksum: it is damaged", i);
    return HEARTH_OK;
}

/* The next page, from the tree or else from the file. */
static hearth_status add_page(const struct loading *l, struct context *context, uint32_t sequence,
                              uint32_t i, hearth_error *err) {
    const struct prefix *p = &l->prefix;
    uint32_t keys[CACHE_PAGE_TOKENS];
    uint32_t last = i ? context_sequence_page(context, sequence, i - 1) : root_of(p);
    uint32_t page = prefix_tree_find(p->s->tree, last, keys_of(p, i, keys));
    if (page != PREFIX_ROOT) {
        context_sequence_adopt(context, sequence, page);
        return HEARTH_OK;
    }
    const uint8_t *bytes = l->view.pages + i * l->view.origin.page_bytes;
    RETURN_IF_ERROR(context_append_page(context, sequence, bytes, err));
    prefix_tree_add(p->s->tree, last, keys, context_sequence_page(context, sequence, i));
    return HEARTH_OK;
}

/* The file's state `i`, which comes after the page that was added last. */
static hearth_status add_state(const struct loading *l, struct context *context, uint32_t sequence,
                               uint32_t i, hearth_error *err) {
    struct prefix_tree *tree = l->prefix.s->tree;
    uint32_t page = context_sequence_page(context, sequence, prefix_file_end(&l->view, i) - 1);
    if (prefix_tree_state(tree, page) != PREFIX_ROOT) return HEARTH_OK;
    const uint8_t *bytes = l->view.states + i * l->view.origin.state_bytes;
    RETURN_IF_ERROR(context_write_state(context, sequence, bytes, err));
    hearth_status status =
        context_save_state(context, sequence, prefix_tree_take_state(tree, page), err);
    if (status != HEARTH_OK) prefix_tree_drop_state(tree, page);
    return status;
}

static hearth_status read_parts(void *work_context, struct context *context, uint32_t sequence,
                                hearth_error *err) {
    struct loading *l = work_context;
    hearth_status status = HEARTH_OK;
    uint32_t n_states = 0;
    for (uint32_t i = 0; i < l->prefix.n_pages && status == HEARTH_OK; i++) {
        status = add_page(l, context, sequence, i, err);
        if (status != HEARTH_OK || n_states == l->prefix.n_states ||
            prefix_file_end(&l->view, n_states) != i + 1)
            continue;
        status = add_state(l, context, sequence, n_states++, err);
    }
    touch_all(&l->prefix, context, sequence);
    return status;
}

static hearth_status load(struct loading *l, const struct file_map *map, hearth_error *err) {
    struct prefix *p = &l->prefix;
    if (map->size == 0) return error_set(err, HEARTH_ERROR_NOT_FOUND, "it is empty");
    RETURN_IF_ERROR(prefix_file_parse(&l->view, map->data, map->size, err));
    RETURN_IF_ERROR(prefix_file_check(&l->view, &p->origin, err));
    p->n_pages = prefix_file_common(&l->view, p->tokens, p->n_pages * (uint32_t)CACHE_PAGE_TOKENS);
    RETURN_IF_ERROR(check_parts(l, err));
    if (p->n_pages == 0) return HEARTH_OK;
    return scheduler_do(p->s, p->n_pages * CACHE_PAGE_TOKENS, read_parts, l, err);
}

hearth_status scheduler_load_prefix(struct scheduler *s, const struct scheduler_prefix *prefix,
                                    const char *path, uint32_t *n_found, hearth_error *err) {
    struct loading l;
    struct file_map map;
    *n_found = 0;
    RETURN_IF_ERROR(open_prefix(&l.prefix, s, prefix, err));
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    hearth_status status = load(&l, &map, err);
    file_map_close(&map);
    if (status != HEARTH_OK) return error_prefix(err, status, "cannot use '%s'", path);
    *n_found = l.prefix.n_pages * CACHE_PAGE_TOKENS;
    return HEARTH_OK;
}
