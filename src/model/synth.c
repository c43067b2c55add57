#include "model/synth.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "format/gguf_write.h"
#include "kernels/quantize.h"

enum {
    PANEL_VALUES = 1 << 16,
    PANELS = 32, /* kinds of (type, width) in one model; more start over */
    PIECE_BYTES = 1 << 20
};
#define MAX_METADATA_BYTES ((size_t)1 << 30)

/* Quantised normal values, all of one type and standard deviation. */
struct panel {
    enum elem type;
    uint64_t n_cols; /* 0: free */
    uint8_t *blocks;
};

struct synth {
    const struct synth_options *options;
    struct shape_tensors list;
    struct metadata metadata;
    struct panel panels[PANELS];
    size_t n_panels;
    struct rng rng;
    uint8_t *piece; /* [PIECE_BYTES] */
    uint64_t done, total;
};

/* ---- what tensors hold -------------------------------------------------------------------- */

/* How Llama 3.1 stretches its context: wavelengths beyond the old context are slowed by
 * the factor, those below a quarter of it are kept, a ramp between. */
static float llama3_divisor(const struct shape *s, uint64_t i, uint64_t n) {
    const float low = 1, high = 4, pi = 3.14159265f;
    float wavelength = 2 * pi * powf(s->rope_base, (float)i / (float)n);
    float original = (float)s->rope_original;
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return s->rope_factor;
    float smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / s->rope_factor + smooth);
}

static float vector_value(struct synth *synth, enum shape_content content, uint64_t i, uint64_t n) {
    const struct shape *s = synth->options->shape;
    struct rng *rng = &synth->rng;
    switch (content) {
    case CONTENT_NORM: return 1 + 0.05f * rng_normal(rng);
    case CONTENT_ONES: return 1;
    case CONTENT_DECAY: return -(1 + 15 * (float)rng_uniform(rng));
    case CONTENT_STEP: return -7 + 5 * (float)rng_uniform(rng); /* softplus: 0.001 to 0.13 */
    case CONTENT_SINKS: return rng_normal(rng);
    case CONTENT_ROPE_LLAMA3: return llama3_divisor(s, i, n);
    case CONTENT_ROPE_SHORT: return 1;
    case CONTENT_ROPE_LONG: return powf(s->rope_factor, (float)i / (float)n);
    default: return 0.02f * rng_normal(rng);
    }
}

static hearth_status put_vector(struct synth *synth, const struct tensor *tensor,
                                enum shape_content content, struct tensor_writer *out,
                                hearth_error *err) {
    float values[256];
    uint64_t n = tensor->size_bytes / sizeof *values;
    for (uint64_t at = 0, count; at < n; at += count) {
        count = n - at < 256 ? n - at : 256;
        for (uint64_t i = 0; i < count; i++)
            values[i] = vector_value(synth, content, at + i, n);
        RETURN_IF_ERROR(tensor_writer_put(out, values, count * sizeof *values, err));
    }
    return HEARTH_OK;
}

/* ---- matrices -------------------------------------------------------------------------------- */

static hearth_status fill_panel(struct synth *synth, struct panel *panel, enum elem type,
                                uint64_t n_cols, hearth_error *err) {
    float *values = mem_alloc_array(PANEL_VALUES, sizeof *values);
    mem_free(panel->blocks);
    *panel = (struct panel){.blocks = mem_alloc(elem_row_bytes(type, PANEL_VALUES))};
    hearth_status status = HEARTH_OK;
    if (!values || !panel->blocks) {
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for random weights");
    } else {
        float deviation = 1 / sqrtf((float)n_cols);
        for (size_t i = 0; i < PANEL_VALUES; i++)
            values[i] = deviation * rng_normal(&synth->rng);
        status = quantize_rows(type, values, panel->blocks, 1, PANEL_VALUES, NULL, err);
    }
    mem_free(values);
    panel->type = type;
    panel->n_cols = status == HEARTH_OK ? n_cols : 0;
    return status;
}

static hearth_status find_panel(struct synth *synth, const struct tensor *tensor,
                                const struct panel **panel, hearth_error *err) {
    uint64_t n_cols = tensor->dims[0];
    for (size_t i = 0; i < PANELS; i++) {
        *panel = &synth->panels[i];
        if ((*panel)->n_cols == n_cols && (*panel)->type == tensor->type) return HEARTH_OK;
    }
    struct panel *slot = &synth->panels[synth->n_panels++ % PANELS];
    *panel = slot;
    return fill_panel(synth, slot, tensor->type, n_cols, err);
}

