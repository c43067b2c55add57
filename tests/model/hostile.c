#include "hostile.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "format/gguf_write.h"

/* Writing ends in fsync, which costs nothing in memory. */
static const char *scratch_folder(void) {
    const char *base = getenv("TMPDIR");
    if (access("/dev/shm", W_OK) == 0) return "/dev/shm";
    return base && *base ? base : "/tmp";
}

void victim_open(struct victim *v, const char *path, const char *name) {
    hearth_error err = {0};
    *v = (struct victim){.name = name};
    if (gguf_open(&v->original, path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_true(v->original.n_tensors <= VICTIM_MAX_TENSORS);
    snprintf(v->path, sizeof v->path, "%s/hearth-hostile-XXXXXX", scratch_folder());
    int fd = mkstemp(v->path);
    assert_true(fd >= 0);
    close(fd);
    victim_reset(v, NULL);
    if (!victim_try(v, "nothing")) fail_msg("'%s' does not run unchanged", name);
}

static void release_tensors(struct victim *v) {
    for (size_t i = 0; i < v->n_tensors; i++)
        if (v->tensors[i].data != v->original.tensors[i].data)
            mem_free((void *)(uintptr_t)v->tensors[i].data);
    v->n_tensors = 0;
}

void victim_close(struct victim *v) {
    release_tensors(v);
    metadata_release(&v->metadata);
    directory_close(&v->original);
    remove(v->path);
}

void victim_reset(struct victim *v, const char *except) {
    const struct metadata *from = &v->original.metadata;
    release_tensors(v);
    metadata_release(&v->metadata);
    metadata_init(&v->metadata, 1 << 20);
    for (size_t i = 0; i < from->count; i++)
        if (!except || !text_equal(from->values[i].key, except))
            assert_int_equal(metadata_add(&v->metadata, &from->values[i], NULL), HEARTH_OK);
    v->n_tensors = v->original.n_tensors;
    memcpy(v->tensors, v->original.tensors, v->n_tensors * sizeof *v->tensors);
}

void victim_reshape(struct victim *v, size_t i, enum elem type, const uint64_t dims[4]) {
    struct tensor *t = &v->tensors[i];
    uint64_t values = 1;
    t->type = type;
    t->n_dims = 1;
    for (unsigned d = 0; d < TENSOR_MAX_DIMS; d++) {
        t->dims[d] = dims[d];
        values *= dims[d];
        if (dims[d] > 1) t->n_dims = d + 1;
    }
    uint64_t bytes = elem_row_bytes(type, values), old = v->original.tensors[i].size_bytes;
    uint8_t *data = mem_calloc(1, bytes + 64); /* whole blocks, however odd the width is */
    assert_non_null(data);
    memcpy(data, v->original.tensors[i].data, old < bytes ? old : bytes);
    t->data = data;
    t->size_bytes = bytes;
}

static hearth_status use(struct context *context, hearth_error *err) {
    static const int32_t tokens[] = {1, 2, 0};
    const struct config *config = &context_model(context)->config;
    float *out = mem_alloc_array((size_t)config->n_vocab + config->n_embd, sizeof *out);
    assert_non_null(out);
    struct context_part part = {.tokens = tokens, .n_tokens = 2, .last_logits = true};
    hearth_status status;
    if (!config->causal)
        status = context_embed(context, 0, tokens, 3, out, err);
    else
        status = context_decode(context, &part, 1, out, err);
    part = (struct context_part){.tokens = tokens + 2, .n_tokens = 1, .last_logits = true};
    if (status == HEARTH_OK && config->causal) status = context_decode(context, &part, 1, out, err);
    mem_free(out);
    return status;
}

static hearth_status open_and_use(const char *path, hearth_error *err) {
    struct model model;
    struct context *context;
    struct context_options options = {.n_threads = 1,
                                      .n_ctx = VICTIM_N_CTX,
                                      .n_sequences = 1,
                                      .max_batch = 4,
                                      .max_bytes = VICTIM_MAX_BYTES};
    RETURN_IF_ERROR(model_open(&model, path, err));
    hearth_status status = context_open(&context, &model, &options, err);
    if (status == HEARTH_OK) {
        assert_true(context_allocated_bytes(context) <= VICTIM_MAX_BYTES);
        status = use(context, err);
        context_close(context);
    }
    model_close(&model);
    return status;
}

bool victim_try(struct victim *v, const char *format, ...) {
    char change[256];
    va_list args;
    va_start(args, format);
    vsnprintf(change, sizeof change, format, args);
    va_end(args);
    if (getenv("HEARTH_HOSTILE_VERBOSE")) fprintf(stderr, "%s: %s\n", v->name, change);
    v->err = (hearth_error){0};
    v->tried++;
    uint64_t start = clock_now_ns();
    hearth_status status =
        gguf_write(v->path, &v->metadata, v->tensors, v->n_tensors, 0, NULL, NULL, &v->err);
    if (status == HEARTH_OK) status = open_and_use(v->path, &v->err);
    if (clock_seconds_since(start) > 20.0) fail_msg("%s: %s: hangs", v->name, change);
    if (status == HEARTH_OK) return true;
    v->refused++;
    const char *message = v->err.message;
    if (strlen(message) < 10 || strchr(message, '\n') || isupper((unsigned char)*message))
        fail_msg("%s: %s: not a message: '%s'", v->name, change, message);
    return false;
}
