/* Linear layers and embeddings on the CPU. A thread owns whole output columns;
 * activations are quantised once for all of them. Rows of prompts are left to
 * cpu_prompt.c where the level has another arithmetic for them. */
#include <string.h>

#include "device/cpu_device.h"

enum { ROW_GRANULE = 16 };

/* How a weight type is multiplied on this device. */
static bool has_own_dot(const struct device *device, enum elem type) {
    if (device->options.activations_f32 && device->kernels->linear_act[type] != ACT_F32)
        return false;
    return device->kernels->linear[type] != NULL;
}

static enum act act_of(const struct device *device, enum elem type) {
    return has_own_dot(device, type) ? device->kernels->linear_act[type] : ACT_F32;
}

static size_t quantised_bytes(const struct device *device, const struct op *op) {
    size_t tokens = device->options.max_tokens;
    switch (op->kind) {
    case OP_EXPERT_LINEAR: tokens *= op->expert.n_used; break;
    case OP_LINEAR:
        if (act_of(device, op->w.type) == ACT_F32) return 0;
        break;
    case OP_HEAD_LINEAR:
        if (act_of(device, op->w.type) == ACT_F32) return 0;
        tokens *= op->head_linear.n_head;
        break;
    default: return 0;
    }
    return tokens * act_row_bytes(act_of(device, op->w.type), op->w.cols);
}

size_t cpu_act_rows_bytes(const struct device *device, const struct op *op) {
    return cpu_packed_bytes(device, op) + quantised_bytes(device, op);
}

static size_t prompt_scratch_floats(const struct device *device) {
    return cpu_has_prompts(device) ? device->kernels->prompt->scratch_bytes / sizeof(float) : 0;
}

size_t cpu_thread_scratch_floats(const struct device *device, const struct op *op) {
    switch (op->kind) {
    case OP_EMBED: return op->w.cols;
    case OP_LINEAR:
    case OP_EXPERT_LINEAR:
    case OP_HEAD_LINEAR: {
        size_t tokens = device->options.max_tokens;
        if (op->kind == OP_EXPERT_LINEAR) tokens *= op->expert.n_used;
        size_t panel = tokens * LINEAR_PANEL_ROWS + (size_t)DEQUANT_PANEL_ROWS * op->w.cols;
        size_t prompt = prompt_scratch_floats(device);
        return panel > prompt ? panel : prompt;
    }
    case OP_ROPE: return op->rope.n_rot;
    case OP_KV_WRITE:
    case OP_ATTENTION: {
        const struct kv_layout *layout = &op->attention.layout;
        size_t n_rep = op->attention.n_head / layout->n_head_kv;
        return (size_t)layout->page_tokens * (layout->d_k + layout->d_v + n_rep) + 2 * n_rep;
    }
    case OP_EXPERT_ROUTE: return (size_t)op->route.n_expert * 2 + op->route.n_group;
    case OP_DELTA_NET: return op->delta.d_v;
    default: return 0;
    }
}

void cpu_embed(const struct cpu_run *run, const struct op *op) {
    const uint8_t *table = buffer_data(run->device, op->w.buffer);
    size_t stride = elem_row_bytes(op->w.type, op->w.cols), begin, end;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        size_t index = op->embed.index == EMBED_POSITION
                           ? run->batch->positions[row] + op->embed.offset
                           : (size_t)run->batch->tokens[row];
        if (index >= op->w.rows) index = op->w.rows - 1; /* ids are checked by the caller */
        float *y = view_row(run, op->out, row);
        run->k->dequantize[op->w.type](table + index * stride, y, op->w.cols);
        if (op->scale != 1.0f) run->k->scale(y, y, op->scale, op->w.cols);
    }
}

/* Rows of activations in the format a weight type wants. */
struct act_rows {
    const void *data;
    size_t stride;
};

/* One matrix: weight rows [first, first + n) against n_tokens rows of x into
 * y[t * y_stride + r], through dequantised rows where the type has no own dot. */
