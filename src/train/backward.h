/* backward.h - what the rules of differentiation share while they append operations.
 *
 * Every forward operation is visited once, last first, and its rule turns the gradient of its
 * output into parts of the gradients of its inputs. The gradient of a value lies in another
 * value; it may lie in one with the gradient of a second value as long as both are equal (the
 * two sides of a sum), and gets one of its own when it is about to change. */
#ifndef HEARTH_TRAIN_BACKWARD_H
#define HEARTH_TRAIN_BACKWARD_H

#include "train/tape.h"

enum { MAX_COVERED = 16 };

struct column_range {
    uint32_t begin, end;
};

struct gradient {
    uint32_t storage;                         /* value; TAPE_NONE: no part has come yet */
    struct column_range covered[MAX_COVERED]; /* columns that hold something; disjoint */
    size_t n_covered;
};

struct backward {
    struct tape *tape;
    const struct tape_weights *weights;
    struct gradient *gradients; /* [n_values of the forward operations] */
    uint32_t layer;             /* of the operation at hand */
    hearth_status status;       /* the first failure; after it every call does nothing */
    hearth_error *err;
};

/* Appends an operation for the layer at hand. */
void backward_emit(struct backward *b, const struct op *op);
/* A value for what two backward operations hand on; with a row for each row of the batch, or as
 * many as another value has. */
struct view backward_scratch(struct backward *b, uint32_t width);
struct view backward_scratch_like(struct backward *b, struct view like, uint32_t width);

/* The gradient of an output, whole; buffer 0 when nothing depends on it. */
struct view backward_flow(struct backward *b, struct view out, uint32_t width);
bool backward_wants(const struct backward *b, struct view in);
/* The gradient of a weight as rows of `cols` values; buffer 0: frozen. */
struct view backward_weight(const struct backward *b, const struct weight *w);

/* A part of the gradient of an input: `to` is where an operation writes it (buffer 0: nobody
 * wants it). backward_part_done adds it to what was there. */
struct part {
    struct view to, sum;
    uint32_t width;
};
struct part backward_part(struct backward *b, struct view in, uint32_t width);
/* For operations that write the part even if nobody wants it. */
struct part backward_needed_part(struct backward *b, struct view in, uint32_t width);
void backward_part_done(struct backward *b, const struct part *part);
/* For operations that can add themselves. */
struct view backward_add_to(struct backward *b, struct view in, uint32_t width, bool *accumulate);
/* The part is scale * from. */
void backward_pass(struct backward *b, struct view in, uint32_t width, struct view from,
                   float scale);

/* Rules of experts and of scans; g: the gradient of what the operation gave. */
void backward_expert_spread(struct backward *b, const struct op *op, struct view g);
void backward_expert_linear(struct backward *b, const struct op *op, struct view g);
void backward_expert_sum(struct backward *b, const struct op *op, struct view g);
void backward_expert_route(struct backward *b, const struct op *op, struct view g);
void backward_delta_net(struct backward *b, const struct op *op, struct view g);
void backward_mamba2(struct backward *b, const struct op *op, struct view g);
void backward_column_sum(struct backward *b, const struct weight *w, struct view g,
                         struct view times, uint32_t n_groups);

/* Turns the gradient of what `op` gives into parts; false: no rule for such an operation. */
bool backward_rule(struct backward *b, const struct op *op);

#endif
