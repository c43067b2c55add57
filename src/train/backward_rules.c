/* The rules of differentiation, one for each kind of forward operation. g: the gradient of
 * what the operation gave. */
#include "train/backward.h"

typedef void (*rule)(struct backward *b, const struct op *op, struct view g);

void backward_column_sum(struct backward *b, const struct weight *w, struct view g,
                         struct view times, uint32_t n_groups) {
    struct view out = backward_weight(b, w);
    if (out.buffer)
        backward_emit(b, &(struct op){.kind = OP_COLUMN_SUM,
                                      .in = g,
                                      .in2 = times,
                                      .out = out,
                                      .width = w->cols * w->rows,
                                      .column_sum = {n_groups}});
}

static void embed(struct backward *b, const struct op *op, struct view g) {
    struct op back = *op;
    back.kind = OP_EMBED_BACK;
    back.in = g;
    back.out = backward_weight(b, &op->w);
    if (back.out.buffer) backward_emit(b, &back);
}

/* What a linear layer read; with some of it dropped it is made again rather than kept. */
static struct view input_again(struct backward *b, const struct op *linear) {
    for (size_t i = 0; b->tape->dropout > 0 && i < b->tape->n_forward; i++) {
        struct op op = b->tape->plan.ops[i];
        if (op.kind != OP_DROPOUT || op.out.buffer != linear->in.buffer) continue;
        op.out = backward_scratch(b, op.width);
        backward_emit(b, &op);
        return op.out;
    }
    return linear->in;
}

static void linear(struct backward *b, const struct op *op, struct view g) {
    struct op back = {.kind = OP_LINEAR_BACK_WEIGHT,
                      .in = g,
                      .out = backward_weight(b, &op->w),
                      .w = op->w,
                      .scale = op->scale,
                      .linear = {.exact = op->linear.exact}};
    if (back.out.buffer) {
        back.in2 = input_again(b, op);
        backward_emit(b, &back);
    }
    backward_column_sum(b, &op->bias, g, (struct view){0}, 1);
    if (!backward_wants(b, op->in)) return;
    back.kind = OP_LINEAR_BACK_INPUT;
    back.in2 = (struct view){0};
    back.out = backward_add_to(b, op->in, op->w.cols, &back.linear.accumulate);
    backward_emit(b, &back);
}

static void norm(struct backward *b, const struct op *op, struct view g) {
    struct part dx = backward_part(b, op->in, op->width * op->norm.n_groups);
    struct view stats = backward_scratch(b, 2 * op->norm.n_groups);
    struct op back = *op;
    back.kind = OP_NORM_BACK;
    back.in2 = g;
    back.out = dx.to;
    back.out2 = stats;
    backward_emit(b, &back);
    backward_part_done(b, &dx);
    backward_column_sum(b, &op->bias, g, (struct view){0}, op->norm.n_groups);
    back.kind = OP_NORM_BACK_WEIGHT;
    back.in3 = stats;
    back.out = backward_weight(b, &op->w);
    back.out2 = (struct view){0};
    if (back.out.buffer) backward_emit(b, &back);
}

/* Operations whose gradient is an operation of the same kind on g. */
static void itself(struct backward *b, struct op back, struct view in, uint32_t width,
                   struct view g) {
    struct part dx = backward_part(b, in, width);
    back.in = g;
    back.out = dx.to;
    if (back.out.buffer) backward_emit(b, &back);
    backward_part_done(b, &dx);
}

static void rope(struct backward *b, const struct op *op, struct view g) {
    struct op back = *op;
    back.rope.inverse = !op->rope.inverse;
    itself(b, back, op->in, op->rope.n_head * op->rope.head_dim, g);
}

static void dropout(struct backward *b, const struct op *op, struct view g) {
    itself(b, *op, op->in, op->width, g);
}

static void noise(struct backward *b, const struct op *op, struct view g) {
    backward_pass(b, op->in, op->width, g, 1.0f);
}

static void position_scale(struct backward *b, const struct op *op, struct view g) {
    itself(b, *op, op->in, op->width, g);
}

static void add(struct backward *b, const struct op *op, struct view g) {
    backward_pass(b, op->in, op->width, g, 1.0f);
    backward_pass(b, op->in2, op->width, g, op->scale);
}

static void scale(struct backward *b, const struct op *op, struct view g) {
    backward_pass(b, op->in, op->width, g, op->scale);
}

static void add_row(struct backward *b, const struct op *op, struct view g) {
    backward_column_sum(b, &op->w, g, (struct view){0}, 1);
    backward_pass(b, op->in, op->width, g, 1.0f);
}

