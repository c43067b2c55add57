/* Linear layers and embeddings on the CPU. A thread owns whole output columns;
 * activations are quantised once for all of them. Rows of prompts are left to
 * cpu_prompt.c where the level has another arithmetic for them. */
#include <string.h>

#include "device/cpu_device.h"

enum { ACT_PIECE = 256 }; /* values that a thread quantises at once: whole blocks of any format */

/* How a weight type is multiplied on this device. */
static bool has_own_dot(const struct device *device, enum elem type) {
    if (device->options.activations_f32 && device->kernels->linear_act[type] != ACT_F32)
        return false;
    return device->kernels->linear[type] != NULL;
}

enum act cpu_act_of(const struct device *device, enum elem type) {
    return has_own_dot(device, type) ? device->kernels->linear_act[type] : ACT_F32;
}

static size_t quantised_bytes(const struct device *device, const struct op *op) {
    size_t tokens = device->options.max_tokens;
    switch (op->kind) {
    case OP_EXPERT_LINEAR: tokens *= op->expert.n_used; break;
    case OP_LINEAR:
        if (cpu_act_of(device, op->w.type) == ACT_F32) return 0;
        break;
    case OP_HEAD_LINEAR:
        if (cpu_act_of(device, op->w.type) == ACT_F32) return 0;
        tokens *= op->head_linear.n_head;
        break;
    default: return 0;
    }
    return tokens * act_row_bytes(cpu_act_of(device, op->w.type), op->w.cols);
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
    case OP_HEAD_LINEAR: {
        size_t panel = (size_t)device->options.max_tokens * LINEAR_PANEL_ROWS +
                       (size_t)DEQUANT_PANEL_ROWS * op->w.cols;
        size_t prompt = prompt_scratch_floats(device);
        return panel > prompt ? panel : prompt;
    }
    case OP_EXPERT_LINEAR: {
        size_t panel = (size_t)DEQUANT_PANEL_ROWS * op->w.cols;
        size_t prompt = prompt_scratch_floats(device);
        return panel > prompt ? panel : prompt;
    }
    case OP_ROPE: return op->rope.n_rot;
    case OP_ATTENTION: return cpu_attention_scratch_floats(op);
    case OP_EXPERT_ROUTE: return (size_t)op->route.n_expert * 2 + op->route.n_group;
    case OP_CONV: return cpu_conv_scratch_floats(op);
    case OP_DELTA_NET:
    case OP_MAMBA2: return device->options.max_tokens;
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

char *cpu_quantised_rows(const struct cpu_run *run, const struct op *op) {
    return (char *)run->device->act_rows + cpu_packed_bytes(run->device, op);
}

/* Input row i belongs to row i of the batch or, where rows are places, to rows[i]; those
 * of prompts that cpu_prompt.c multiplies are left out. */
static struct act_rows quantize_input(const struct cpu_run *run, const struct op *op, size_t n_rows,
                                      const uint32_t *rows) {
    enum act act = cpu_act_of(run->device, op->w.type);
    if (act == ACT_F32)
        return (struct act_rows){view_row(run, op->in, 0), op->in.stride * sizeof(float)};
    size_t cols = op->w.cols, bytes = act_row_bytes(act, cols), begin, end;
    size_t piece = cols % ACT_PIECE ? cols : ACT_PIECE, n_pieces = cols / piece;
    bool prompts = cpu_prompt_rows(run, op) > 0;
    char *out = cpu_quantised_rows(run, op);
    pool_share(n_rows * n_pieces, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t u = begin; u < end; u++) {
        size_t i = u / n_pieces, at = u % n_pieces * piece;
        if (!prompts || !cpu_is_prompt(run, rows ? rows[i] : i))
            run->k->quantize_act[act](view_row(run, op->in, i) + at,
                                      out + i * bytes + act_row_bytes(act, at), piece);
    }
    pool_barrier(run->device->pool);
    return (struct act_rows){out, bytes};
}

static void add_panel(const struct cpu_run *run, const struct op *op, float scale, float *y,
                      const float *panel, const float *bias, size_t n) {
    if (op->linear.accumulate)
        run->k->axpy(y, scale, panel, n);
    else if (scale != 1.0f)
        run->k->scale(y, panel, scale, n);
    else
        memcpy(y, panel, n * sizeof *y);
    if (bias) run->k->add(y, y, bias, n);
}

void cpu_multiply_columns(const void *context, const struct cpu_run *run, const struct op *op,
                          size_t begin, size_t end) {
    const struct row_stretch *part = context;
    size_t rows = part->end - part->first, cols = op->w.cols;
    size_t stride = elem_row_bytes(op->w.type, cols);
    struct act_rows x = {(const char *)part->x.data + part->first * part->x.stride, part->x.stride};
    const uint8_t *w = buffer_data(run->device, op->w.buffer);
    const float *bias = weight_vector(run, &op->bias);
    float *panel = run->device->thread_scratch[run->thread];
    float *scratch = panel + rows * LINEAR_PANEL_ROWS;
    float scale = cpu_linear_scale(op, part->strength);
    if (!op->linear.accumulate && !bias && op->scale == 1.0f) {
        multiply_rows(run, op->w.type, w + begin * stride, cols, end - begin, x, rows,
                      view_row(run, op->out, part->first) + begin, op->out.stride, scratch);
        return;
    }
    for (size_t r = begin; r < end; r += LINEAR_PANEL_ROWS) {
        size_t n = end - r < LINEAR_PANEL_ROWS ? end - r : LINEAR_PANEL_ROWS;
        multiply_rows(run, op->w.type, w + r * stride, cols, n, x, rows, panel, n, scratch);
        for (size_t t = 0; t < rows; t++)
            add_panel(run, op, scale, view_row(run, op->out, part->first + t) + r, panel + t * n,
                      bias ? bias + r : NULL, n);
    }
}

/* The end of the adjacent rows from `row` on that are prompts, or are not. */
static size_t stretch_end(const struct cpu_run *run, size_t row, size_t rows, bool prompts) {
    while (row < rows && cpu_is_prompt(run, row) == prompts)
        row++;
    return row;
}

static bool same_view(struct view a, struct view b) {
    return a.buffer == b.buffer && a.offset == b.offset && a.stride == b.stride;
}

size_t cpu_linear_group(const struct device *device, const struct op *ops, size_t n_ops) {
    size_t n = 1;
    while (n < n_ops && ops[n].kind == OP_LINEAR && same_view(ops[n].in, ops->in) &&
           !ops[n].adapter && ops[n].rows == ops->rows && ops[n].row_factor == ops->row_factor &&
           ops[n].w.cols == ops->w.cols && cpu_takes_prompts(ops + n) == cpu_takes_prompts(ops) &&
           cpu_act_of(device, ops[n].w.type) == cpu_act_of(device, ops->w.type) &&
           ops[n - 1].out.buffer != ops->in.buffer)
        n++;
    return n;
}

/* Columns [begin, end) in the order of their nodes: those of all layers that lie on the first
 * node, those on the second, ... */
static void multiply_by_node(const struct cpu_run *run, const struct op *ops, size_t n_ops,
                             size_t begin, size_t end, cpu_columns multiply, const void *context) {
    const struct pool *pool = run->device->pool;
    unsigned n_nodes = pool_nodes(pool);
    size_t first = 0, home, home_end;
    for (unsigned node = 0; node < n_nodes; node++)
        for (size_t i = 0; i < n_ops && first < end; i++, first += home_end - home) {
            pool_node_share(pool, node, ops[i].w.rows, COLUMN_GRANULE, &home, &home_end);
            size_t from = begin > first ? begin - first : 0, to = end - first;
            if (to > home_end - home) to = home_end - home;
            if (from < to) multiply(context, run, &ops[i], home + from, home + to);
        }
}

/* A thread takes its own share first, which lies on its node, then helps others. */
void cpu_divide_columns(const struct cpu_run *run, const struct op *ops, size_t n_ops,
                        size_t granule, cpu_columns multiply, const void *context) {
    size_t columns = 0, begin, end;
    for (size_t i = 0; i < n_ops; i++)
        columns += ops[i].w.rows;
    while (pool_take(run->device->pool, run->thread, columns, granule, &begin, &end))
        multiply_by_node(run, ops, n_ops, begin, end, multiply, context);
}

void cpu_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    size_t rows = op_row_count(run, ops), prompts = cpu_prompt_rows(run, ops);
    if (prompts > 0) cpu_prompt_linear(run, ops, n_ops);
    if (prompts == rows) return;
    struct row_stretch part = {.x = quantize_input(run, ops, rows, NULL), .end = rows};
    if (prompts == 0) cpu_divide_columns(run, ops, n_ops, ROW_GRANULE, cpu_multiply_columns, &part);
    for (size_t row = 0; prompts > 0 && row < rows; row = part.end) {
        part.first = stretch_end(run, row, rows, true);
        part.end = stretch_end(run, part.first, rows, false);
        pool_barrier(run->device->pool); /* the division before this one is over */
        if (part.first < part.end)
            cpu_divide_columns(run, ops, n_ops, ROW_GRANULE, cpu_multiply_columns, &part);
    }
}