static void multiply_rows(const struct cpu_run *run, enum elem type, const uint8_t *w, size_t cols,
                          size_t n, struct act_rows x, size_t n_tokens, float *y, size_t y_stride,
                          float *scratch) {
    size_t stride = elem_row_bytes(type, cols);
    if (has_own_dot(run->device, type)) {
        run->k->linear[type](cols, w, stride, n, x.data, x.stride, n_tokens, y, y_stride);
        return;
    }
    for (size_t r = 0; r < n; r += DEQUANT_PANEL_ROWS) {
        size_t count = n - r < DEQUANT_PANEL_ROWS ? n - r : DEQUANT_PANEL_ROWS;
        for (size_t i = 0; i < count; i++)
            run->k->dequantize[type](w + (r + i) * stride, scratch + i * cols, cols);
        run->k->linear[ELEM_F32](cols, scratch, cols * sizeof(float), count, x.data, x.stride,
                                 n_tokens, y + r, y_stride);
    }
}

/* Where quantised activations go: after the packed rows of prompts. */
static char *quantised_rows(const struct cpu_run *run, const struct op *op) {
    return (char *)run->device->act_rows + cpu_packed_bytes(run->device, op);
}

static struct act_rows quantize_input(const struct cpu_run *run, const struct op *op, size_t rows) {
    enum act act = act_of(run->device, op->w.type);
    if (act == ACT_F32)
        return (struct act_rows){view_row(run, op->in, 0), op->in.stride * sizeof(float)};
    size_t bytes = act_row_bytes(act, op->w.cols), begin, end;
    bool prompts = cpu_prompt_rows(run, op) > 0;
    char *out = quantised_rows(run, op);
    pool_share(rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++)
        if (!prompts || !cpu_is_prompt(run, row))
            run->k->quantize_act[act](view_row(run, op->in, row), out + row * bytes, op->w.cols);
    pool_barrier(run->device->pool);
    return (struct act_rows){out, bytes};
}

static void add_panel(const struct cpu_run *run, const struct op *op, float *y, const float *panel,
                      const float *bias, size_t n) {
    if (op->linear.accumulate)
        run->k->axpy(y, op->scale, panel, n);
    else if (op->scale != 1.0f)
        run->k->scale(y, panel, op->scale, n);
    else
        memcpy(y, panel, n * sizeof *y);
    if (bias) run->k->add(y, y, bias, n);
}

/* Weight rows [r, r + n) against batch rows [first, end). */
static void multiply_panel(const struct cpu_run *run, const struct op *op, size_t r, size_t n,
                           struct act_rows x, size_t first, size_t end) {
    size_t rows = end - first, cols = op->w.cols;
    const uint8_t *w = buffer_data(run->device, op->w.buffer);
    const float *bias = weight_vector(run, &op->bias);
    float *panel = run->device->thread_scratch[run->thread];
    float *scratch = panel + rows * LINEAR_PANEL_ROWS;
    w += r * elem_row_bytes(op->w.type, cols);
    x.data = (const char *)x.data + first * x.stride;
    if (!op->linear.accumulate && !bias && op->scale == 1.0f) {
        multiply_rows(run, op->w.type, w, cols, n, x, rows, view_row(run, op->out, first) + r,
                      op->out.stride, scratch);
        return;
    }
    multiply_rows(run, op->w.type, w, cols, n, x, rows, panel, n, scratch);
    for (size_t t = 0; t < rows; t++)
        add_panel(run, op, view_row(run, op->out, first + t) + r, panel + t * n,
                  bias ? bias + r : NULL, n);
}

/* The end of the adjacent rows from `row` on that are prompts, or are not. */
static size_t stretch_end(const struct cpu_run *run, size_t row, size_t rows, bool prompts) {
    while (row < rows && cpu_is_prompt(run, row) == prompts)
        row++;
    return row;
}

void cpu_linear(const struct cpu_run *run, const struct op *op) {
    size_t rows = op_row_count(run, op), prompts = cpu_prompt_rows(run, op), begin, end;
    if (prompts > 0) cpu_prompt_linear(run, op);
    if (prompts == rows) return;
    struct act_rows x = quantize_input(run, op, rows);
    pool_share(op->w.rows, ROW_GRANULE, run->thread, run->n_threads, &begin, &end);
    for (size_t r = begin; r < end; r += LINEAR_PANEL_ROWS) {
        size_t n = end - r < LINEAR_PANEL_ROWS ? end - r : LINEAR_PANEL_ROWS;
        if (prompts == 0) multiply_panel(run, op, r, n, x, 0, rows);
        for (size_t row = 0; prompts > 0 && row < rows;) {
            size_t first = stretch_end(run, row, rows, true);
            row = stretch_end(run, first, rows, false);
            if (first < row) multiply_panel(run, op, r, n, x, first, row);
        }
    }
}