static void mul_row(struct backward *b, const struct op *op, struct view g) {
    backward_column_sum(b, &op->w, g, op->in, 1);
    itself(b, *op, op->in, op->width, g);
}

/* Operations whose gradient needs what they read. */
static void from_input(struct backward *b, const struct op *op, enum op_kind kind, struct view g) {
    struct part dx = backward_part(b, op->in, op->width);
    struct op back = *op;
    back.kind = kind;
    back.in2 = g;
    back.out = dx.to;
    if (back.out.buffer) backward_emit(b, &back);
    backward_part_done(b, &dx);
}

static void activate(struct backward *b, const struct op *op, struct view g) {
    from_input(b, op, OP_ACTIVATE_BACK, g);
}

static void softcap(struct backward *b, const struct op *op, struct view g) {
    from_input(b, op, OP_SOFTCAP_BACK, g);
}

static void gated(struct backward *b, const struct op *op, struct view g) {
    struct part gate = backward_needed_part(b, op->in, op->width),
                up = backward_needed_part(b, op->in2, op->width);
    struct op back = *op;
    back.kind = OP_GATED_BACK;
    back.in3 = g;
    back.out = gate.to;
    back.out2 = up.to;
    backward_emit(b, &back);
    backward_part_done(b, &gate);
    backward_part_done(b, &up);
}

static void copy(struct backward *b, const struct op *op, struct view g) {
    uint32_t width = (op->copy.n_groups - 1) * op->copy.in_stride + op->width;
    struct part dx = backward_part(b, op->in, width);
    struct op back = *op;
    back.kind = OP_COPY_BACK;
    back.in = g;
    back.out = dx.to;
    if (back.out.buffer) backward_emit(b, &back);
    backward_part_done(b, &dx);
}

static void attention(struct backward *b, const struct op *op, struct view g) {
    const struct kv_layout *kv = &op->attention.layout;
    struct part q = backward_needed_part(b, op->in, op->attention.n_head * kv->d_k);
    struct part k = backward_needed_part(b, op->in2, kv->n_head_kv * kv->d_k);
    struct part v = backward_needed_part(b, op->in3, kv->n_head_kv * kv->d_v);
    struct op back = *op;
    back.kind = OP_ATTENTION_BACK;
    back.in4 = op->out;
    back.in5 = op->out2;
    back.in6 = g;
    back.out = q.to;
    back.out2 = k.to;
    back.out3 = v.to;
    backward_emit(b, &back);
    backward_part_done(b, &q);
    backward_part_done(b, &k);
    backward_part_done(b, &v);
}

static void conv(struct backward *b, const struct op *op, struct view g) {
    struct part dx = backward_part(b, op->in, op->width);
    struct op back = *op;
    back.kind = OP_CONV_BACK;
    back.in2 = g;
    back.out = dx.to;
    back.out2 = backward_weight(b, &op->w);
    back.out3 = backward_weight(b, &op->bias);
    backward_emit(b, &back);
    backward_part_done(b, &dx);
}

static const rule rules[OP_KINDS] = {
    [OP_EMBED] = embed,
    [OP_LINEAR_TRAIN] = linear,
    [OP_NORM] = norm,
    [OP_ROPE] = rope,
    [OP_POSITION_SCALE] = position_scale,
    [OP_ADD] = add,
    [OP_SCALE] = scale,
    [OP_ADD_ROW] = add_row,
    [OP_MUL_ROW] = mul_row,
    [OP_ACTIVATE] = activate,
    [OP_GATED] = gated,
    [OP_SOFTCAP] = softcap,
    [OP_COPY] = copy,
    [OP_CONV] = conv,
    [OP_EXPERT_SPREAD] = backward_expert_spread,
    [OP_EXPERT_LINEAR_TRAIN] = backward_expert_linear,
    [OP_EXPERT_SUM] = backward_expert_sum,
    [OP_EXPERT_ROUTE] = backward_expert_route,
    [OP_DELTA_NET] = backward_delta_net,
    [OP_MAMBA2] = backward_mamba2,
    [OP_ATTENTION_TRAIN] = attention,
    [OP_DROPOUT] = dropout,
    [OP_NOISE] = noise,
};

static uint32_t output_width(const struct backward *b, const struct op *op) {
    if (op->kind == OP_LINEAR_TRAIN) return op->w.rows;
    return b->tape->values[value_of(op->out)].width;
}

bool backward_rule(struct backward *b, const struct op *op) {
    if (!rules[op->kind]) return false;
    struct view g = backward_flow(b, op->out, output_width(b, op));
    if (g.buffer) rules[op->kind](b, op, g);
    return true;
}