/* Matrix h of the weight maps head h of a row. */
void cpu_head_linear(const struct cpu_run *run, const struct op *op) {
    size_t rows = op_row_count(run, op), cols = op->w.cols, n_head = op->head_linear.n_head;
    enum act act = cpu_act_of(run->device, op->w.type);
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

/* The rows of the batch, each at the places of the experts that it goes to: quantised once,
 * copied to the others. */
static struct act_rows spread_input(const struct cpu_run *run, const struct op *op) {
    enum act act = cpu_act_of(run->device, op->w.type);
    size_t bytes = act_row_bytes(act, op->w.cols), n_used = op->expert.n_used, begin, end;
    bool prompts = cpu_prompt_rows(run, op) > 0;
    char *out = cpu_quantised_rows(run, op);
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        if (prompts && cpu_is_prompt(run, row)) continue;
        const uint32_t *place = run->device->experts.place + row * n_used;
        char *first = out + place[0] * bytes;
        run->k->quantize_act[act](view_row(run, op->in, row), first, op->w.cols);
        for (size_t j = 1; j < n_used; j++)
            memcpy(out + place[j] * bytes, first, bytes);
    }
    pool_barrier(run->device->pool);
    return (struct act_rows){out, bytes};
}

size_t cpu_expert_group(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    size_t n = 1;
    if (ops->expert.per_expert_rows || cpu_prompt_rows(run, ops) > 0) return 1;
    while (n < n_ops && ops[n].kind == OP_EXPERT_LINEAR && !ops[n].expert.per_expert_rows &&
           same_view(ops[n].in, ops->in) && ops[n].w.cols == ops->w.cols &&
           cpu_act_of(run->device, ops[n].w.type) == cpu_act_of(run->device, ops->w.type) &&
           ops[n - 1].out.buffer != ops->in.buffer)
        n++;
    return n;
}

