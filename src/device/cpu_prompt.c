/* Linear layers over the rows of prompts, at levels with a matrix unit: all such rows of
 * the batch, wherever they are in it, are packed once and multiplied together; the rest
 * are computed as everywhere (cpu_linear.c). So are F32 weights: whoever keeps them in a
 * file, whole or where a small change decides much (routers), wants them exact. */
#include "device/cpu_device.h"

bool cpu_has_prompts(const struct device *device) {
    return device->kernels->prompt && !device->options.activations_f32;
}

bool cpu_is_prompt(const struct cpu_run *run, size_t row) {
    return cpu_has_prompts(run->device) && run->batch->runs[run->batch->row_run[row]].prompt;
}

void cpu_list_prompts(struct device *device, const struct batch *batch) {
    device->n_prompt_rows = 0;
    if (!cpu_has_prompts(device)) return;
    for (uint32_t row = 0; row < batch->n_rows; row++)
        if (batch->runs[batch->row_run[row]].prompt)
            device->prompt_rows[device->n_prompt_rows++] = row;
}

bool cpu_takes_prompts(const struct op *op) {
    return op->rows == ROWS_ALL && op->row_factor <= 1 && op->w.type != ELEM_F32;
}

size_t cpu_prompt_rows(const struct cpu_run *run, const struct op *op) {
    return cpu_takes_prompts(op) ? run->device->n_prompt_rows : 0;
}

size_t cpu_packed_bytes(const struct device *device, const struct op *op) {
    size_t rows = device->options.max_tokens;
    if (!cpu_has_prompts(device) || !cpu_takes_prompts(op)) return 0;
    if (op->kind == OP_EXPERT_LINEAR) /* each expert's rows begin a tile */
        rows = rows * op->expert.n_used + (size_t)op->w.n_experts * (PROMPT_TILE_ROWS - 1);
    else if (op->kind != OP_LINEAR)
        return 0;
    return device->kernels->prompt->packed_bytes(op->w.cols, rows);
}

/* Rows of the input that are packed together: rows[i], or first + i where rows is NULL. */
struct packing {
    const uint32_t *rows;
    size_t first, n_rows;
    char *packed;
    float strength; /* of an adapter */
};

static size_t tiles_of(size_t n_rows) {
    return (n_rows + PROMPT_TILE_ROWS - 1) / PROMPT_TILE_ROWS;
}

static void pack_tile(const struct cpu_run *run, const struct op *op, const struct packing *p,
                      size_t tile) {
    const float *rows[PROMPT_TILE_ROWS];
    size_t first = tile * PROMPT_TILE_ROWS, left = p->n_rows - first;
    size_t n = left < PROMPT_TILE_ROWS ? left : PROMPT_TILE_ROWS;
    for (size_t i = 0; i < n; i++)
        rows[i] = view_row(run, op->in, p->rows ? p->rows[first + i] : p->first + first + i);
    run->k->prompt->pack(op->w.cols, rows, n, tile, p->n_rows, p->packed);
}

/* The product that is common to all parts of an operation; w, x, y and what goes with
 * them are still to be said. */
static struct prompt_product product_of(const struct cpu_run *run, const struct op *op,
                                        size_t n_rows) {
    return (struct prompt_product){.type = op->w.type,
                                   .n = op->w.cols,
                                   .w_stride = elem_row_bytes(op->w.type, op->w.cols),
                                   .n_rows = n_rows,
                                   .y_stride = op->out.stride,
                                   .scale = 1,
                                   .scratch = run->device->thread_scratch[run->thread]};
}

static void multiply_columns(const void *context, const struct cpu_run *run, const struct op *op,
                             size_t begin, size_t end) {
    const struct packing *p = context;
    const float *bias = weight_vector(run, &op->bias);
    struct prompt_product product = product_of(run, op, end - begin);
    product.w = (const char *)buffer_data(run->device, op->w.buffer) + begin * product.w_stride;
    product.x = p->packed;
    product.n_tokens = p->n_rows;
    product.y = view_row(run, op->out, p->first) + begin;
    product.y_rows = p->rows;
    product.bias = bias ? bias + begin : NULL;
    product.scale = cpu_linear_scale(op, p->strength);
    product.accumulate = op->linear.accumulate;
    run->k->prompt->multiply(&product);
}

static void multiply_packed(const struct cpu_run *run, const struct op *ops, size_t n_ops,
                            const struct packing *p) {
    size_t begin, end;
    pool_share(tiles_of(p->n_rows), 1, run->thread, run->n_threads, &begin, &end);
    for (size_t tile = begin; tile < end; tile++)
        pack_tile(run, ops, p, tile);
    pool_barrier(run->device->pool);
    cpu_divide_columns(run, ops, n_ops, COLUMN_GRANULE, multiply_columns, p);
}

void cpu_prompt_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    const struct device *device = run->device;
    struct packing p = {
        .rows = device->prompt_rows, .n_rows = device->n_prompt_rows, .packed = device->act_rows};
    multiply_packed(run, ops, n_ops, &p);
}

void cpu_prompt_adapter(const struct cpu_run *run, const struct op *op,
                        const struct cpu_adapter_rows *part) {
    struct packing p = {.first = part->first,
                        .n_rows = part->n,
                        .packed = run->device->act_rows,
                        .strength = part->strength};
    multiply_packed(run, op, 1, &p);
}

/* Expert e's pairs of prompts, packed after those of the experts before it. */
static struct packing packing_of(const struct cpu_run *run, const struct op *op, uint32_t e,
                                 size_t first_tile) {
    const struct cpu_experts *experts = &run->device->experts;
    size_t first = experts->offsets[2 * e];
    size_t tile_bytes = run->k->prompt->packed_bytes(op->w.cols, PROMPT_TILE_ROWS);
    return (struct packing){.rows = op->expert.per_expert_rows ? NULL : experts->row + first,
                            .first = first,
                            .n_rows = experts->offsets[2 * e + 1] - first,
                            .packed = (char *)run->device->act_rows + first_tile * tile_bytes};
}

static void pack_experts(const struct cpu_run *run, const struct op *op) {
    size_t first_tile = 0;
    for (uint32_t e = 0; e < op->w.n_experts; e++) {
        struct packing p = packing_of(run, op, e, first_tile);
        for (size_t tile = 0; tile < tiles_of(p.n_rows); tile++)
            if ((first_tile + tile) % run->n_threads == run->thread) pack_tile(run, op, &p, tile);
        first_tile += tiles_of(p.n_rows);
    }
}

void cpu_prompt_expert_linear(const struct cpu_run *run, const struct op *op) {
    const char *w = buffer_data(run->device, op->w.buffer);
    const float *bias = weight_vector(run, &op->bias);
    size_t first_tile = 0, begin, end;
    pack_experts(run, op);
    pool_barrier(run->device->pool);
    pool_share(op->w.rows, PROMPT_TILE_ROWS, run->thread, run->n_threads, &begin, &end);
    struct prompt_product product = product_of(run, op, end - begin);
    for (uint32_t e = 0; begin < end && e < op->w.n_experts; e++) {
        struct packing p = packing_of(run, op, e, first_tile);
        size_t row = (size_t)e * op->w.rows + begin;
        first_tile += tiles_of(p.n_rows);
        if (p.n_rows == 0) continue;
        product.w = w + row * product.w_stride;
        product.x = p.packed;
        product.n_tokens = p.n_rows;
        product.y = view_row(run, op->out, p.first) + begin;
        product.bias = bias ? bias + row : NULL;
        run->k->prompt->multiply(&product);
    }
}
