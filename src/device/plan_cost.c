#include "device/plan_cost.h"

static bool uses(const struct batch_run *run, uint32_t adapter) {
    for (uint32_t i = 0; i < run->n_adapters; i++)
        if (run->adapters[i].adapter == adapter) return true;
    return false;
}

static double adapted_rows(uint32_t adapter, const struct batch *batch) {
    double rows = 0;
    for (uint32_t r = 0; r < batch->n_runs; r++)
        if (uses(&batch->runs[r], adapter)) rows += batch->runs[r].n_rows;
    return rows;
}

static double rows_of(const struct op *op, const struct batch *batch) {
    if (op->adapter) return adapted_rows(op->adapter, batch);
    uint32_t rows = op->rows == ROWS_OUTPUT ? batch->n_outputs : batch->n_rows;
    return (double)rows * (op->row_factor ? op->row_factor : 1);
}

/* Bytes of one of its matrices; of a bias, its vector. */
static double matrix_bytes(const struct weight *w) {
    return w->buffer ? (double)elem_row_bytes(w->type, w->cols) * w->rows : 0;
}

static double all_bytes(const struct weight *w) {
    return matrix_bytes(w) * w->n_experts;
}

static void add_linear(struct plan_cost *cost, const struct op *op, double rows) {
    cost->weight_bytes += all_bytes(&op->w) + all_bytes(&op->bias);
    cost->linear_ops += 2.0 * op->w.cols * op->w.rows * rows;
}

static void add_experts(struct plan_cost *cost, const struct op *op, double rows) {
    double pairs = rows * op->expert.n_used, in_use = cost->experts_in_use;
    if (in_use == 0) in_use = pairs;
    if (in_use > op->w.n_experts) in_use = op->w.n_experts;
    cost->weight_bytes += in_use * (matrix_bytes(&op->w) + all_bytes(&op->bias) / op->w.n_experts);
    cost->linear_ops += 2.0 * op->w.cols * op->w.rows * pairs;
}

static double position_bytes(const struct kv_layout *layout) {
    double k = (double)elem_row_bytes(layout->k_type, layout->d_k);
    double v = layout->v_in_k ? 0 : (double)elem_row_bytes(layout->v_type, layout->d_v);
    return layout->n_head_kv * (k + v);
}

/* The positions [begin, end) that row `row` of a run sees. */
static void visible(const struct op *op, const struct batch_run *run, uint32_t row, uint32_t *begin,
                    uint32_t *end) {
    uint32_t position = run->position + row, window = op->attention.window;
    uint32_t before = op->attention.causal ? window - 1 : window / 2;
    *end = op->attention.causal ? position + 1 : run->position + run->n_rows;
    *begin = window && position > before ? position - before : 0;
    if (window && !op->attention.causal && *end > position + window / 2 + 1)
        *end = position + window / 2 + 1;
}

static void add_attention(struct plan_cost *cost, const struct op *op, const struct batch *batch) {
    const struct kv_layout *layout = &op->attention.layout;
    double pairs = 0, positions = 0;
    for (uint32_t r = 0; r < batch->n_runs; r++) {
        uint32_t first, begin, end = 0;
        visible(op, &batch->runs[r], 0, &first, &end);
        for (uint32_t row = 0; row < batch->runs[r].n_rows; row++) {
            visible(op, &batch->runs[r], row, &begin, &end);
            pairs += end - begin;
        }
        positions += end - first; /* what the rows see together is one range */
    }
    cost->weight_bytes += all_bytes(&op->w);
    cost->cache_bytes += positions * position_bytes(layout);
    cost->mixing_ops += 2.0 * op->attention.n_head * (layout->d_k + layout->d_v) * pairs;
}

/* A state of n floats for each sequence, `ops` operations on every float in every row. */
static void add_state(struct plan_cost *cost, const struct op *op, const struct batch *batch,
                      double n, double ops) {
    cost->weight_bytes += all_bytes(&op->w) + all_bytes(&op->bias);
    cost->cache_bytes += 2 * sizeof(float) * n * batch->n_runs;
    cost->mixing_ops += ops * n * rows_of(op, batch);
}

