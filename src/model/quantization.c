#include "model/quantization.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "format/gguf_write.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"
#include "model/merge.h"

enum { PIECE_VALUES = 1 << 22 }; /* floats quantised between two writes, at least one row */

/* ---- the plan --------------------------------------------------------------------------- */

static bool is_quantized(enum elem type) {
    return elem_table[type].block_values > 1;
}

static hearth_status check_importance(const struct quantization *q, const struct tensor *tensor,
                                      hearth_error *err) {
    const struct quant_recipe *recipe = q->options.choice.recipe;
    if (!quant_recipe_needs_importance(recipe, tensor->name, tensor->type)) return HEARTH_OK;
    if (!q->options.importance)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "%s is useless without importance ('%s' becomes %s): measure it with "
                         "'hearth imatrix' and pass --imatrix FILE",
                         recipe->name, tensor->name, elem_name(tensor->type));
    if (imatrix_find(q->options.importance, tensor->name)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the importance matrix says nothing about '%s', which %s needs; was it "
                     "measured on this model?",
                     tensor->name, elem_name(tensor->type));
}

static hearth_status check_tensor(const struct quantization *q, const struct tensor *in,
                                  const struct tensor *out, hearth_error *err) {
    bool merges = merge_changes(&q->merged, in->name);
    if (in->type == out->type && !merges) return HEARTH_OK;
    if (in->type != out->type && is_quantized(in->type) && !q->options.allow_requantize)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%s' is quantised already (%s); quantising twice loses quality: start "
                         "from the F16, BF16 or F32 model, or pass --allow-requantize",
                         in->name, elem_name(in->type));
    if (!quantize_supported(out->type))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "tensors of type %s cannot be made ('%s')",
                         elem_name(out->type), out->name);
    return check_importance(q, out, err);
}

static hearth_status plan_tensors(struct quantization *q, hearth_error *err) {
    size_t n = q->input.n_tensors;
    enum elem *types = mem_calloc(n + 1, sizeof *types);
    q->tensors = mem_calloc(n + 1, sizeof *q->tensors);
    hearth_status status = HEARTH_OK;
    if (!types || !q->tensors)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tensors", n);
    if (status == HEARTH_OK)
        status = quant_recipe_assign(&q->options.choice, &q->input.metadata, q->input.tensors, n,
                                     types, err);
    for (size_t i = 0; status == HEARTH_OK && i < n; i++) {
        q->tensors[i] = q->input.tensors[i];
        q->tensors[i].type = types[i];
        q->tensors[i].data = NULL;
        status = tensor_check_shape(&q->tensors[i], err);
        if (status == HEARTH_OK)
            status = check_tensor(q, &q->input.tensors[i], &q->tensors[i], err);
        q->input_bytes += q->input.tensors[i].size_bytes;
        q->output_bytes += q->tensors[i].size_bytes;
    }
    mem_free(types);
    return status;
}

static hearth_status describe(struct quantization *q, hearth_error *err) {
    struct metadata *m = &q->input.metadata;
    const struct imatrix *importance = q->options.importance;
    const char *template = q->options.chat_template;
    RETURN_IF_ERROR(quant_recipe_describe(q->options.choice.recipe, m, err));
    if (template)
        RETURN_IF_ERROR(
            metadata_set_string(m, "tokenizer.chat_template", template, strlen(template), err));
    if (!importance) return HEARTH_OK;
    const char *path = q->options.importance_path ? q->options.importance_path : "";
    RETURN_IF_ERROR(metadata_set_string(m, "quantize.imatrix.file", path, strlen(path), err));
    RETURN_IF_ERROR(metadata_set_string(m, "quantize.imatrix.dataset", importance->dataset,
                                        strlen(importance->dataset), err));
    RETURN_IF_ERROR(metadata_set_uint(m, "quantize.imatrix.entries_count", META_U32,
                                      importance->n_entries, err));
    return metadata_set_uint(m, "quantize.imatrix.chunks_count", META_U32, importance->n_chunks,
                             err);
}

