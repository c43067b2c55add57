#include "model/lower.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/kernels.h"

enum { TENSOR_NAME_BYTES = 320 };

void lower_fail(struct lowering *l, hearth_status code, const char *format, ...) {
    if (l->status != HEARTH_OK) return;
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    l->status = error_set(l->err, code, "%s", message);
}

struct view lower_scratch(struct lowering *l, enum scratch which, uint32_t width) {
    if (width > l->widths[which]) l->widths[which] = width;
    return (struct view){l->scratch[which], 0, width};
}

struct view view_columns(struct view view, uint32_t first) {
    view.offset += first;
    return view;
}

static void append(struct lowering *l, struct plan *plan, const struct op *op) {
    if (l->status != HEARTH_OK) return;
    struct op placed = *op;
    placed.rows = l->rows;
    placed.layer = l->layer;
    l->status = plan_append(plan, &placed, l->err);
}

static bool same_view(struct view a, struct view b) {
    return a.buffer == b.buffer && a.offset == b.offset && a.stride == b.stride;
}

/* Layers with the same input stay neighbours, which devices carry out together. */
static bool goes_before_late(const struct lowering *l, const struct op *op) {
    return op->kind == OP_LINEAR && !op->adapter && same_view(op->in, l->late.ops[0].in);
}

void lower_emit(struct lowering *l, const struct op *op) {
    if (l->late.n_ops > 0 && !goes_before_late(l, op)) lower_late(l);
    if (!l->measuring) append(l, l->plan, op);
}

static void tensor_name(char *out, uint32_t layer, const char *stem, const char *suffix) {
    const char *dot = *suffix ? "." : "";
    if (layer == OUTSIDE_LAYERS)
        snprintf(out, TENSOR_NAME_BYTES, "%s%s%s", stem, dot, suffix);
    else
        snprintf(out, TENSOR_NAME_BYTES, "blk.%u.%s%s%s", layer, stem, dot, suffix);
}

static device_buffer import(struct lowering *l, const struct tensor *tensor) {
    device_buffer *slot = &l->weights[tensor - l->model->directory.tensors];
    if (*slot == 0 && l->status == HEARTH_OK)
        l->status = device_import(l->device, tensor->data, tensor->size_bytes, slot, l->err);
    return *slot;
}

/* Convolution kernels and vectors may carry dimensions of 1; they are squeezed. */
static void squeeze(const struct tensor *tensor, uint64_t dims[TENSOR_MAX_DIMS]) {
    unsigned n = 0;
    for (unsigned i = 0; i < TENSOR_MAX_DIMS; i++)
        if (tensor->dims[i] != 1) dims[n++] = tensor->dims[i];
    while (n < TENSOR_MAX_DIMS)
        dims[n++] = 1;
}

static bool shape_agrees(const struct tensor *tensor, uint64_t cols, uint64_t rows,
                         uint64_t n_experts) {
    if (tensor->dims[0] == cols && (rows == 0 || tensor->dims[1] == rows) &&
        tensor->dims[2] == (n_experts ? n_experts : 1) && tensor->dims[3] == 1)
        return true;
    uint64_t dims[TENSOR_MAX_DIMS];
    squeeze(tensor, dims);
    return n_experts == 0 && rows != 0 && dims[0] * dims[1] == cols * rows &&
           (rows == 1 || cols == 1 || dims[0] == cols) && dims[2] == 1;
}

/* Whether operations can read a weight of this type: integers only carry data. */
static bool holds_weights(enum elem type) {
    return kernels_for(CPU_SCALAR)->dequantize[type] != NULL;
}

struct weight lower_find(struct lowering *l, uint32_t layer, const char *stem, const char *suffix,
                         uint32_t cols, uint32_t rows, uint32_t n_experts) {
    char name[TENSOR_NAME_BYTES];
    tensor_name(name, layer, stem, suffix);
    const struct tensor *tensor = directory_find(&l->model->directory, name);
    if (!tensor || l->status != HEARTH_OK) return (struct weight){0};
    if (!shape_agrees(tensor, cols, rows, n_experts) || tensor->dims[1] > CONFIG_MAX_WIDTH * 4) {
        lower_fail(l, HEARTH_ERROR_FORMAT,
                   "tensor '%s' has shape [%llu, %llu, %llu]; [%u, %u, %u] was expected", name,
                   (unsigned long long)tensor->dims[0], (unsigned long long)tensor->dims[1],
                   (unsigned long long)tensor->dims[2], cols, rows, n_experts ? n_experts : 1);
        return (struct weight){0};
    }
    if (!holds_weights(tensor->type) || tensor->dtype != DTYPE_ELEM ||
        cols % elem_table[tensor->type].block_values != 0) {
        lower_fail(l, HEARTH_ERROR_UNSUPPORTED,
                   "tensor '%s' is %s, which rows of %u weights cannot be", name,
                   tensor_type_name(tensor), cols);
        return (struct weight){0};
    }
    return (struct weight){.buffer = import(l, tensor),
                           .type = tensor->type,
                           .cols = cols,
                           .rows = rows ? rows : (uint32_t)tensor->dims[1],
                           .n_experts = n_experts ? n_experts : 1};
}