static void add_conv(struct plan_cost *cost, const struct op *op, const struct batch *batch) {
    add_state(cost, op, batch, (op->conv.kernel - 1.0) * op->width, 0);
    cost->mixing_ops += 2.0 * op->conv.kernel * op->width * rows_of(op, batch);
}

/* Of a sequence's state. */
static double delta_floats(const struct op *op) {
    return (double)op->delta.n_head_v * op->delta.d_k * op->delta.d_v;
}

static double mamba2_floats(const struct op *op) {
    return (double)op->mamba2.n_head * op->mamba2.d_head * op->mamba2.d_state;
}

/* Every kind of operation is named, so that the compiler asks what a new one costs. */
static void add_op(struct plan_cost *cost, const struct op *op, const struct batch *batch) {
    double rows = rows_of(op, batch);
    if (op->adapter && rows == 0) return;
    switch (op->kind) {
    case OP_EMBED:
        cost->weight_bytes += rows * (double)elem_row_bytes(op->w.type, op->w.cols);
        break;
    case OP_LINEAR:
    case OP_LINEAR_TRAIN:
    case OP_LINEAR_BACK_INPUT:
    case OP_LINEAR_BACK_WEIGHT:
    case OP_CROSS_ENTROPY: add_linear(cost, op, rows); break;
    case OP_HEAD_LINEAR: add_linear(cost, op, rows * op->head_linear.n_head); break;
    case OP_EXPERT_LINEAR:
    case OP_EXPERT_LINEAR_TRAIN:
    case OP_EXPERT_LINEAR_BACK_INPUT:
    case OP_EXPERT_LINEAR_BACK_WEIGHT: add_experts(cost, op, rows); break;
    case OP_KV_PREVIOUS:
    case OP_KV_WRITE: cost->cache_bytes += rows * position_bytes(&op->attention.layout); break;
    case OP_ATTENTION: add_attention(cost, op, batch); break;
    case OP_CONV: add_conv(cost, op, batch); break;
    case OP_DELTA_NET: /* decay 1, S^T k 2, the update 2, S^T q 2 */
        add_state(cost, op, batch, delta_floats(op), 7);
        break;
    case OP_MAMBA2: /* decay 1, x B^T 2, S C 2 */
        add_state(cost, op, batch, mamba2_floats(op), 5);
        break;
    case OP_DELTA_NET_BACK: /* states twice 10, decay 1, eight products of 2 */
        add_state(cost, op, batch, delta_floats(op), 27);
        break;
    case OP_MAMBA2_BACK: /* states twice 6, decay 1, five products of 2 */
        add_state(cost, op, batch, mamba2_floats(op), 17);
        break;
    case OP_NORM:
    case OP_ROPE:
    case OP_POSITION_SCALE:
    case OP_ADD:
    case OP_SCALE:
    case OP_ADD_ROW:
    case OP_MUL_ROW:
    case OP_ACTIVATE:
    case OP_GATED:
    case OP_SOFTCAP:
    case OP_COPY:
    case OP_GATHER_ROWS:
    case OP_EXPERT_ROUTE:
    case OP_EXPERT_SUM:
    case OP_EXPERT_SPREAD:
    case OP_EXPERT_SPREAD_BACK:
    case OP_EXPERT_SUM_BACK:
    case OP_EXPERT_ROUTE_BACK:
    case OP_POOL_ROWS:
    case OP_COLUMN_SUM:
    case OP_EMBED_BACK:
    case OP_NORM_BACK:
    case OP_NORM_BACK_WEIGHT:
    case OP_ACTIVATE_BACK:
    case OP_GATED_BACK:
    case OP_SOFTCAP_BACK:
    case OP_COPY_BACK:
    case OP_CONV_BACK:
    case OP_ATTENTION_TRAIN:
    case OP_ATTENTION_BACK:
    case OP_DROPOUT:
    case OP_NOISE:
    case OP_CLEAR:
    case OP_ROPE_TABLE: cost->weight_bytes += all_bytes(&op->w) + all_bytes(&op->bias); break;
    case OP_KINDS: break;
    }
}

void plan_cost_add(struct plan_cost *cost, const struct plan *plan, const struct batch *batch) {
    for (size_t i = 0; i < plan->n_ops; i++)
        add_op(cost, &plan->ops[i], batch);
}