/* Values copied together: as many as fit rows and blocks, at most 256. */
static uint32_t granule(const struct tensor *tensor) {
    uint32_t values = 256;
    while (tensor->dims[0] % values != 0)
        values /= 2;
    return values;
}

static hearth_status put_matrix(struct synth *synth, const struct tensor *tensor,
                                struct tensor_writer *out, hearth_error *err) {
    const struct panel *panel;
    RETURN_IF_ERROR(find_panel(synth, tensor, &panel, err));
    uint32_t values = granule(tensor);
    size_t bytes = elem_row_bytes(tensor->type, values), n_choices = PANEL_VALUES / values;
    for (uint64_t left = tensor->size_bytes, n; left > 0; left -= n) {
        n = left < PIECE_BYTES / bytes * bytes ? left : PIECE_BYTES / bytes * bytes;
        for (uint64_t at = 0; at < n; at += bytes)
            memcpy(synth->piece + at, panel->blocks + rng_u64(&synth->rng) % n_choices * bytes,
                   bytes);
        RETURN_IF_ERROR(tensor_writer_put(out, synth->piece, n, err));
        synth->done += n;
        if (synth->options->progress)
            synth->options->progress(synth->options->progress_context, synth->done, synth->total);
    }
    return HEARTH_OK;
}

static hearth_status put_tensor(void *context, size_t i, struct tensor_writer *out,
                                hearth_error *err) {
    struct synth *synth = context;
    const struct tensor *tensor = &synth->list.tensors[i];
    if (synth->list.contents[i] == CONTENT_WEIGHT) return put_matrix(synth, tensor, out, err);
    return put_vector(synth, tensor, synth->list.contents[i], out, err);
}

/* ---- the file
 * ------------------------------------------------------------------------------------ */

static hearth_status choose_types(struct synth *synth, hearth_error *err) {
    struct shape_tensors *list = &synth->list;
    enum elem *types = mem_calloc(list->n_tensors, sizeof *types);
    if (!types) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    hearth_status status = quant_recipe_assign(&synth->options->quant, &synth->metadata,
                                               list->tensors, list->n_tensors, types, err);
    for (size_t i = 0; status == HEARTH_OK && i < list->n_tensors; i++) {
        list->tensors[i].type = types[i];
        status = tensor_check_shape(&list->tensors[i], err);
        synth->total += list->tensors[i].size_bytes;
    }
    mem_free(types);
    return status;
}

static hearth_status synth_init(struct synth *synth, const struct synth_options *options,
                                hearth_error *err) {
    *synth = (struct synth){.options = options};
    rng_seed(&synth->rng, options->seed);
    metadata_init(&synth->metadata, MAX_METADATA_BYTES);
    RETURN_IF_ERROR(shape_tensors_init(&synth->list, options->shape, err));
    RETURN_IF_ERROR(shape_metadata(options->shape, &synth->metadata, err));
    RETURN_IF_ERROR(quant_recipe_describe(options->quant.recipe, &synth->metadata, err));
    return choose_types(synth, err);
}

static void synth_release(struct synth *synth) {
    for (size_t i = 0; i < PANELS; i++)
        mem_free(synth->panels[i].blocks);
    mem_free(synth->piece);
    metadata_release(&synth->metadata);
    shape_tensors_release(&synth->list);
}

hearth_status synth_write(const char *path, const struct synth_options *options,
                          hearth_error *err) {
    struct synth synth;
    hearth_status status = synth_init(&synth, options, err);
    if (status == HEARTH_OK && !(synth.piece = mem_alloc(PIECE_BYTES)))
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    if (status == HEARTH_OK)
        status = gguf_write(path, &synth.metadata, synth.list.tensors, synth.list.n_tensors, 0,
                            put_tensor, &synth, err);
    synth_release(&synth);
    return status;
}

static uint64_t read_by_token(const struct shape *shape, const struct tensor *tensor) {
    if (strcmp(tensor->name, "token_embd.weight") == 0 && !(shape->traits & SHAPE_TIED)) return 0;
    if (strstr(tensor->name, "_exps."))
        return tensor->size_bytes / shape->experts.n * shape->experts.n_used;
    return tensor->size_bytes;
}

hearth_status synth_measure(const struct synth_options *options, struct synth_size *size,
                            hearth_error *err) {
    struct synth synth;
    hearth_status status = synth_init(&synth, options, err);
    *size = (struct synth_size){.total_bytes = synth.total};
    for (size_t i = 0; i < synth.list.n_tensors; i++)
        size->token_bytes += read_by_token(options->shape, &synth.list.tensors[i]);
    synth_release(&synth);
    return status;
}
