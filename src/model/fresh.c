#include "model/fresh.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "base/rng.h"
#include "format/gguf_write.h"
#include "model/quant_recipe.h"

#define MAX_METADATA_BYTES ((size_t)1 << 30)

/* ---- what is asked for ------------------------------------------------------------------ */

static const struct {
    const char *name;
    unsigned traits;
} families[] = {{"llama", 0}, {"qwen2", SHAPE_QKV_BIAS}, {"qwen3", SHAPE_HEAD_NORM}};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

hearth_status fresh_family(struct shape *shape, const char *family, hearth_error *err) {
    const char *names[N_FAMILIES];
    for (int i = 0; i < N_FAMILIES; i++) {
        names[i] = families[i].name;
        if (strcmp(family, families[i].name) != 0) continue;
        shape->family = families[i].name;
        shape->traits |= families[i].traits;
        return HEARTH_OK;
    }
    const char *nearest = nearest_name(family, names, N_FAMILIES);
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "no fresh model of architecture '%.40s'%s%s%s; there are llama, qwen2, qwen3",
                     family, nearest ? ": did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

static hearth_status check_heads(struct shape *s, hearth_error *err) {
    if (s->d_head == 0 && s->n_embd % s->n_head != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a width of %u cannot be divided among %u heads", s->n_embd, s->n_head);
    if (s->d_head == 0) s->d_head = s->n_embd / s->n_head;
    if (s->n_head_kv == 0) s->n_head_kv = s->n_head;
    if (s->n_head % s->n_head_kv != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "%u heads cannot share %u key/value heads evenly", s->n_head,
                         s->n_head_kv);
    if (s->d_head % 2 != 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "heads of %u values: rotary positions turn pairs, so it must be even",
                         s->d_head);
    return HEARTH_OK;
}

hearth_status fresh_check(struct fresh_options *options, hearth_error *err) {
    struct shape *s = &options->shape;
    if (s->n_layer == 0 || s->n_layer > FRESH_MAX_LAYERS || s->n_embd == 0 ||
        s->n_embd > FRESH_MAX_WIDTH || s->n_head == 0 || s->n_head > s->n_embd || s->n_ff == 0 ||
        s->n_ff > 16 * FRESH_MAX_WIDTH || s->n_ctx == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a model needs 1 to %d layers, a width of 1 to %d, at least one head, a "
                         "feed-forward width and a context",
                         FRESH_MAX_LAYERS, FRESH_MAX_WIDTH);
    s->n_vocab = (uint32_t)tokenizer_n_vocab(options->tokenizer);
    s->name = options->name;
    return check_heads(s, err);
}

uint64_t fresh_size_bytes(const struct fresh_options *options, uint64_t *n_parameters,
                          hearth_error *err) {
    struct shape_tensors list;
    uint64_t total = 0;
    if (shape_tensors_init(&list, &options->shape, err) == HEARTH_OK)
        for (size_t i = 0; i < list.n_tensors; i++)
            total += list.tensors[i].size_bytes;
    shape_tensors_release(&list);
    *n_parameters = total / sizeof(float);
    return total;
}

/* ---- the file --------------------------------------------------------------------------- */

struct fresh {
    const struct fresh_options *options;
    struct shape_tensors list;
    struct metadata metadata;
    struct rng rng;
    uint64_t done, total;
};

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static float deviation_of(const struct fresh *fresh, const struct tensor *tensor) {
    const struct fresh_options *o = fresh->options;
    bool writes_residual =
        ends_with(tensor->name, "attn_output.weight") || ends_with(tensor->name, "ffn_down.weight");
    return writes_residual ? o->deviation / sqrtf(2 * (float)o->shape.n_layer) : o->deviation;
}

static hearth_status put_tensor(void *context, size_t i, struct tensor_writer *out,
                                hearth_error *err) {
    struct fresh *fresh = context;
    const struct tensor *tensor = &fresh->list.tensors[i];
    enum shape_content content = fresh->list.contents[i];
    float values[1024], deviation = deviation_of(fresh, tensor);
    const size_t most = sizeof values / sizeof values[0];
    for (uint64_t left = tensor->size_bytes / sizeof *values, n; left > 0; left -= n) {
        n = left < most ? left : most;
        for (uint64_t k = 0; k < n; k++)
            values[k] = content == CONTENT_WEIGHT ? deviation * rng_normal(&fresh->rng)
                        : content == CONTENT_NORM ? 1
                                                  : 0;
        RETURN_IF_ERROR(tensor_writer_put(out, values, n * sizeof *values, err));
        fresh->done += n * sizeof *values;
        if (fresh->options->progress)
            fresh->options->progress(fresh->options->progress_context, fresh->done, fresh->total);
    }
    return HEARTH_OK;
}

static hearth_status put_text(struct metadata *m, const char *key, const char *text,
                              hearth_error *err) {
    return text ? metadata_set_string(m, key, text, strlen(text), err) : HEARTH_OK;
}

static hearth_status describe(struct fresh *fresh, hearth_error *err) {
    const struct fresh_options *o = fresh->options;
    const struct quant_recipe *f32;
    struct metadata *m = &fresh->metadata;
    RETURN_IF_ERROR(shape_architecture(&o->shape, m, err));
    RETURN_IF_ERROR(quant_recipe_find(&f32, "F32", err));
    RETURN_IF_ERROR(quant_recipe_describe(f32, m, err));
    RETURN_IF_ERROR(tokenizer_to_metadata(o->tokenizer, m, err));
    RETURN_IF_ERROR(put_text(m, "tokenizer.chat_template", o->chat_template, err));
    RETURN_IF_ERROR(put_text(m, "general.license", o->license, err));
    if (o->temperature >= 0)
        RETURN_IF_ERROR(
            metadata_set_float(m, "general.sampling.temp", (double)o->temperature, err));
    return put_text(m, "general.description", o->description, err);
}

hearth_status fresh_write(const char *path, const struct fresh_options *options,
                          hearth_error *err) {
    struct fresh fresh = {.options = options};
    uint64_t n_parameters;
    rng_seed(&fresh.rng, options->seed);
    metadata_init(&fresh.metadata, MAX_METADATA_BYTES);
    fresh.total = fresh_size_bytes(options, &n_parameters, err);
    hearth_status status = shape_tensors_init(&fresh.list, &options->shape, err);
    if (status == HEARTH_OK) status = describe(&fresh, err);
    if (status == HEARTH_OK)
        status = gguf_write(path, &fresh.metadata, fresh.list.tensors, fresh.list.n_tensors, 0,
                            put_tensor, &fresh, err);
    metadata_release(&fresh.metadata);
    shape_tensors_release(&fresh.list);
    return status;
}
