#include "train/backward.h"

#include <string.h>

#include "base/mem.h"

void backward_emit(struct backward *b, const struct op *op) {
    if (b->status != HEARTH_OK) return;
    struct op placed = *op;
    placed.layer = b->layer;
    b->status = tape_append(b->tape, &placed, b->err);
}

struct view backward_scratch(struct backward *b, uint32_t width) {
    uint32_t value = TAPE_NONE;
    if (b->status == HEARTH_OK) b->status = tape_new_value(b->tape, width, &value, b->err);
    return (struct view){value_handle(value), 0, width};
}

struct view backward_scratch_like(struct backward *b, struct view like, uint32_t width) {
    struct view scratch = backward_scratch(b, width);
    const struct tape_value *values = b->tape->values;
    if (b->status == HEARTH_OK)
        b->tape->values[value_of(scratch)].row_factor = values[value_of(like)].row_factor;
    return scratch;
}

static uint32_t row_factor(const struct backward *b, struct view view) {
    return b->tape->values[value_of(view)].row_factor;
}

static void clear(struct backward *b, uint32_t storage, struct column_range range) {
    backward_emit(b, &(struct op){.kind = OP_CLEAR,
                                  .out = {value_handle(storage), range.begin, 0},
                                  .row_factor = b->tape->values[storage].row_factor,
                                  .width = range.end - range.begin});
}

static void cover(struct backward *b, struct gradient *g, struct column_range range) {
    if (g->n_covered < MAX_COVERED)
        g->covered[g->n_covered++] = range;
    else if (b->status == HEARTH_OK)
        b->status = error_set(b->err, HEARTH_ERROR_LIMIT, "a gradient made of too many parts");
}

/* The first columns of `range` that hold nothing; false when all hold something. */
static bool next_hole(const struct gradient *g, struct column_range range,
                      struct column_range *hole) {
    uint32_t at = range.begin, end = range.end;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < g->n_covered; i++)
            if (g->covered[i].begin <= at && at < g->covered[i].end) {
                at = g->covered[i].end;
                moved = true;
            }
    }
    for (size_t i = 0; i < g->n_covered; i++)
        if (g->covered[i].begin > at && g->covered[i].begin < end) end = g->covered[i].begin;
    *hole = (struct column_range){at, end};
    return at < range.end;
}

static void fill_holes(struct backward *b, struct gradient *g, struct column_range range) {
    struct column_range hole;
    while (b->status == HEARTH_OK && next_hole(g, range, &hole)) {
        clear(b, g->storage, hole);
        cover(b, g, hole);
    }
}

static struct gradient *gradient_of(const struct backward *b, struct view view) {
    return &b->gradients[value_of(view)];
}

static struct view in_storage(const struct gradient *g, struct view view) {
    return (struct view){value_handle(g->storage), view.offset, 0};
}

struct view backward_flow(struct backward *b, struct view out, uint32_t width) {
    struct gradient *g = gradient_of(b, out);
    if (g->storage == TAPE_NONE) return (struct view){0};
    fill_holes(b, g, (struct column_range){out.offset, out.offset + width});
    return in_storage(g, out);
}

bool backward_wants(const struct backward *b, struct view in) {
    return is_value(in) && b->tape->values[value_of(in)].moves;
}

struct view backward_weight(const struct backward *b, const struct weight *w) {
    return (struct view){tape_gradient(b->weights, w), 0, w->cols};
}

static void copy(struct backward *b, struct view from, struct view to, uint32_t width) {
    backward_emit(b, &(struct op){.kind = OP_COPY,
                                  .row_factor = row_factor(b, to),
                                  .in = from,
                                  .out = to,
                                  .width = width,
                                  .copy = {1, 0, 0}});
}

/* With the rows and columns of another value. */
static void open_storage(struct backward *b, struct gradient *g, uint32_t like) {
    struct view view = {value_handle(like), 0, 0};
    g->storage = value_of(backward_scratch_like(b, view, b->tape->values[like].width));
    b->tape->values[g->storage].n_sharers = 1;
}

/* Gives a gradient a place of its own before it changes. */
static void unshare(struct backward *b, struct gradient *g) {
    uint32_t old = g->storage, width = b->tape->values[old].width;
    if (b->tape->values[old].n_sharers == 1 || b->status != HEARTH_OK) return;
    b->tape->values[old].n_sharers--;
    open_storage(b, g, old);
    copy(b, (struct view){value_handle(old), 0, 0}, (struct view){value_handle(g->storage), 0, 0},
         width);
}

