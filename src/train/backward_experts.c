/* Rules of differentiation of experts. Every operation between experts works over the choice
 * that was made last (device/cpu_device.h): backward makes the choice of its layer again before
 * the first of them. */
#include "train/backward.h"

static struct op choice_of(const struct backward *b, struct view weights) {
    const struct op *op = b->tape->plan.ops;
    while (op->kind != OP_EXPERT_ROUTE || op->out.buffer != weights.buffer)
        op++;
    return *op;
}

/* The last operation of a layer's experts. */
void backward_expert_sum(struct backward *b, const struct op *op, struct view g) {
    struct op again = choice_of(b, op->in2);
    again.out = (struct view){0};
    backward_emit(b, &again);
    struct part rows = backward_needed_part(b, op->in, op->width);
    struct part weights = backward_needed_part(b, op->in2, op->expert.n_used);
    struct op back = *op;
    back.kind = OP_EXPERT_SUM_BACK;
    back.in2 = g;
    back.out = rows.to;
    back.out2 = weights.to;
    backward_emit(b, &back);
    backward_part_done(b, &rows);
    backward_part_done(b, &weights);
}

void backward_expert_linear(struct backward *b, const struct op *op, struct view g) {
    struct op back = *op;
    back.kind = OP_EXPERT_LINEAR_BACK_WEIGHT;
    back.in = g;
    back.in2 = op->in;
    back.out = backward_weight(b, &op->w);
    back.out2 = backward_weight(b, &op->bias);
    if (back.out.buffer || back.out2.buffer) backward_emit(b, &back);
    struct part dx = backward_part(b, op->in, op->w.cols);
    back.kind = OP_EXPERT_LINEAR_BACK_INPUT;
    back.in2 = back.out2 = (struct view){0};
    back.out = dx.to;
    if (back.out.buffer) backward_emit(b, &back);
    backward_part_done(b, &dx);
}

static void from_gradient(struct backward *b, const struct op *op, enum op_kind kind,
                          struct view g) {
    struct part dx = backward_part(b, op->in, op->width);
    struct op back = *op;
    back.kind = kind;
    back.in = g;
    back.in2 = (struct view){0};
    back.out = dx.to;
    if (back.out.buffer) backward_emit(b, &back);
    backward_part_done(b, &dx);
}

void backward_expert_spread(struct backward *b, const struct op *op, struct view g) {
    from_gradient(b, op, OP_EXPERT_SPREAD_BACK, g);
}

void backward_expert_route(struct backward *b, const struct op *op, struct view g) {
    struct part dx = backward_part(b, op->in, op->route.n_expert);
    struct op back = *op;
    back.kind = OP_EXPERT_ROUTE_BACK;
    back.in2 = g;
    back.out = dx.to;
    if (back.out.buffer) backward_emit(b, &back);
    backward_part_done(b, &dx);
}
