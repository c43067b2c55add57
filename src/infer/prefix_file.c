#include "infer/prefix_file.h"

#include <string.h>

#include "base/cpu.h"
#include "base/cursor.h"
#include "base/mem.h"

/* The header: magic, version of Hearth, then the digests and numbers of prefix_origin in the order
 * of header_numbers, and how many pages and states there are. Zeros fill it up. */
static const uint8_t magic[8] = {'H', 'E', 'A', 'R', 'T', 'H', 'P', 'C'};

enum { ARITHMETIC_EXACT = 1, ARITHMETIC_LONG = 2, MAX_PAGES = (1 << 30) / CACHE_PAGE_TOKENS };
/* Counts the changes of this file's layout; the cache's own is below it. */
enum { FILE_LAYOUT = 2 << 16 };

/* ---- origin ---------------------------------------------------------------- */

hearth_status prefix_origin_of(const struct context *context, const struct adapter_set *adapters,
                               struct prefix_origin *origin, hearth_error *err) {
    const struct context_options *options = context_settings(context);
    const struct model *model = context_model(context);
    const struct rope_config *rope = &model->config.rope;
    bool is_long = rope->use_factors && context_length(context) > rope->original_context;
    enum cpu_level level;
    RETURN_IF_ERROR(cpu_choose(&level, err));
    *origin = (struct prefix_origin){
        .hearth = HEARTH_VERSION,
        .layout = FILE_LAYOUT + CACHE_LAYOUT,
        .page_tokens = CACHE_PAGE_TOKENS,
        .k_type = options->k_type,
        .v_type = options->v_type,
        .level = level,
        .arithmetic =
            (options->activations_f32 ? ARITHMETIC_EXACT : 0u) | (is_long ? ARITHMETIC_LONG : 0u),
        .n_vocab = model->config.n_vocab,
        .page_bytes = context_page_bytes(context),
        .state_bytes = context_state_bytes(context),
    };
    directory_fingerprint(&model->directory, origin->model);
    adapter_set_identity(adapters, origin->adapters);
    return HEARTH_OK;
}

static hearth_status check_origin(const struct prefix_origin *theirs,
                                  const struct prefix_origin *ours, hearth_error *err) {
    if (theirs->layout != ours->layout || theirs->page_tokens != ours->page_tokens ||
        memcmp(theirs->hearth, ours->hearth, sizeof ours->hearth) != 0)
        return error_set(err, HEARTH_ERROR_FORMAT, "it was written by another version of Hearth");
    if (memcmp(theirs->model, ours->model, sizeof ours->model) != 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "it belongs to another model");
    if (memcmp(theirs->adapters, ours->adapters, sizeof ours->adapters) != 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "it was computed with other adapters (--lora)");
    if (theirs->k_type != ours->k_type || theirs->v_type != ours->v_type)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "its cache types differ from %s and %s (--cache-type-k, -v)",
                         elem_name((enum elem)ours->k_type), elem_name((enum elem)ours->v_type));
    if (theirs->level != ours->level)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "it was computed at processor level '%s', this is '%s' (HEARTH_CPU)",
                         cpu_level_name((enum cpu_level)theirs->level),
                         cpu_level_name((enum cpu_level)ours->level));
    if (theirs->arithmetic != ours->arithmetic)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "it was computed with another arithmetic (--activations, --ctx-size)");
    if (theirs->n_vocab != ours->n_vocab || theirs->page_bytes != ours->page_bytes ||
        theirs->state_bytes != ours->state_bytes)
        return error_set(err, HEARTH_ERROR_FORMAT, "its sizes do not belong to its model");
    return HEARTH_OK;
}

/* ---- header ---------------------------------------------------------------- */

enum { HEADER_NUMBERS = 9 };