static void fail_missing(struct lowering *l, uint32_t layer, const char *stem, const char *suffix) {
    char name[TENSOR_NAME_BYTES];
    tensor_name(name, layer, stem, suffix);
    lower_fail(l, HEARTH_ERROR_FORMAT,
               "tensor '%s' is missing, which every '%s' model has; the file is incomplete or was "
               "converted wrongly",
               name, l->config->family);
}

struct weight lower_need(struct lowering *l, uint32_t layer, const char *stem, const char *suffix,
                         uint32_t cols, uint32_t rows, uint32_t n_experts) {
    struct weight w = lower_find(l, layer, stem, suffix, cols, rows, n_experts);
    if (!w.buffer) fail_missing(l, layer, stem, suffix);
    return w;
}

struct weight lower_floats(struct lowering *l, uint32_t layer, const char *stem, const char *suffix,
                           uint32_t cols, uint32_t rows, bool needed) {
    struct weight w = lower_find(l, layer, stem, suffix, cols, rows, 0);
    if (!w.buffer && needed) fail_missing(l, layer, stem, suffix);
    if (w.buffer && w.type != ELEM_F32) {
        char name[TENSOR_NAME_BYTES];
        tensor_name(name, layer, stem, suffix);
        lower_fail(l, HEARTH_ERROR_UNSUPPORTED, "tensor '%s' is %s; f32 was expected", name,
                   elem_name(w.type));
    }
    return w;
}

bool lower_has(const struct lowering *l, uint32_t layer, const char *stem) {
    char name[TENSOR_NAME_BYTES];
    tensor_name(name, layer, stem, "weight");
    return directory_find(&l->model->directory, name) != NULL;
}

/* ---- adapters ------------------------------------------------------------------------ */

/* One adapter's part in a linear layer [rows][cols]. */
struct low_rank {
    struct adapter_part part;
    struct weight a, b;
    uint32_t adapter; /* op.adapter */
    float scale;      /* of B A, as strongly as the adapter was loaded */
};

static device_buffer import_part(struct lowering *l, const struct tensor *tensor) {
    device_buffer buffer = 0;
    if (!l->measuring && l->status == HEARTH_OK)
        l->status = device_import(l->device, tensor->data, tensor->size_bytes, &buffer, l->err);
    return buffer;
}

/* What the i-th adapter has for a weight; false when that is nothing. */
static bool find_low_rank(struct lowering *l, size_t i, const char *weight_name, uint32_t cols,
                          uint32_t rows, struct low_rank *out) {
    const struct adapter *adapter = l->adapters[i].adapter;
    struct adapter_part part;
    if (!adapter_find(adapter, weight_name, &part)) return false;
    uint32_t rank = (uint32_t)part.a->dims[1];
    if (part.a->dims[0] != cols || part.b->dims[1] != rows || rank == 0) {
        lower_fail(l, HEARTH_ERROR_FORMAT,
                   "adapter tensor '%s' maps %llu to %llu values; the model's weight maps %u to %u",
                   part.b->name, (unsigned long long)part.a->dims[0],
                   (unsigned long long)part.b->dims[1], cols, rows);
        return false;
    }
    *out = (struct low_rank){.part = part,
                             .a = {import_part(l, part.a), part.a->type, cols, rank, 1},
                             .b = {import_part(l, part.b), part.b->type, rank, rows, 1},
                             .adapter = (uint32_t)i + 1,
                             .scale = l->adapters[i].scale * adapter->alpha / (float)rank};
    return true;
}

/* out += scale * B (A in), in two steps: what is between them has no place yet. */
struct low_rank_ops {
    struct op down, up;
};

