#include "infer/session_file.h"

#include <string.h>

#include "base/cpu.h"
#include "base/cursor.h"
#include "base/mem.h"

/* The header: magic, version of Hearth, then the numbers and digests of session_origin in
 * the order of header_numbers, and n_tokens. Zeros fill it up. */
static const uint8_t magic[8] = {'H', 'E', 'A', 'R', 'T', 'H', 'P', 'C'};

enum { ARITHMETIC_EXACT = 1, ARITHMETIC_LONG = 2, MAX_TOKENS = 1 << 30 };

/* ---- origin ---------------------------------------------------------------- */

static hearth_status origin_of(const struct context *context, struct session_origin *origin,
                               hearth_error *err) {
    const struct context_options *options = context_settings(context);
    const struct model *model = context_model(context);
    const struct rope_config *rope = &model->config.rope;
    bool is_long = rope->use_factors && context_length(context) > rope->original_context;
    enum cpu_level level;
    RETURN_IF_ERROR(cpu_choose(&level, err));
    *origin = (struct session_origin){
        .hearth = HEARTH_VERSION,
        .layout = CACHE_LAYOUT,
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
    adapter_set_identity(context_adapters(context), origin->adapters);
    return HEARTH_OK;
}

static hearth_status check_origin(const struct session_origin *theirs,
                                  const struct session_origin *ours, hearth_error *err) {
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

enum { HEADER_NUMBERS = 8 };

static void header_numbers(struct session_origin *o, uint32_t *n_tokens,
                           uint32_t *numbers[HEADER_NUMBERS]) {
    uint32_t *const all[HEADER_NUMBERS] = {&o->layout, &o->page_tokens, &o->k_type,  &o->v_type,
                                           &o->level,  &o->arithmetic,  &o->n_vocab, n_tokens};
    memcpy(numbers, all, sizeof all);
}

static uint8_t *put(uint8_t *at, uint64_t number, size_t size_bytes) {
    for (size_t i = 0; i < size_bytes; i++)
        *at++ = (uint8_t)(number >> 8 * i);
    return at;
}

static void write_header(struct session_origin origin, uint32_t n_tokens,
                         uint8_t header[SESSION_FILE_HEADER_BYTES]) {
    uint32_t *numbers[HEADER_NUMBERS];
    uint8_t *at = header;
    memset(header, 0, SESSION_FILE_HEADER_BYTES);
    header_numbers(&origin, &n_tokens, numbers);
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

static void read_header(struct cursor *c, struct session_view *view) {
    struct session_origin *origin = &view->origin;
    uint32_t *numbers[HEADER_NUMBERS];
    header_numbers(origin, &view->n_tokens, numbers);
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

bool session_file_is_one(const uint8_t *data, size_t size) {
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

hearth_status session_file_parse(struct session_view *view, const uint8_t *data, size_t size,
                                 hearth_error *err) {
    struct cursor c = cursor_over(data, size);
    *view = (struct session_view){.header = data};
    if (!session_file_is_one(data, size))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "it is not a prompt cache");
    read_header(&c, view);
    uint32_t per_page = view->origin.page_tokens;
    if (c.failed || per_page == 0 || view->n_tokens == 0 || view->n_tokens > MAX_TOKENS)
        return error_set(err, HEARTH_ERROR_FORMAT, "its header is damaged");
    view->n_pages = view->n_tokens / per_page + (view->n_tokens % per_page != 0);
    cursor_bytes(&c, SESSION_FILE_HEADER_BYTES - c.position);
    view->pages = pieces(&c, view->n_pages, view->origin.page_bytes);
    view->tokens = pieces(&c, view->n_tokens, sizeof(int32_t));
    view->page_digests = pieces(&c, view->n_pages, SHA256_BYTES);
    view->state = pieces(&c, 1, view->origin.state_bytes);
    view->logits = pieces(&c, view->origin.n_vocab, sizeof(float));
    view->digest = pieces(&c, 1, SHA256_BYTES);
    if (c.failed || cursor_left(&c) > 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "it has %zu bytes, which is not what its header says: it is damaged",
                         size);
    return HEARTH_OK;
}

static bool has_digest(const void *bytes, size_t size_bytes, const uint8_t digest[SHA256_BYTES]) {
    uint8_t own[SHA256_BYTES];
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, bytes, size_bytes);
    sha256_final(&hash, own);
    return memcmp(own, digest, sizeof own) == 0;
}

static hearth_status check_digest(const struct session_view *view, hearth_error *err) {
    uint8_t own[SHA256_BYTES];
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, view->header, SESSION_FILE_HEADER_BYTES);
    sha256_update(&hash, view->tokens, (size_t)(view->digest - view->tokens));
    sha256_final(&hash, own);
    if (memcmp(own, view->digest, sizeof own) == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "its content does not match its checksum: damaged");
}

/* ---- saving ---------------------------------------------------------------- */

struct saving {
    struct session *session;
    struct file_writer writer;
    struct sha256 hash; /* of header and tail */
    uint8_t *page;
    uint8_t *digests; /* [n_pages][SHA256_BYTES] */
};

static hearth_status put_hashed(struct saving *s, const void *bytes, size_t size_bytes,
                                hearth_error *err) {
    sha256_update(&s->hash, bytes, size_bytes);
    return file_writer_put(&s->writer, bytes, size_bytes, err);
}

static hearth_status put_pages(struct saving *s, uint32_t n_pages, hearth_error *err) {
    const struct context *context = session_context(s->session);
    size_t bytes = (size_t)context_page_bytes(context);
    for (uint32_t i = 0; i < n_pages; i++) {
        struct sha256 hash;
        RETURN_IF_ERROR(context_read_page(context, session_sequence(s->session), i, s->page, err));
        sha256_init(&hash);
        sha256_update(&hash, s->page, bytes);
        sha256_final(&hash, s->digests + (size_t)i * SHA256_BYTES);
        RETURN_IF_ERROR(file_writer_put(&s->writer, s->page, bytes, err));
    }
    return HEARTH_OK;
}

static hearth_status put_all(struct saving *s, const struct session_origin *origin,
                             hearth_error *err) {
    uint8_t header[SESSION_FILE_HEADER_BYTES], digest[SHA256_BYTES];
    uint32_t n, n_pages;
    const int32_t *tokens = session_tokens(s->session, &n);
    n_pages = n / CACHE_PAGE_TOKENS + (n % CACHE_PAGE_TOKENS != 0);
    s->page = mem_alloc((size_t)(origin->page_bytes > origin->state_bytes ? origin->page_bytes
                                                                          : origin->state_bytes));
    s->digests = mem_alloc_array(n_pages, SHA256_BYTES);
    if (!s->page || !s->digests)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to save a prompt cache");
    write_header(*origin, n, header);
    RETURN_IF_ERROR(put_hashed(s, header, sizeof header, err));
    RETURN_IF_ERROR(put_pages(s, n_pages, err));
    RETURN_IF_ERROR(put_hashed(s, tokens, n * sizeof *tokens, err));
    RETURN_IF_ERROR(put_hashed(s, s->digests, (size_t)n_pages * SHA256_BYTES, err));
    RETURN_IF_ERROR(context_read_state(session_context(s->session), session_sequence(s->session),
                                       s->page, err));
    RETURN_IF_ERROR(put_hashed(s, s->page, (size_t)origin->state_bytes, err));
    RETURN_IF_ERROR(
        put_hashed(s, session_logits(s->session), origin->n_vocab * sizeof(float), err));
    sha256_final(&s->hash, digest);
    return file_writer_put(&s->writer, digest, sizeof digest, err);
}

/* Someone's notes are not replaced because they were named by mistake. */
static hearth_status check_replaceable(const char *path, hearth_error *err) {
    struct file_map map;
    if (!file_exists(path)) return HEARTH_OK;
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    bool replaceable = map.size == 0 || session_file_is_one(map.data, map.size);
    file_map_close(&map);
    if (replaceable) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "'%s' is not a prompt cache and is left as it is; name another file", path);
}

hearth_status session_save(struct session *session, const char *path, hearth_error *err) {
    struct session_origin origin;
    struct saving s = {.session = session};
    session_drop_drafts(session);
    if (!session_has_logits(session))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "nothing is computed that could be saved");
    RETURN_IF_ERROR(check_replaceable(path, err));
    RETURN_IF_ERROR(origin_of(session_context(session), &origin, err));
    RETURN_IF_ERROR(file_writer_open(&s.writer, path, err));
    sha256_init(&s.hash);
    hearth_status status = put_all(&s, &origin, err);
    if (status == HEARTH_OK)
        status = file_writer_commit(&s.writer, err);
    else
        file_writer_discard(&s.writer);
    mem_free(s.page);
    mem_free(s.digests);
    return status;
}