static void header_numbers(struct prefix_origin *o, uint32_t *n_pages, uint32_t *n_states,
                           uint32_t *numbers[HEADER_NUMBERS]) {
    uint32_t *const all[HEADER_NUMBERS] = {&o->layout,  &o->page_tokens, &o->k_type,
                                           &o->v_type,  &o->level,       &o->arithmetic,
                                           &o->n_vocab, n_pages,         n_states};
    memcpy(numbers, all, sizeof all);
}

static uint8_t *put(uint8_t *at, uint64_t number, size_t size_bytes) {
    for (size_t i = 0; i < size_bytes; i++)
        *at++ = (uint8_t)(number >> 8 * i);
    return at;
}

static void write_header(const struct prefix_writer *w, uint8_t header[PREFIX_FILE_HEADER_BYTES]) {
    struct prefix_origin origin = w->origin;
    uint32_t *numbers[HEADER_NUMBERS], n_pages = w->n_pages, n_states = w->n_states;
    uint8_t *at = header;
    memset(header, 0, PREFIX_FILE_HEADER_BYTES);
    header_numbers(&origin, &n_pages, &n_states, numbers);
    at = (uint8_t *)mempcpy(at, magic, sizeof magic);
    at = (uint8_t *)mempcpy(at, origin.hearth, sizeof origin.hearth);
    at = (uint8_t *)mempcpy(at, origin.model, sizeof origin.model);
    at = (uint8_t *)mempcpy(at, origin.adapters, sizeof origin.adapters);
    for (int i = 0; i < HEADER_NUMBERS; i++)
        at = put(at, *numbers[i], sizeof(uint32_t));
    at = put(at, origin.page_bytes, sizeof(uint64_t));
    put(at, origin.state_bytes, sizeof(uint64_t));
}

static void copy_bytes(struct cursor *c, void *out, size_t size_bytes) {
    const uint8_t *bytes = cursor_bytes(c, size_bytes);
    if (bytes) memcpy(out, bytes, size_bytes);
}

static void read_header(struct cursor *c, struct prefix_view *view) {
    struct prefix_origin *origin = &view->origin;
    uint32_t *numbers[HEADER_NUMBERS];
    header_numbers(origin, &view->n_pages, &view->n_states, numbers);
    cursor_bytes(c, sizeof magic);
    copy_bytes(c, origin->hearth, sizeof origin->hearth);
    copy_bytes(c, origin->model, sizeof origin->model);
    copy_bytes(c, origin->adapters, sizeof origin->adapters);
    for (int i = 0; i < HEADER_NUMBERS; i++)
        *numbers[i] = cursor_u32(c);
    origin->page_bytes = cursor_u64(c);
    origin->state_bytes = cursor_u64(c);
}

/* ---- parts ----------------------------------------------------------------- */

