/* Experts' layers of training. Rows lie at their places, those of an expert together, so that
 * each expert in use has the products of a linear layer of its own (cpu_linear_back.c). */
#include <string.h>

#include "device/cpu_gemm.h"

enum { COLUMN_SHARE = 16 };

/* Places [*first, *first + count) are those of an expert; returns the count. */
static size_t places_of(const struct cpu_run *run, size_t expert, size_t *first) {
    const uint32_t *offsets = run->device->experts.offsets;
    *first = offsets[2 * expert];
    return offsets[2 * expert + 2] - *first;
}

static struct gemm_operand rows_at(const struct cpu_run *run, struct view view, size_t row,
                                   bool transposed) {
    return (struct gemm_operand){view_row(run, view, row), view.stride, transposed, ELEM_F32};
}

static struct gemm_operand matrix_of(const struct cpu_run *run, const struct weight *w,
                                     size_t expert, bool transposed) {
    const char *first = buffer_data(run->device, w->buffer);
    return (struct gemm_operand){first + expert * w->rows * elem_row_bytes(w->type, w->cols),
                                 w->cols, transposed, w->type};
}

void cpu_expert_spread(const struct cpu_run *run, const struct op *op) {
    const uint32_t *place = run->device->experts.place;
    size_t n_used = op->expert.n_used, begin, end;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t pair = begin * n_used; pair < end * n_used; pair++)
        memcpy(view_row(run, op->out, place[pair]), view_row(run, op->in, pair / n_used),
               op->width * sizeof(float));
}

void cpu_expert_linear_train(const struct cpu_run *run, const struct op *op) {
    const float *bias = weight_vector(run, &op->bias);
    for (size_t e = 0, first; e < op->w.n_experts; e++) {
        size_t count = places_of(run, e, &first);
        struct gemm_job job = {.a = rows_at(run, op->in, first, false),
                               .b = matrix_of(run, &op->w, e, false),
                               .m = count,
                               .n = op->w.rows,
                               .k = op->w.cols,
                               .c = view_row(run, op->out, first),
                               .c_stride = op->out.stride,
                               .alpha = 1,
                               .bias = bias ? bias + e * op->w.rows : NULL,
                               .exact = op->expert.exact};
        if (count > 0) cpu_gemm(run, &job);
    }
}

void cpu_expert_linear_back_input(const struct cpu_run *run, const struct op *op) {
    for (size_t e = 0, first; e < op->w.n_experts; e++) {
        size_t count = places_of(run, e, &first);
        struct gemm_job job = {.a = rows_at(run, op->in, first, false),
                               .b = matrix_of(run, &op->w, e, true),
                               .m = count,
                               .n = op->w.cols,
                               .k = op->w.rows,
                               .c = view_row(run, op->out, first),
                               .c_stride = op->out.stride,
                               .alpha = 1,
                               .exact = op->expert.exact};
        if (count > 0) cpu_gemm(run, &job);
    }
}

/* A thread owns columns and adds the places in order. */
static void add_bias_gradients(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op->w.rows, COLUMN_SHARE, run->thread, run->n_threads, &begin, &end);
    for (size_t e = 0, first; begin < end && e < op->w.n_experts; e++) {
        size_t count = places_of(run, e, &first);
        float *sum = view_row(run, op->out2, e) + begin;
        for (size_t place = first; place < first + count; place++)
            run->k->add(sum, sum, view_row(run, op->in, place) + begin, end - begin);
    }
}

void cpu_expert_linear_back_weight(const struct cpu_run *run, const struct op *op) {
    for (size_t e = 0, first; op->out.buffer && e < op->w.n_experts; e++) {
        size_t count = places_of(run, e, &first);
        struct gemm_job job = {.a = rows_at(run, op->in, first, true),
                               .b = rows_at(run, op->in2, first, true),
                               .m = op->w.rows,
                               .n = op->w.cols,
                               .k = count,
                               .c = view_row(run, op->out, e * op->w.rows),
                               .c_stride = op->out.stride,
                               .alpha = 1,
                               .accumulate = true,
                               .exact = op->expert.exact};
        if (count > 0) cpu_gemm(run, &job);
    }
    if (op->out2.buffer) add_bias_gradients(run, op);
}