/* ---- loading --------------------------------------------------------------- */

static uint32_t same_tokens(const uint8_t *theirs, uint32_t n_theirs, const int32_t *tokens,
                            uint32_t n) {
    uint32_t same = 0, most = n < n_theirs ? n : n_theirs;
    while (same < most &&
           memcmp(theirs + same * sizeof *tokens, tokens + same, sizeof *tokens) == 0)
        same++;
    return same;
}

/* A whole timeline comes with its logits and states, a part of it without. */
static uint32_t usable_tokens(const struct session_view *view, uint32_t shared, uint32_t n) {
    if (shared == view->n_tokens) return shared;
    if (view->origin.state_bytes > 0) return 0;
    return shared < n ? shared : n - 1;
}

static hearth_status restore(struct session *session, const struct session_view *view,
                             const int32_t *tokens, uint32_t length, hearth_error *err) {
    struct context_image image = {.length = length, .pages = view->pages, .state = view->state};
    uint32_t n_pages = length / CACHE_PAGE_TOKENS + (length % CACHE_PAGE_TOKENS != 0);
    size_t bytes = (size_t)view->origin.page_bytes, n_vocab = view->origin.n_vocab;
    for (uint32_t i = 0; i < n_pages; i++)
        if (!has_digest(view->pages + i * bytes, bytes,
                        view->page_digests + (size_t)i * SHA256_BYTES))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "page %u does not match its checksum: it is damaged", i);
    if (length < view->n_tokens) return session_restore(session, tokens, &image, NULL, err);
    float *logits = mem_alloc_array(n_vocab, sizeof *logits);
    if (!logits) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for its logits");
    memcpy(logits, view->logits, n_vocab * sizeof *logits);
    hearth_status status = session_restore(session, tokens, &image, logits, err);
    mem_free(logits);
    return status;
}