static struct low_rank_ops low_rank_ops(const struct low_rank *r, struct view in, struct view out) {
    return (struct low_rank_ops){
        .down = {.kind = OP_LINEAR, .adapter = r->adapter, .in = in, .w = r->a, .scale = 1.0f},
        .up = {.kind = OP_LINEAR,
               .adapter = r->adapter,
               .out = out,
               .w = r->b,
               .scale = r->scale,
               .linear.accumulate = true}};
}

static void lower_low_rank(struct lowering *l, const struct low_rank *r, struct view in,
                           struct view out) {
    struct low_rank_ops ops = low_rank_ops(r, in, out);
    ops.down.out = ops.up.in = lower_scratch(l, SCRATCH_LORA, r->a.rows);
    lower_emit(l, &ops.down);
    lower_emit(l, &ops.up);
}

static void put_off_low_rank(struct lowering *l, const struct low_rank *r, struct view in,
                             struct view out) {
    struct low_rank_ops ops = low_rank_ops(r, in, out);
    append(l, &l->late, &ops.down);
    append(l, &l->late, &ops.up);
}

/* Of one adapter the first steps for all layers, beside each other, then the second ones. */
static void lower_late_adapter(struct lowering *l, const struct plan *late, uint32_t adapter) {
    uint32_t width = 0, at = 0;
    for (size_t i = 0; i < late->n_ops; i += 2)
        if (late->ops[i].adapter == adapter) width += late->ops[i].w.rows;
    struct view between = lower_scratch(l, SCRATCH_LORA, width);
    for (size_t i = 0; i < late->n_ops; i += 2) {
        struct op *down = &late->ops[i], *up = down + 1;
        if (down->adapter != adapter) continue;
        down->out = up->in = view_columns(between, at);
        at += down->w.rows;
        lower_emit(l, down);
    }
    for (size_t i = 1; i < late->n_ops; i += 2)
        if (late->ops[i].adapter == adapter) lower_emit(l, &late->ops[i]);
}

void lower_late(struct lowering *l) {
    struct plan late = l->late;
    plan_init(&l->late);
    for (uint32_t a = 1; late.n_ops > 0 && a <= l->n_adapters; a++)
        lower_late_adapter(l, &late, a);
    plan_release(&late);
}