/* Prepares a gradient for a part; returns whether there is something to add to. */
static bool prepare(struct backward *b, struct view in, uint32_t width) {
    struct gradient *g = gradient_of(b, in);
    struct column_range range = {in.offset, in.offset + width}, hole;
    if (g->storage == TAPE_NONE) open_storage(b, g, value_of(in));
    if (next_hole(g, range, &hole) && hole.begin == range.begin && hole.end == range.end) {
        cover(b, g, range);
        return false;
    }
    fill_holes(b, g, range);
    unshare(b, g);
    return true;
}

struct part backward_part(struct backward *b, struct view in, uint32_t width) {
    struct part part = {.width = width};
    if (!backward_wants(b, in) || b->status != HEARTH_OK) return part;
    bool add = prepare(b, in, width);
    part.to = in_storage(gradient_of(b, in), in);
    if (!add) return part;
    part.sum = part.to;
    part.to = backward_scratch_like(b, in, width);
    return part;
}

struct part backward_needed_part(struct backward *b, struct view in, uint32_t width) {
    struct part part = backward_part(b, in, width);
    if (!part.to.buffer) part.to = backward_scratch_like(b, in, width);
    return part;
}

static void add(struct backward *b, struct view sum, struct view part, uint32_t width,
                float scale) {
    backward_emit(b, &(struct op){.kind = OP_ADD,
                                  .row_factor = row_factor(b, sum),
                                  .in = sum,
                                  .in2 = part,
                                  .out = sum,
                                  .width = width,
                                  .scale = scale});
}

void backward_part_done(struct backward *b, const struct part *part) {
    if (part->sum.buffer) add(b, part->sum, part->to, part->width, 1.0f);
}

struct view backward_add_to(struct backward *b, struct view in, uint32_t width, bool *accumulate) {
    *accumulate = prepare(b, in, width);
    return in_storage(gradient_of(b, in), in);
}

static bool covers_whole(const struct backward *b, struct view view, uint32_t width) {
    return view.offset == 0 && b->tape->values[value_of(view)].width == width;
}

void backward_pass(struct backward *b, struct view in, uint32_t width, struct view from,
                   float scale) {
    struct gradient *g = gradient_of(b, in);
    if (!backward_wants(b, in) || b->status != HEARTH_OK) return;
    if (scale == 1.0f && g->storage == TAPE_NONE && covers_whole(b, in, width) &&
        covers_whole(b, from, width)) {
        g->storage = value_of(from);
        b->tape->values[g->storage].n_sharers++;
        cover(b, g, (struct column_range){0, width});
        return;
    }
    bool sum = prepare(b, in, width);
    struct view to = in_storage(g, in);
    if (sum)
        add(b, to, from, width, scale);
    else if (scale == 1.0f)
        copy(b, from, to, width);
    else
        backward_emit(b, &(struct op){.kind = OP_SCALE,
                                      .row_factor = row_factor(b, to),
                                      .in = from,
                                      .out = to,
                                      .width = width,
                                      .scale = scale});
}

/* The loss operation is there already: it gains what it writes. */
static void derive_loss(struct backward *b) {
    struct op *op = &b->tape->plan.ops[b->tape->n_forward];
    bool accumulate = false;
    op->out2 = backward_weight(b, &op->w);
    op->out3 = backward_weight(b, &op->bias);
    struct view to = backward_add_to(b, op->in, op->w.cols, &accumulate);
    b->tape->plan.ops[b->tape->n_forward].out = to;
}

static hearth_status derive(struct backward *b) {
    struct tape *tape = b->tape;
    derive_loss(b);
    for (size_t i = tape->n_forward; i-- > 0 && b->status == HEARTH_OK;) {
        struct op op = tape->plan.ops[i];
        struct gradient *g = gradient_of(b, op.out);
        b->layer = op.layer;
        if (g->storage == TAPE_NONE || !backward_wants(b, op.out)) continue;
        if (!backward_rule(b, &op))
            return error_set(b->err, HEARTH_ERROR_UNSUPPORTED,
                             "this model cannot be trained: there is no gradient of '%s'",
                             op_name(op.kind));
        bool defines = op.kind != OP_LINEAR_TRAIN || !op.linear.accumulate;
        if (defines) tape->values[g->storage].n_sharers--;
    }
    return b->status;
}

hearth_status tape_derive(struct tape *tape, const struct tape_weights *weights,
                          hearth_error *err) {
    struct backward b = {.tape = tape, .weights = weights, .layer = NO_LAYER, .err = err};
    b.gradients = mem_calloc(tape->n_values, sizeof *b.gradients);
    if (!b.gradients)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the steps of training");
    hearth_status status = derive(&b);
    mem_free(b.gradients);
    return status;
}