static hearth_status load_from(struct session *session, const struct file_map *map,
                               const int32_t *tokens, uint32_t n, uint32_t *shared,
                               hearth_error *err) {
    struct session_view view;
    struct session_origin ours;
    uint32_t n_held;
    if (map->size == 0) return error_set(err, HEARTH_ERROR_NOT_FOUND, "it is empty");
    RETURN_IF_ERROR(session_file_parse(&view, map->data, map->size, err));
    RETURN_IF_ERROR(origin_of(session_context(session), &ours, err));
    RETURN_IF_ERROR(check_origin(&view.origin, &ours, err));
    RETURN_IF_ERROR(check_digest(&view, err));
    const uint8_t *held = (const uint8_t *)session_tokens(session, &n_held);
    uint32_t same = same_tokens(view.tokens, view.n_tokens, tokens, n);
    uint32_t length = usable_tokens(&view, same, n);
    if (shared) *shared = same;
    if (length <= same_tokens(held, n_held, tokens, n)) return HEARTH_OK;
    return restore(session, &view, tokens, length, err);
}

hearth_status session_load(struct session *session, const char *path, const int32_t *tokens,
                           uint32_t n, uint32_t *shared, hearth_error *err) {
    struct file_map map;
    if (shared) *shared = 0;
    session_drop_drafts(session);
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    hearth_status status = load_from(session, &map, tokens, n, shared, err);
    file_map_close(&map);
    if (status == HEARTH_OK) return HEARTH_OK;
    if (shared) *shared = 0;
    return error_prefix(err, status, "cannot use '%s'", path);
}