/* Columns [begin, end) of expert e for the `count` places from `first` on. */
static void multiply_expert(const struct cpu_run *run, const struct op *op, struct act_rows x,
                            size_t e, size_t first, size_t count, size_t begin, size_t end) {
    const uint8_t *w = buffer_data(run->device, op->w.buffer);
    const float *bias = weight_vector(run, &op->bias);
    size_t stride = elem_row_bytes(op->w.type, op->w.cols);
    size_t panel = count > 1 ? LINEAR_PANEL_ROWS : end - begin;
    x.data = (const char *)x.data + first * x.stride;
    for (size_t r = begin; r < end; r += panel)
        multiply_rows(run, op->w.type, w + (e * op->w.rows + r) * stride, op->w.cols,
                      end - r < panel ? end - r : panel, x, count,
                      view_row(run, op->out, first) + r, op->out.stride,
                      run->device->thread_scratch[run->thread]);
    for (size_t i = first; bias && i < first + count; i++) {
        float *y = view_row(run, op->out, i) + begin;
        run->k->add(y, y, bias + e * op->w.rows + begin, end - begin);
    }
}

/* What is divided: the columns of the experts in use, one expert after the other. */
struct expert_places {
    struct act_rows x;
    bool prompts; /* there are some; they are left out */
};

static size_t places_of(const struct cpu_run *run, const struct expert_places *places, size_t e,
                        size_t *first) {
    const uint32_t *offsets = run->device->experts.offsets;
    *first = offsets[2 * e + places->prompts];
    return offsets[2 * e + 2] - *first;
}

/* Columns [begin, end) of those of all `ops`. */
static void multiply_experts(const struct cpu_run *run, const struct op *ops, size_t n_ops,
                             const struct expert_places *places, size_t begin, size_t end) {
    size_t at = 0, first;
    for (const struct op *op = ops; op < ops + n_ops; op++)
        for (size_t e = 0; at < end && e < op->w.n_experts; e++) {
            size_t count = places_of(run, places, e, &first);
            if (count == 0) continue;
            size_t from = begin > at ? begin - at : 0, to = end - at;
            if (to > op->w.rows) to = op->w.rows;
            if (from < to) multiply_expert(run, op, places->x, e, first, count, from, to);
            at += op->w.rows;
        }
}

void cpu_expert_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    size_t rows = run->batch->n_rows, prompts = cpu_prompt_rows(run, ops), columns = 0, begin, end;
    if (prompts > 0) cpu_prompt_expert_linear(run, ops);
    if (prompts == rows) return;
    struct expert_places places = {.prompts = prompts > 0};
    places.x = ops->expert.per_expert_rows
                   ? quantize_input(run, ops, rows * ops->expert.n_used, run->device->experts.row)
                   : spread_input(run, ops);
    for (size_t i = 0; i < n_ops; i++)
        for (size_t e = 0; e < ops[i].w.n_experts; e++)
            if (places_of(run, &places, e, &begin) > 0) columns += ops[i].w.rows;
    while (pool_take(run->device->pool, run->thread, columns, ROW_GRANULE, &begin, &end))
        multiply_experts(run, ops, n_ops, &places, begin, end);
}
