/* Rules of differentiation of what goes through time with a state. */
#include "train/backward.h"

void backward_delta_net(struct backward *b, const struct op *op, struct view g) {
    uint32_t keys = op->delta.n_head_k * op->delta.d_k, heads = op->delta.n_head_v;
    struct part q = backward_needed_part(b, op->in, keys);
    struct part k = backward_needed_part(b, op->in2, keys);
    struct part v = backward_needed_part(b, op->in3, heads * op->delta.d_v);
    struct part decay = backward_needed_part(b, op->in4, heads);
    struct part beta = backward_needed_part(b, op->in5, heads);
    struct op back = *op;
    back.kind = OP_DELTA_NET_BACK;
    back.in6 = g;
    back.out = q.to;
    back.out2 = k.to;
    back.out3 = v.to;
    back.out4 = decay.to;
    back.out5 = beta.to;
    backward_emit(b, &back);
    backward_part_done(b, &q);
    backward_part_done(b, &k);
    backward_part_done(b, &v);
    backward_part_done(b, &decay);
    backward_part_done(b, &beta);
}

/* The gradient of what all parts of a group's heads read, from those of the parts: as if it had
 * been copied for each. */
static void add_parts(struct backward *b, struct view in, uint32_t width, uint32_t n_parts,
                      struct view apart) {
    struct part part = backward_part(b, in, width);
    if (part.to.buffer)
        backward_emit(b, &(struct op){.kind = OP_COPY_BACK,
                                      .in = apart,
                                      .out = part.to,
                                      .width = width,
                                      .copy = {n_parts, 0, width}});
    backward_part_done(b, &part);
}

void backward_mamba2(struct backward *b, const struct op *op, struct view g) {
    uint32_t heads = op->mamba2.n_head, shared = op->mamba2.n_group * op->mamba2.d_state;
    uint32_t n_parts = mamba2_parts(op);
    struct part x = backward_needed_part(b, op->in, heads * op->mamba2.d_head);
    struct part dt = backward_needed_part(b, op->in4, heads);
    struct op back = *op;
    back.kind = OP_MAMBA2_BACK;
    back.in5 = g;
    back.out = x.to;
    back.out2 = backward_scratch(b, n_parts * shared);
    back.out3 = backward_scratch(b, n_parts * shared);
    back.out4 = dt.to;
    back.out5 = backward_scratch(b, heads);
    back.out6 = backward_scratch(b, heads);
    backward_emit(b, &back);
    backward_part_done(b, &x);
    backward_part_done(b, &dt);
    add_parts(b, op->in2, shared, n_parts, back.out2);
    add_parts(b, op->in3, shared, n_parts, back.out3);
    backward_column_sum(b, &op->w, back.out5, op->in4, 1);
    backward_column_sum(b, &op->bias, back.out6, (struct view){0}, 1);
}