/* Matrix h of the weight maps head h of a row. */
void cpu_head_linear(const struct cpu_run *run, const struct op *op) {
    size_t rows = op_row_count(run, op), cols = op->w.cols, n_head = op->head_linear.n_head;
    enum act act = act_of(run->device, op->w.type);
    const uint8_t *w = buffer_data(run->device, op->w.buffer);
    size_t matrix_bytes = elem_row_bytes(op->w.type, cols) * op->w.rows;
    size_t act_bytes = act_row_bytes(act, cols);
    float *scratch = run->device->thread_scratch[run->thread] + rows * LINEAR_PANEL_ROWS;
    for (size_t h = run->thread; h < n_head; h += run->n_threads) {
        const float *in = view_row(run, op->in, 0) + h * op->head_linear.in_stride;
        struct act_rows x = {in, op->in.stride * sizeof(float)};
        if (act != ACT_F32) {
            char *out = (char *)run->device->act_rows + h * rows * act_bytes;
            for (size_t t = 0; t < rows; t++)
                run->k->quantize_act[act](in + t * op->in.stride, out + t * act_bytes, cols);
            x = (struct act_rows){out, act_bytes};
        }
        multiply_rows(run, op->w.type, w + h * matrix_bytes, cols, op->w.rows, x, rows,
                      view_row(run, op->out, 0) + h * op->head_linear.out_stride, op->out.stride,
                      scratch);
    }
}

/* Activations in the order of `sorted`, so that the rows of an expert are adjacent, but
 * not those that cpu_prompt.c multiplies. */
static struct act_rows gather_pairs(const struct cpu_run *run, const struct op *op, size_t pairs) {
    bool prompts = cpu_prompt_rows(run, op) > 0;
    enum act act = act_of(run->device, op->w.type);
    size_t bytes = act_row_bytes(act, op->w.cols), begin, end;
    char *out = quantised_rows(run, op);
    pool_share(pairs, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t pair = run->device->experts.sorted[i];
        size_t row = op->expert.per_expert_rows ? pair : pair / op->expert.n_used;
        if (prompts && cpu_is_prompt(run, pair / op->expert.n_used)) continue;
        run->k->quantize_act[act](view_row(run, op->in, row), out + i * bytes, op->w.cols);
    }
    pool_barrier(run->device->pool);
    return (struct act_rows){out, bytes};
}

void cpu_expert_linear(const struct cpu_run *run, const struct op *op) {
    const struct cpu_experts *experts = &run->device->experts;
    size_t pairs = (size_t)run->batch->n_rows * op->expert.n_used, cols = op->w.cols, begin, end;
    size_t prompts = cpu_prompt_rows(run, op);
    if (prompts > 0) cpu_prompt_expert_linear(run, op);
    if (prompts == run->batch->n_rows) return;
    struct act_rows x = gather_pairs(run, op, pairs);
    const uint8_t *w = buffer_data(run->device, op->w.buffer);
    const float *bias = weight_vector(run, &op->bias);
    size_t stride = elem_row_bytes(op->w.type, cols);
    float *panel = run->device->thread_scratch[run->thread];
    float *scratch = panel + pairs * LINEAR_PANEL_ROWS;
    pool_share(op->w.rows, ROW_GRANULE, run->thread, run->n_threads, &begin, &end);
    for (uint32_t e = 0; e < op->w.n_experts; e++) {
        size_t first = experts->offsets[2 * e + (prompts > 0)];
        size_t count = experts->offsets[2 * e + 2] - first;
        struct act_rows mine = {(const char *)x.data + first * x.stride, x.stride};
        for (size_t r = begin; count > 0 && r < end; r += LINEAR_PANEL_ROWS) {
            size_t n = end - r < LINEAR_PANEL_ROWS ? end - r : LINEAR_PANEL_ROWS;
            multiply_rows(run, op->w.type, w + ((size_t)e * op->w.rows + r) * stride, cols, n, mine,
                          count, panel, n, scratch);
            for (size_t i = 0; i < count; i++) {
                float *y = view_row(run, op->out, experts->sorted[first + i]) + r;
                memcpy(y, panel + i * n, n * sizeof *y);
                if (bias) run->k->add(y, y, bias + (size_t)e * op->w.rows + r, n);
            }
        }
    }
}
