/* Linear layers of training: y = scale x w^T + bias, and the gradients of x, w and bias. With
 * g = dy: dx = scale g w, dw = scale g^T x, dbias = the sum of g's rows. */
#include <string.h>

#include "device/cpu_gemm.h"

enum { COLUMN_SHARE = 16 };

static struct gemm_operand rows_of(const struct cpu_run *run, struct view view, bool transposed) {
    return (struct gemm_operand){view_row(run, view, 0), view.stride, transposed, ELEM_F32};
}

static struct gemm_operand matrix_of(const struct cpu_run *run, const struct weight *w,
                                     bool transposed) {
    return (struct gemm_operand){buffer_data(run->device, w->buffer), w->cols, transposed, w->type};
}

void cpu_linear_train(const struct cpu_run *run, const struct op *op) {
    struct gemm_job job = {.a = rows_of(run, op->in, false),
                           .b = matrix_of(run, &op->w, false),
                           .m = op_row_count(run, op),
                           .n = op->w.rows,
                           .k = op->w.cols,
                           .c = view_row(run, op->out, 0),
                           .c_stride = op->out.stride,
                           .alpha = op->scale,
                           .accumulate = op->linear.accumulate,
                           .bias = weight_vector(run, &op->bias),
                           .exact = op->linear.exact};
    cpu_gemm(run, &job);
}

void cpu_linear_back_input(const struct cpu_run *run, const struct op *op) {
    struct gemm_job job = {.a = rows_of(run, op->in, false),
                           .b = matrix_of(run, &op->w, true),
                           .m = op_row_count(run, op),
                           .n = op->w.cols,
                           .k = op->w.rows,
                           .c = view_row(run, op->out, 0),
                           .c_stride = op->out.stride,
                           .alpha = op->scale,
                           .accumulate = op->linear.accumulate,
                           .exact = op->linear.exact};
    cpu_gemm(run, &job);
}

void cpu_linear_back_weight(const struct cpu_run *run, const struct op *op) {
    struct gemm_job job = {.a = rows_of(run, op->in, true),
                           .b = rows_of(run, op->in2, true),
                           .m = op->w.rows,
                           .n = op->w.cols,
                           .k = op_row_count(run, op),
                           .c = view_row(run, op->out, 0),
                           .c_stride = op->out.stride,
                           .alpha = op->scale,
                           .accumulate = true,
                           .exact = op->linear.exact};
    cpu_gemm(run, &job);
}

/* A thread owns columns and adds the rows in order. */
void cpu_column_sum(const struct cpu_run *run, const struct op *op) {
    size_t rows = op_row_count(run, op), begin, end;
    pool_share(op->width, COLUMN_SHARE, run->thread, run->n_threads, &begin, &end);
    float *sum = view_row(run, op->out, 0);
    for (size_t row = 0; begin < end && row < rows; row++)
        for (uint32_t group = 0; group < op->column_sum.n_groups; group++) {
            size_t at = (size_t)group * op->width;
            const float *x = view_row(run, op->in, row) + at;
            if (!op->in2.buffer) {
                run->k->add(sum + begin, sum + begin, x + begin, end - begin);
                continue;
            }
            const float *factor = view_row(run, op->in2, row) + at;
            for (size_t i = begin; i < end; i++)
                sum[i] += x[i] * factor[i];
        }
}

/* A thread owns columns of the table and adds the rows in order. */
void cpu_embed_back(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op->w.cols, COLUMN_SHARE, run->thread, run->n_threads, &begin, &end);
    for (size_t row = 0; begin < end && row < run->batch->n_rows; row++) {
        size_t index = op->embed.index == EMBED_POSITION
                           ? run->batch->positions[row] + op->embed.offset
                           : (size_t)run->batch->tokens[row];
        if (index >= op->w.rows) index = op->w.rows - 1; /* as cpu_embed reads */
        run->k->axpy(view_row(run, op->out, index) + begin, op->scale,
                     view_row(run, op->in, row) + begin, end - begin);
    }
}

/* The measures of the largest product of an operation over max_tokens rows. */
struct product_size {
    size_t m, n, k;
};

static struct product_size product_size(const struct device *device, const struct op *op) {
    size_t tokens = device->options.max_tokens, cols = op->w.cols, rows = op->w.rows;
    switch (op->kind) {
    case OP_EXPERT_LINEAR_TRAIN: /* a row goes to an expert once at most */
    case OP_LINEAR_TRAIN: return (struct product_size){tokens, rows, cols};
    case OP_EXPERT_LINEAR_BACK_INPUT:
    case OP_LINEAR_BACK_INPUT: return (struct product_size){tokens, cols, rows};
    case OP_EXPERT_LINEAR_BACK_WEIGHT:
    case OP_LINEAR_BACK_WEIGHT: return (struct product_size){rows, cols, tokens};
    default: return (struct product_size){0, 0, 0};
    }
}

static size_t most(size_t a, size_t b, size_t c) {
    size_t larger = a > b ? a : b;
    return larger > c ? larger : c;
}

size_t cpu_train_scratch_floats(const struct device *device, const struct op *op) {
    size_t product = cpu_gemm_thread_floats(device), logits = op->w.rows;
    switch (op->kind) {
    case OP_LINEAR_TRAIN:
    case OP_LINEAR_BACK_INPUT:
    case OP_LINEAR_BACK_WEIGHT:
    case OP_EXPERT_LINEAR_TRAIN:
    case OP_EXPERT_LINEAR_BACK_INPUT:
    case OP_EXPERT_LINEAR_BACK_WEIGHT: return product;
    case OP_CROSS_ENTROPY: return product > 2 * logits ? product : 2 * logits;
    case OP_CONV_BACK: return cpu_conv_back_floats(device);
    case OP_ATTENTION_TRAIN:
    case OP_ATTENTION_BACK: return cpu_attention_train_floats(device, op);
    case OP_EXPERT_ROUTE_BACK: return cpu_expert_route_back_floats(op);
    case OP_DELTA_NET_BACK: return cpu_delta_net_back_floats(device, op);
    case OP_MAMBA2_BACK: return cpu_mamba2_back_floats(device, op);
    default: return 0;
    }
}

size_t cpu_train_shared_bytes(const struct device *device, const struct op *op) {
    struct product_size p = product_size(device, op);
    size_t rows = op->w.rows, cols = op->w.cols;
    if (op->kind == OP_CROSS_ENTROPY) {
        size_t chunk = op->cross_entropy.chunk_rows;
        return most(cpu_gemm_shared_bytes(device, chunk, rows, cols),
                    cpu_gemm_shared_bytes(device, chunk, cols, rows),
                    cpu_gemm_shared_bytes(device, rows, cols, chunk));
    }
    return p.m ? cpu_gemm_shared_bytes(device, p.m, p.n, p.k) : 0;
}