/* Every tensor of an adapter must be for a weight of the model. */
static hearth_status check_adapter(const struct quantization *q, const struct adapter *adapter,
                                   hearth_error *err) {
    for (size_t i = 0; i < adapter->directory.n_tensors; i++) {
        char name[TENSOR_MAX_NAME_BYTES + 1];
        const char *full = adapter->directory.tensors[i].name, *end = strstr(full, ".lora_");
        snprintf(name, sizeof name, "%.*s", end ? (int)(end - full) : 0, full);
        if (!directory_find(&q->input, name))
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "adapter '%s' changes '%s', which the model does not have",
                             adapter->directory.path, end ? name : full);
    }
    return HEARTH_OK;
}

static hearth_status add_adapter(struct quantization *q, const struct adapter *adapter, float scale,
                                 hearth_error *err) {
    struct adapter_set *set = &q->merged;
    if (set->count == ADAPTER_SET_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d adapters", ADAPTER_SET_MAX);
    set->items[set->count].adapter = adapter;
    set->items[set->count++].scale = scale;
    return check_adapter(q, adapter, err);
}

static hearth_status open_adapters(struct quantization *q, hearth_error *err) {
    struct config config;
    const struct adapter_set *open = q->options.adapter_set;
    hearth_status status = HEARTH_OK;
    if (q->options.n_adapters > ADAPTER_SET_MAX)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d adapters", ADAPTER_SET_MAX);
    if (q->options.n_adapters > 0) {
        RETURN_IF_ERROR(config_read(&config, &q->input.metadata, err));
        for (size_t i = 0; i < q->options.n_adapters && status == HEARTH_OK; i++) {
            float scale;
            status =
                adapter_open_scaled(&q->adapters[i], &scale, q->options.adapters[i], &config, err);
            if (status == HEARTH_OK) status = add_adapter(q, &q->adapters[i], scale, err);
        }
        config_release(&config);
    }
    for (size_t i = 0; open && i < open->count && status == HEARTH_OK; i++)
        status = add_adapter(q, open->items[i].adapter, open->items[i].scale, err);
    return status;
}

/* What the input says, changed as the options say. */
static hearth_status plan(struct quantization *q, const char *path, hearth_error *err) {
    hearth_status status = open_adapters(q, err);
    if (status == HEARTH_OK) status = plan_tensors(q, err);
    if (status == HEARTH_OK) status = describe(q, err);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot quantise '%s'", path);
}

hearth_status quantization_open(struct quantization *q, const char *path,
                                const struct quantization_options *options, hearth_error *err) {
    *q = (struct quantization){.options = *options};
    q->options.choice.has_importance = options->importance != NULL;
    RETURN_IF_ERROR(gguf_open(&q->input, path, err));
    return plan(q, path, err);
}

/* A directory with metadata and a list of tensors of its own, over the bytes of another. */
static hearth_status borrow(struct directory *out, const struct directory *from,
                            hearth_error *err) {
    RETURN_IF_ERROR(directory_init(out, from->path, 1, err));
    for (size_t i = 0; i < from->metadata.count; i++)
        RETURN_IF_ERROR(metadata_add(&out->metadata, &from->metadata.values[i], err));
    RETURN_IF_ERROR(directory_reserve(out, from->n_tensors, err));
    memcpy(out->tensors, from->tensors, from->n_tensors * sizeof *out->tensors);
    out->n_tensors = from->n_tensors;
    return directory_index(out, err);
}

hearth_status quantization_open_model(struct quantization *q, const struct directory *model,
                                      const struct quantization_options *options,
                                      hearth_error *err) {
    *q = (struct quantization){.options = *options};
    q->options.choice.has_importance = options->importance != NULL;
    RETURN_IF_ERROR(borrow(&q->input, model, err));
    return plan(q, model->path, err);
}

void quantization_close(struct quantization *q) {
    mem_free(q->tensors);
    for (size_t i = 0; i < q->options.n_adapters && i < ADAPTER_SET_MAX; i++)
        adapter_close(&q->adapters[i]);
    directory_close(&q->input);
    *q = (struct quantization){0};
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Rows of one tensor, shared among the threads. */
struct piece {
    const struct kernels *kernels;
    const struct tensor *in, *out;
    const struct imatrix_entry *importance;
    struct merge merge;
    uint64_t first_row, n_rows;
    uint8_t *blocks;       /* [n_rows] of the output */
    float **rows;          /* [threads] one row of floats each */
    hearth_status *status; /* [threads] */
    hearth_error *errors;  /* [threads] */
};

/* The weights of a row's columns; with experts each matrix may have its own. */
static const float *row_importance(const struct piece *p, uint64_t row) {
    if (!p->importance) return NULL;
    uint64_t n_cols = p->in->dims[0], matrix = row / p->in->dims[1];
    return p->importance->squares + matrix * n_cols % p->importance->n_values;
}

static void quantize_share(void *context, unsigned thread, unsigned n_threads) {
    const struct piece *p = context;
    size_t n_cols = p->in->dims[0], begin, end;
    size_t in_bytes = elem_row_bytes(p->in->type, n_cols);
    size_t out_bytes = elem_row_bytes(p->out->type, n_cols);
    pool_share(p->n_rows, 1, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end && p->status[thread] == HEARTH_OK; i++) {
        uint64_t row = p->first_row + i;
        const float *values = p->rows[thread];
        p->kernels->dequantize[p->in->type](p->in->data + row * in_bytes, p->rows[thread], n_cols);
        merge_row(&p->merge, p->kernels, row, p->rows[thread]);
        p->status[thread] = quantize_rows(p->out->type, values, p->blocks + i * out_bytes, 1,
                                          n_cols, row_importance(p, row), &p->errors[thread]);
    }
}

struct conversion {
    struct quantization *q;
    struct pool *pool;
    struct piece piece;
    uint64_t done;
};

static hearth_status find_importance(struct conversion *c, hearth_error *err) {
    const struct imatrix *matrix = c->q->options.importance;
    const struct tensor *in = c->piece.in;
    const struct imatrix_entry *entry = matrix ? imatrix_find(matrix, in->name) : NULL;
    c->piece.importance = entry;
    if (!entry || entry->n_values == in->dims[0] || entry->n_values == in->dims[0] * in->dims[2])
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the importance matrix has %zu values for '%s', which has %llu columns and "
                     "%llu matrices; it was measured on another model",
                     entry->n_values, in->name, (unsigned long long)in->dims[0],
                     (unsigned long long)in->dims[2]);
}

static void report(struct conversion *c, uint64_t done) {
    c->done += done;
    if (c->q->options.progress)
        c->q->options.progress(c->q->options.progress_context, c->done, c->q->input_bytes);
}

static hearth_status check_cancelled(const struct conversion *c, hearth_error *err) {
    const atomic_bool *cancel = c->q->options.cancel;
    if (!cancel || !atomic_load(cancel)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_CANCELLED, "cancelled");
}

static hearth_status put_copy(struct conversion *c, struct tensor_writer *out, hearth_error *err) {
    const struct tensor *in = c->piece.in;
    RETURN_IF_ERROR(check_cancelled(c, err));
    RETURN_IF_ERROR(tensor_writer_put(out, in->data, in->size_bytes, err));
    report(c, in->size_bytes);
    return HEARTH_OK;
}

static hearth_status alloc_rows(struct conversion *c, uint64_t rows_at_once, hearth_error *err) {
    struct piece *p = &c->piece;
    size_t n_cols = p->in->dims[0];
    p->blocks = mem_alloc_array(rows_at_once, elem_row_bytes(p->out->type, n_cols));
    bool enough = p->blocks != NULL;
    for (unsigned i = 0; i < pool_threads(c->pool); i++) {
        p->rows[i] = mem_alloc_array(n_cols, sizeof(float));
        enough = enough && p->rows[i];
        p->status[i] = HEARTH_OK;
    }
    return enough
               ? HEARTH_OK
               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to quantise '%s'", p->in->name);
}

static void free_rows(struct conversion *c) {
    mem_free(c->piece.blocks);
    c->piece.blocks = NULL;
    for (unsigned i = 0; i < pool_threads(c->pool); i++) {
        mem_free(c->piece.rows[i]);
        c->piece.rows[i] = NULL;
    }
}

static hearth_status quantize_piece(struct conversion *c, struct tensor_writer *out,
                                    hearth_error *err) {
    struct piece *p = &c->piece;
    RETURN_IF_ERROR(check_cancelled(c, err));
    pool_run(c->pool, quantize_share, p);
    for (unsigned i = 0; i < pool_threads(c->pool); i++)
        if (p->status[i] != HEARTH_OK)
            return error_set(err, p->status[i], "tensor '%s', from row %llu on: %s", p->in->name,
                             (unsigned long long)p->first_row, p->errors[i].message);
    size_t bytes = elem_row_bytes(p->out->type, p->in->dims[0]);
    RETURN_IF_ERROR(tensor_writer_put(out, p->blocks, p->n_rows * bytes, err));
    report(c, p->n_rows * elem_row_bytes(p->in->type, p->in->dims[0]));
    return HEARTH_OK;
}

static hearth_status put_tensor(void *context, size_t i, struct tensor_writer *out,
                                hearth_error *err) {
    struct conversion *c = context;
    struct piece *p = &c->piece;
    p->in = &c->q->input.tensors[i];
    p->out = &c->q->tensors[i];
    if (p->in->type == p->out->type && !merge_changes(&c->q->merged, p->in->name))
        return put_copy(c, out, err);
    if (p->in->size_bytes == 0) return HEARTH_OK;
    RETURN_IF_ERROR(find_importance(c, err));
    uint64_t n_rows = p->in->dims[1] * p->in->dims[2] * p->in->dims[3];
    uint64_t at_once = PIECE_VALUES / p->in->dims[0] + 1;
    if (at_once > n_rows) at_once = n_rows;
    hearth_status status = merge_open(&p->merge, &c->q->merged, p->in, p->kernels, err);
    if (status == HEARTH_OK) status = alloc_rows(c, at_once, err);
    for (p->first_row = 0; status == HEARTH_OK && p->first_row < n_rows; p->first_row += at_once) {
        p->n_rows = n_rows - p->first_row < at_once ? n_rows - p->first_row : at_once;
        status = quantize_piece(c, out, err);
    }
    merge_close(&p->merge);
    free_rows(c);
    return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Parts are cut greedily, so the smallest limit that gives no more parts than the input
 * has is found by bisection. */
static size_t count_parts(const struct quantization *q, uint64_t max_part_bytes) {
    enum { PADDING = 32 };
    size_t n = 1;
    uint64_t size = 0;
    for (size_t i = 0; i < q->input.n_tensors; i++) {
        uint64_t more = (q->tensors[i].size_bytes + PADDING - 1) / PADDING * PADDING;
        if (size > 0 && size + more > max_part_bytes) {
            n++;
            size = 0;
        }
        size += more;
    }
    return n;
}

static uint64_t part_bytes(const struct quantization *q) {
    if (!q->options.keep_split || q->input.n_maps < 2) return q->options.max_part_bytes;
    uint64_t low = 0, high = 2 * q->output_bytes + 1;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        if (count_parts(q, middle) > q->input.n_maps)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static hearth_status convert(struct conversion *c, const char *path, hearth_error *err) {
    struct quantization *q = c->q;
    enum cpu_level level;
    unsigned n_threads = pool_threads(c->pool);
    RETURN_IF_ERROR(cpu_choose(&level, err));
    c->piece.kernels = kernels_for(level);
    c->piece.rows = mem_calloc(n_threads, sizeof *c->piece.rows);
    c->piece.status = mem_calloc(n_threads, sizeof *c->piece.status);
    c->piece.errors = mem_calloc(n_threads, sizeof *c->piece.errors);
    hearth_status status = HEARTH_OK;
    if (!c->piece.rows || !c->piece.status || !c->piece.errors)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to quantise");
    if (status == HEARTH_OK)
        status = gguf_write(path, &q->input.metadata, q->tensors, q->input.n_tensors, part_bytes(q),
                            put_tensor, c, err);
    mem_free(c->piece.errors);
    mem_free(c->piece.status);
    mem_free(c->piece.rows);
    return status;
}

hearth_status quantization_write(struct quantization *q, const char *path, hearth_error *err) {
    struct conversion c = {.q = q};
    RETURN_IF_ERROR(pool_open(&c.pool, q->options.n_threads, err));
    hearth_status status = convert(&c, path, err);
    pool_close(c.pool);
    return status;
}