/* The buffer of the inverse norms of w + scale B A, which may be in the list already. */
static device_buffer inverse_norms(struct lowering *l, const struct low_rank *r,
                                   const struct weight *w) {
    struct row_norm norm = {
        .w = *w, .a = r->a.buffer, .b = r->b.buffer, .rank = r->a.rows, .scale = r->scale};
    for (size_t i = 0; i < l->norms->count; i++) {
        const struct row_norm *known = &l->norms->norms[i];
        if (known->w.buffer == w->buffer && known->b == norm.b && known->scale == norm.scale)
            return known->inverse;
    }
    struct row_norm *grown = mem_realloc_array(l->norms->norms, l->norms->count + 1, sizeof *grown);
    if (!grown) {
        lower_fail(l, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
        return 0;
    }
    l->norms->norms = grown;
    l->status = device_alloc(l->device, w->rows * sizeof(float), &norm.inverse, l->err);
    if (l->status == HEARTH_OK) grown[l->norms->count++] = norm;
    return norm.inverse;
}

static void lower_row_scale(struct lowering *l, uint32_t adapter, struct view x,
                            device_buffer vector, uint32_t width) {
    lower_emit(l, &(struct op){.kind = OP_MUL_ROW,
                               .adapter = adapter,
                               .in = x,
                               .out = x,
                               .w = {vector, ELEM_F32, width, 1, 1},
                               .width = width});
}

/* Of a decomposed adapter: its magnitudes times what the layer and its matrices give, divided by
 * the lengths of their rows. */
static void lower_decomposed(struct lowering *l, const struct low_rank *r, const struct op *op) {
    lower_low_rank(l, r, op->in, op->out);
    if (l->measuring || l->status != HEARTH_OK) return;
    lower_row_scale(l, r->adapter, op->out, inverse_norms(l, r, &op->w), op->w.rows);
    lower_row_scale(l, r->adapter, op->out, import_part(l, r->part.magnitude), op->w.rows);
}

/* The layer with those adapters that change the weight itself; the bias is not part of that. */
static void lower_with_decomposed(struct lowering *l, const struct low_rank *parts, size_t n,
                                  const struct op *op) {
    struct op product = *op;
    struct op bias = {
        .kind = OP_ADD_ROW, .in = op->out, .out = op->out, .w = op->bias, .width = op->w.rows};
    product.bias = (struct weight){0};
    lower_late(l);
    lower_emit(l, &product);
    for (size_t i = 0; i < n; i++)
        if (parts[i].part.magnitude) lower_decomposed(l, &parts[i], op);
    if (bias.w.buffer) lower_emit(l, &bias);
}

/* The layer, and what the adapters that have this weight do to it for the rows that use them: a
 * decomposed one changes the weight itself, the others add to what comes out. */
static void lower_adapted(struct lowering *l, const char *stem, const struct op *op) {
    struct low_rank parts[ADAPTER_LOADED_MAX];
    size_t n = 0, n_decomposed = 0;
    char name[TENSOR_NAME_BYTES];
    tensor_name(name, l->layer, stem, "weight");
    for (size_t i = 0; i < l->n_adapters; i++) {
        if (!find_low_rank(l, i, name, op->w.cols, op->w.rows, &parts[n])) continue;
        n_decomposed += parts[n++].part.magnitude != NULL;
    }
    if (n_decomposed > 0)
        lower_with_decomposed(l, parts, n, op);
    else
        lower_emit(l, op);
    for (size_t i = 0; i < n; i++)
        if (!parts[i].part.magnitude) put_off_low_rank(l, &parts[i], op->in, op->out);
}

uint32_t lower_linear(struct lowering *l, const char *stem, struct view in, uint32_t cols,
                      struct view out, uint32_t rows) {
    struct op op = {.kind = OP_LINEAR, .in = in, .out = out, .scale = 1.0f};
    if (rows == 0 || cols == 0)
        lower_fail(l, HEARTH_ERROR_FORMAT, "'blk.%u.%s' would map %u values to %u", l->layer, stem,
                   cols, rows);
    op.w = lower_need(l, l->layer, stem, "weight", cols, rows, 0);
    op.bias = lower_vector(l, l->layer, stem, "bias", op.w.rows, false);
    lower_adapted(l, stem, &op);
    return op.w.rows;
}

struct view lower_norm(struct lowering *l, uint32_t layer, const char *stem, struct view in,
                       struct view out, uint32_t width, uint32_t n_groups) {
    if (!stem) return in;
    struct op op = {.kind = OP_NORM,
                    .in = in,
                    .out = out,
                    .width = width,
                    .norm = {l->config->norm, n_groups, l->config->norm_eps}};
    if (*stem) {
        op.w = lower_vector(l, layer, stem, "weight", width, true);
        op.bias = lower_vector(l, layer, stem, "bias", width, false);
    }
    lower_emit(l, &op);
    return out;
}

void lower_simple(struct lowering *l, enum op_kind kind, struct view in, struct view in2,
                  struct view out, uint32_t width, float scale, enum activation activation) {
    lower_emit(l, &(struct op){.kind = kind,
                               .in = in,
                               .in2 = in2,
                               .out = out,
                               .width = width,
                               .scale = scale,
                               .activation = activation});
}

void lower_rope(struct lowering *l, struct view x, uint32_t n_head, uint32_t head_dim) {
    const struct config *config = l->config;
    bool local = config->layers[l->layer].local_rope;
    const struct rope_config *rope = local ? &config->rope_local : &config->rope;
    if (rope->n_rot > head_dim)
        lower_fail(l, HEARTH_ERROR_FORMAT, "%u rotary dimensions in heads of %u", rope->n_rot,
                   head_dim);
    if (rope->n_rot == 0) return;
    lower_emit(l, &(struct op){.kind = OP_ROPE,
                               .in = x,
                               .out = x,
                               .rope = {.n_head = n_head,
                                        .head_dim = head_dim,
                                        .n_rot = rope->n_rot,
                                        .neox = config->rope_neox,
                                        .magnitude = l->rope_magnitude[local],
                                        .inverse_frequency = l->rope[local]}});
}

void lower_copy(struct lowering *l, struct view in, uint32_t in_stride, struct view out,
                uint32_t out_stride, uint32_t width, uint32_t n_groups) {
    lower_emit(l, &(struct op){.kind = OP_COPY,
                               .in = in,
                               .out = out,
                               .width = width,
                               .copy = {n_groups, in_stride, out_stride}});
}