bool prefix_file_is_one(const uint8_t *data, size_t size) {
    return size >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

/* `count` pieces of `size_bytes`, whose product may be anything. */
static const uint8_t *pieces(struct cursor *c, uint64_t count, uint64_t size_bytes) {
    uint64_t bytes;
    if (__builtin_mul_overflow(count, size_bytes, &bytes) || bytes > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    return cursor_bytes(c, (size_t)bytes);
}

static bool has_good_ends(const struct prefix_view *view) {
    uint32_t before = 0;
    for (uint32_t i = 0; i < view->n_states; i++) {
        uint32_t end = prefix_file_end(view, i);
        if (end <= before || end > view->n_pages) return false;
        before = end;
    }
    return true;
}

hearth_status prefix_file_parse(struct prefix_view *view, const uint8_t *data, size_t size,
                                hearth_error *err) {
    struct cursor c = cursor_over(data, size);
    *view = (struct prefix_view){.header = data};
    if (!prefix_file_is_one(data, size))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "it is not a prompt cache");
    read_header(&c, view);
    uint64_t per_page = view->origin.page_tokens;
    if (c.failed || per_page == 0 || view->n_pages == 0 || view->n_pages > MAX_PAGES ||
        view->n_states > view->n_pages)
        return error_set(err, HEARTH_ERROR_FORMAT, "its header is damaged");
    cursor_bytes(&c, PREFIX_FILE_HEADER_BYTES - c.position);
    view->pages = pieces(&c, view->n_pages, view->origin.page_bytes);
    view->states = pieces(&c, view->n_states, view->origin.state_bytes);
    view->tokens = pieces(&c, view->n_pages, per_page * sizeof(int32_t));
    view->page_digests = pieces(&c, view->n_pages, SHA256_BYTES);
    view->state_digests = pieces(&c, view->n_states, SHA256_BYTES);
    view->ends = pieces(&c, view->n_states, sizeof(uint32_t));
    view->digest = pieces(&c, 1, SHA256_BYTES);
    if (c.failed || cursor_left(&c) > 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "it has %zu bytes, which is not what its header says: it is damaged",
                         size);
    if (!has_good_ends(view))
        return error_set(err, HEARTH_ERROR_FORMAT, "its states are out of order: it is damaged");
    return HEARTH_OK;
}

hearth_status prefix_file_check(const struct prefix_view *view, const struct prefix_origin *ours,
                                hearth_error *err) {
    uint8_t own[SHA256_BYTES];
    struct sha256 hash;
    RETURN_IF_ERROR(check_origin(&view->origin, ours, err));
    sha256_init(&hash);
    sha256_update(&hash, view->header, PREFIX_FILE_HEADER_BYTES);
    sha256_update(&hash, view->tokens, (size_t)(view->digest - view->tokens));
    sha256_final(&hash, own);
    if (memcmp(own, view->digest, sizeof own) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "its content does not match its checksum: damaged");
}

static void digest_of(const void *bytes, size_t size_bytes, uint8_t digest[SHA256_BYTES]) {
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, bytes, size_bytes);
    sha256_final(&hash, digest);
}

static const uint8_t *piece(const uint8_t *bytes, uint64_t size_bytes, const uint8_t *digests,
                            uint32_t i) {
    uint8_t own[SHA256_BYTES];
    bytes += i * size_bytes;
    digest_of(bytes, (size_t)size_bytes, own);
    return memcmp(own, digests + (size_t)i * SHA256_BYTES, sizeof own) == 0 ? bytes : NULL;
}

const uint8_t *prefix_file_page(const struct prefix_view *view, uint32_t i) {
    return piece(view->pages, view->origin.page_bytes, view->page_digests, i);
}

const uint8_t *prefix_file_state(const struct prefix_view *view, uint32_t i) {
    return piece(view->states, view->origin.state_bytes, view->state_digests, i);
}

uint32_t prefix_file_end(const struct prefix_view *view, uint32_t i) {
    struct cursor c = cursor_over(view->ends + i * sizeof(uint32_t), sizeof(uint32_t));
    return cursor_u32(&c);
}

uint32_t prefix_file_common(const struct prefix_view *view, const int32_t *tokens, uint32_t n) {
    uint32_t per_page = view->origin.page_tokens, same = 0;
    size_t bytes = per_page * sizeof *tokens;
    while (same < view->n_pages && same < n / per_page &&
           memcmp(view->tokens + same * bytes, tokens + (size_t)same * per_page, bytes) == 0)
        same++;
    return same;
}

static hearth_status copy_tokens(const struct prefix_view *view, int32_t **tokens, uint32_t *n,
                                 hearth_error *err) {
    uint64_t count = (uint64_t)view->n_pages * view->origin.page_tokens;
    if (count > UINT32_MAX)
        return error_set(err, HEARTH_ERROR_FORMAT, "it has %llu tokens: it is damaged",
                         (unsigned long long)count);
    *tokens = mem_alloc_array((size_t)count, sizeof **tokens);
    if (!*tokens) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for its tokens");
    memcpy(*tokens, view->tokens, (size_t)count * sizeof **tokens);
    *n = (uint32_t)count;
    return HEARTH_OK;
}

hearth_status prefix_file_tokens(const char *path, int32_t **tokens, uint32_t *n,
                                 hearth_error *err) {
    struct file_map map;
    struct prefix_view view;
    *tokens = NULL;
    *n = 0;
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    hearth_status status = prefix_file_parse(&view, map.data, map.size, err);
    if (status == HEARTH_OK) status = copy_tokens(&view, tokens, n, err);
    file_map_close(&map);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot use '%s'", path);
}

/* ---- writing --------------------------------------------------------------- */

/* Someone's notes are not replaced because they were named by mistake. */
static hearth_status check_replaceable(const char *path, hearth_error *err) {
    struct file_map map;
    if (!file_exists(path)) return HEARTH_OK;
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    bool replaceable = map.size == 0 || prefix_file_is_one(map.data, map.size);
    file_map_close(&map);
    if (replaceable) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "'%s' is not a prompt cache and is left as it is; name another file", path);
}

static hearth_status put_hashed(struct prefix_writer *w, const void *bytes, size_t size_bytes,
                                hearth_error *err) {
    sha256_update(&w->hash, bytes, size_bytes);
    return file_writer_put(&w->file, bytes, size_bytes, err);
}

hearth_status prefix_writer_open(struct prefix_writer *w, const char *path,
                                 const struct prefix_origin *origin, uint32_t n_pages,
                                 uint32_t n_states, hearth_error *err) {
    uint8_t header[PREFIX_FILE_HEADER_BYTES];
    *w = (struct prefix_writer){.origin = *origin, .n_pages = n_pages, .n_states = n_states};
    RETURN_IF_ERROR(check_replaceable(path, err));
    w->digests = mem_alloc_array((size_t)n_pages + n_states, SHA256_BYTES);
    if (!w->digests) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to save a prompt");
    hearth_status status = file_writer_open(&w->file, path, err);
    if (status != HEARTH_OK) {
        mem_free(w->digests);
        return status;
    }
    sha256_init(&w->hash);
    write_header(w, header);
    status = put_hashed(w, header, sizeof header, err);
    if (status != HEARTH_OK) prefix_writer_discard(w);
    return status;
}

hearth_status prefix_writer_put(struct prefix_writer *w, const uint8_t *bytes, hearth_error *err) {
    uint64_t size_bytes = w->n_put < w->n_pages ? w->origin.page_bytes : w->origin.state_bytes;
    digest_of(bytes, (size_t)size_bytes, w->digests + (size_t)w->n_put++ * SHA256_BYTES);
    return file_writer_put(&w->file, bytes, (size_t)size_bytes, err);
}

static hearth_status put_tail(struct prefix_writer *w, const int32_t *tokens, const uint32_t *ends,
                              hearth_error *err) {
    uint8_t digest[SHA256_BYTES];
    size_t n_tokens = (size_t)w->n_pages * w->origin.page_tokens;
    size_t n_digests = (size_t)w->n_pages + w->n_states;
    RETURN_IF_ERROR(put_hashed(w, tokens, n_tokens * sizeof *tokens, err));
    RETURN_IF_ERROR(put_hashed(w, w->digests, n_digests * SHA256_BYTES, err));
    RETURN_IF_ERROR(put_hashed(w, ends, w->n_states * sizeof *ends, err));
    sha256_final(&w->hash, digest);
    return file_writer_put(&w->file, digest, sizeof digest, err);
}

hearth_status prefix_writer_commit(struct prefix_writer *w, const int32_t *tokens,
                                   const uint32_t *ends, hearth_error *err) {
    hearth_status status = put_tail(w, tokens, ends, err);
    if (status != HEARTH_OK) {
        prefix_writer_discard(w);
        return status;
    }
    mem_free(w->digests);
    return file_writer_commit(&w->file, err);
}

void prefix_writer_discard(struct prefix_writer *w) {
    file_writer_discard(&w->file);
    mem_free(w->digests);
}
