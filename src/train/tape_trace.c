/* A forward plan over buffers becomes one over values: every write makes a value of its own,
 * every read finds the value that was last written to its columns.
 *
 * Keys and values are read from the batch itself instead of a cache; the output layer becomes
 * one operation with the loss. */
#include <math.h>

#include "base/mem.h"
#include "train/tape.h"

enum { MAX_REGIONS = 256, MAX_TABLES = 2 /* of rotary positions: global and local */ };

/* What columns of a buffer hold. */
struct region {
    device_buffer buffer;
    uint32_t begin, end;
    struct view value; /* at `begin` */
};

struct trace {
    struct tape *tape;
    const struct tape_weights *weights;
    struct region regions[MAX_REGIONS];
    size_t n_regions;
    struct op tables[MAX_TABLES]; /* OP_ROPE_TABLE */
    size_t n_tables;
    struct view route; /* the weights of the experts that were chosen last */
    struct op spread;  /* the OP_EXPERT_SPREAD of that choice, if there is one */
    hearth_error *err;
};

/* Columns of a row that an operation reads and writes. */
struct widths {
    uint32_t in, in2, out;
};

static uint32_t copied(const struct op *op, uint32_t stride) {
    return (op->copy.n_groups - 1) * stride + op->width;
}

static bool widths_of(const struct op *op, struct widths *w) {
    const struct kv_layout *kv = &op->attention.layout;
    switch (op->kind) {
    case OP_EMBED: *w = (struct widths){0, 0, op->w.cols}; return true;
    case OP_LINEAR: *w = (struct widths){op->w.cols, 0, op->w.rows}; return true;
    case OP_NORM: {
        uint32_t all = op->width * op->norm.n_groups;
        *w = (struct widths){all, 0, all};
        return true;
    }
    case OP_ROPE: {
        uint32_t all = op->rope.n_head * op->rope.head_dim;
        *w = (struct widths){all, 0, all};
        return true;
    }
    case OP_KV_WRITE:
        *w = (struct widths){kv->n_head_kv * kv->d_k, kv->n_head_kv * kv->d_v, 0};
        return !kv->v_in_k;
    case OP_ATTENTION:
        *w = (struct widths){op->attention.n_head * kv->d_k, 0, op->attention.n_head * kv->d_v};
        return !kv->v_in_k;
    case OP_ADD:
    case OP_GATED: *w = (struct widths){op->width, op->width, op->width}; return true;
    case OP_POSITION_SCALE:
    case OP_SCALE:
    case OP_ADD_ROW:
    case OP_MUL_ROW:
    case OP_ACTIVATE:
    case OP_SOFTCAP:
    case OP_CONV:
    case OP_GATHER_ROWS: *w = (struct widths){op->width, 0, op->width}; return true;
    case OP_EXPERT_ROUTE:
        *w = (struct widths){op->route.n_expert, 0, op->route.n_used};
        return true;
    case OP_EXPERT_LINEAR: *w = (struct widths){op->w.cols, 0, op->w.rows}; return true;
    case OP_EXPERT_SUM: *w = (struct widths){op->width, 0, op->width}; return true;
    case OP_DELTA_NET: {
        uint32_t keys = op->delta.n_head_k * op->delta.d_k;
        uint32_t values = op->delta.n_head_v * op->delta.d_v;
        *w = (struct widths){keys, keys, values};
        return true;
    }
    case OP_MAMBA2: {
        uint32_t inner = op->mamba2.n_head * op->mamba2.d_head;
        *w = (struct widths){inner, op->mamba2.n_group * op->mamba2.d_state, inner};
        return true;
    }
    case OP_COPY:
        *w = (struct widths){copied(op, op->copy.in_stride), 0, copied(op, op->copy.out_stride)};
        return op->copy.n_groups == 1 || op->copy.out_stride == op->width;
    default: return false;
    }
}

static hearth_status refuse(const struct trace *t, const struct op *op) {
    return error_set(t->err, HEARTH_ERROR_UNSUPPORTED,
                     "this model cannot be trained: there is no gradient of '%s' as it uses it",
                     op_name(op->kind));
}

static hearth_status add_region(struct trace *t, struct region region) {
    if (t->n_regions == MAX_REGIONS)
        return error_set(t->err, HEARTH_ERROR_LIMIT, "a recipe with too many buffers to train");
    t->regions[t->n_regions++] = region;
    return HEARTH_OK;
}

/* From now on columns [begin, begin + width) of a buffer hold `value`. */
static hearth_status bind(struct trace *t, device_buffer buffer, uint32_t begin, uint32_t width,
                          struct view value) {
    struct region mine = {buffer, begin, begin + width, value};
    size_t kept = 0, n = t->n_regions;
    struct region rest = {0};
    for (size_t i = 0; i < n; i++) {
        struct region old = t->regions[i];
        bool apart = old.buffer != buffer || old.end <= mine.begin || old.begin >= mine.end;
        if (!apart && old.end > mine.end) {
            rest = old;
            rest.value.offset += mine.end - old.begin;
            rest.begin = mine.end;
        }
        if (!apart) old.end = mine.begin;
        if (old.buffer == buffer && old.begin >= old.end) continue;
        t->regions[kept++] = old;
    }
    t->n_regions = kept;
    if (rest.buffer) RETURN_IF_ERROR(add_region(t, rest));
    return add_region(t, mine);
}

/* The value behind `width` columns of a view, which one operation must have written. */
static hearth_status find(const struct trace *t, const struct op *op, struct view view,
                          uint32_t width, struct view *value) {
    for (size_t i = 0; i < t->n_regions; i++) {
        const struct region *r = &t->regions[i];
        if (r->buffer != view.buffer || view.offset < r->begin || view.offset + width > r->end)
            continue;
        *value = r->value;
        value->offset += view.offset - r->begin;
        return HEARTH_OK;
    }
    return refuse(t, op);
}

static bool moves(const struct trace *t, struct op *op) {
    bool any = tape_gradient(t->weights, &op->w) || tape_gradient(t->weights, &op->bias);
    for (int i = 0; i < OP_READS; i++)
        if (is_value(*op_read(op, i)))
            any = any || t->tape->values[value_of(*op_read(op, i))].moves;
    return any;
}

static hearth_status new_output(struct trace *t, uint32_t width, bool moving, struct view *out) {
    uint32_t value;
    RETURN_IF_ERROR(tape_new_value(t->tape, width, &value, t->err));
    t->tape->values[value].moves = moving;
    *out = (struct view){value_handle(value), 0, width};
    return HEARTH_OK;
}

/* A linear layer that adds to a value nobody has read writes a part of it. */
static hearth_status add_to_output(struct trace *t, struct op *op, struct view out,
                                   uint32_t width) {
    RETURN_IF_ERROR(find(t, op, out, width, &op->out));
    struct tape_value *value = &t->tape->values[value_of(op->out)];
    if (value->n_reads > 0) return refuse(t, op);
    value->moves = value->moves || moves(t, op);
    return HEARTH_OK;
}

/* Keys and values under the names of the cache's buffers. */
static hearth_status trace_kv_write(struct trace *t, const struct op *op, struct widths w) {
    const struct kv_layout *kv = &op->attention.layout;
    struct view k, v;
    RETURN_IF_ERROR(find(t, op, op->in, w.in, &k));
    RETURN_IF_ERROR(find(t, op, op->in2, w.in2, &v));
    RETURN_IF_ERROR(bind(t, kv->k, 0, w.in, k));
    return bind(t, kv->v, 0, w.in2, v);
}

static hearth_status complete_attention(struct trace *t, struct op *op) {
    const struct kv_layout *kv = &op->attention.layout;
    struct view k = {kv->k, 0, 0}, v = {kv->v, 0, 0};
    op->kind = OP_ATTENTION_TRAIN;
    op->attention.exact = t->tape->exact;
    RETURN_IF_ERROR(find(t, op, k, kv->n_head_kv * kv->d_k, &op->in2));
    RETURN_IF_ERROR(find(t, op, v, kv->n_head_kv * kv->d_v, &op->in3));
    return new_output(t, op->attention.n_head, false, &op->out2);
}

/* What an adapter reads with some of it dropped. Where there are adapters, they are all that is
 * trained of linear layers; those that do not add to an output are the first of two. */
static hearth_status trace_dropout(struct trace *t, struct op *op) {
    struct op drop = {.kind = OP_DROPOUT,
                      .layer = op->layer,
                      .in = op->in,
                      .width = op->w.cols,
                      .noise = {.probability = t->tape->dropout}};
    if (!(t->tape->dropout > 0) || op->linear.accumulate || !tape_gradient(t->weights, &op->w))
        return HEARTH_OK;
    drop.noise.site = ++t->tape->n_sites;
    RETURN_IF_ERROR(new_output(t, drop.width, moves(t, &drop), &drop.out));
    op->in = drop.out;
    return tape_append(t->tape, &drop, t->err);
}

/* NEFTune (Jain et al., arXiv 2310.05914): embeddings of a sequence of L tokens of d values
 * get noise of up to alpha / sqrt(L d). */
static hearth_status trace_noise(struct trace *t, const struct op *embed, struct view out) {
    uint32_t width = embed->w.cols;
    struct op noise = {.kind = OP_NOISE,
                       .layer = embed->layer,
                       .in = embed->out,
                       .width = width,
                       .scale = embed->scale * t->tape->neftune_alpha / sqrtf((float)width),
                       .noise = {.site = ++t->tape->n_sites}};
    RETURN_IF_ERROR(new_output(t, width, moves(t, &noise), &noise.out));
    RETURN_IF_ERROR(bind(t, out.buffer, out.offset, width, noise.out));
    return tape_append(t->tape, &noise, t->err);
}

/* Layers share the cosines and sines of their rotary positions. */
static hearth_status give_table(struct trace *t, struct op *op) {
    struct op table = {.kind = OP_ROPE_TABLE, .layer = NO_LAYER, .rope = op->rope};
    for (size_t i = 0; i < t->n_tables; i++) {
        const struct op *known = &t->tables[i];
        if (known->rope.inverse_frequency != op->rope.inverse_frequency ||
            known->rope.n_rot != op->rope.n_rot || known->rope.magnitude != op->rope.magnitude)
            continue;
        op->in2 = known->out;
        return HEARTH_OK;
    }
    if (t->n_tables == MAX_TABLES) return HEARTH_OK; /* computed by each layer */
    table.rope.inverse = false;
    RETURN_IF_ERROR(new_output(t, op->rope.n_rot, false, &table.out));
    op->in2 = table.out;
    t->tables[t->n_tables++] = table;
    return tape_append(t->tape, &table, t->err);
}

/* What scans read beside the first two views. */
static hearth_status find_scanned(const struct trace *t, const struct op *source, struct widths w,
                                  struct op *op) {
    bool mamba = source->kind == OP_MAMBA2;
    uint32_t heads = mamba ? source->mamba2.n_head : source->delta.n_head_v;
    RETURN_IF_ERROR(find(t, source, source->in3, mamba ? w.in2 : w.out, &op->in3));
    RETURN_IF_ERROR(find(t, source, source->in4, heads, &op->in4));
    return mamba ? HEARTH_OK : find(t, source, source->in5, heads, &op->in5);
}

/* Rows with experts are spread over their places once, for all matrices that read them. */
static hearth_status trace_spread(struct trace *t, struct op *op) {
    struct op spread = {.kind = OP_EXPERT_SPREAD,
                        .layer = op->layer,
                        .in = op->in,
                        .in2 = t->route,
                        .width = op->w.cols,
                        .expert = op->expert};
    bool known = t->spread.in.buffer == op->in.buffer && t->spread.in.offset == op->in.offset &&
                 t->spread.width == spread.width;
    if (!known) {
        RETURN_IF_ERROR(new_output(t, spread.width, moves(t, &spread), &spread.out));
        t->tape->values[value_of(spread.out)].row_factor = op->expert.n_used;
        RETURN_IF_ERROR(tape_append(t->tape, &spread, t->err));
        t->spread = spread;
    }
    op->in = t->spread.out;
    return HEARTH_OK;
}

/* Operations between experts read the weights of the chosen, so that the choice is there
 * whenever they are carried out. */
static hearth_status complete_expert(struct trace *t, struct op *op) {
    op->in2 = t->route;
    op->expert.exact = t->tape->exact;
    if (op->kind != OP_EXPERT_LINEAR) return HEARTH_OK;
    op->kind = OP_EXPERT_LINEAR_TRAIN;
    return op->expert.per_expert_rows ? HEARTH_OK : trace_spread(t, op);
}

/* Rows of a value for each row of the batch: of what experts give, one for each that is used. */
static uint32_t row_factor(const struct op *op) {
    if (op->kind == OP_EXPERT_LINEAR_TRAIN) return op->expert.n_used;
    return op->row_factor > 1 ? op->row_factor : 1;
}

static hearth_status note_output(struct trace *t, const struct op *source, uint32_t width,
                                 struct view out) {
    if (source->kind != OP_EXPERT_ROUTE)
        return bind(t, source->out.buffer, source->out.offset, width, out);
    t->route = out;
    t->spread = (struct op){0};
    return HEARTH_OK;
}

static bool may_have_factor(enum op_kind kind) {
    return kind == OP_GATED || kind == OP_ACTIVATE;
}

static hearth_status trace_op(struct trace *t, const struct op *source) {
    struct widths w;
    struct op op = *source;
    op.rows = ROWS_ALL;
    op.adapter = 0; /* what is trained is there for every row */
    if (!widths_of(source, &w) || (source->row_factor > 1 && !may_have_factor(source->kind)))
        return refuse(t, source);
    if (op.kind == OP_KV_WRITE) return trace_kv_write(t, source, w);
    if (w.in) RETURN_IF_ERROR(find(t, source, source->in, w.in, &op.in));
    if (w.in2) RETURN_IF_ERROR(find(t, source, source->in2, w.in2, &op.in2));
    if (op.kind == OP_GATHER_ROWS)
        return bind(t, source->out.buffer, source->out.offset, w.out, op.in);
    if (op.kind == OP_ATTENTION) RETURN_IF_ERROR(complete_attention(t, &op));
    if (op.kind == OP_ROPE) RETURN_IF_ERROR(give_table(t, &op));
    if (op.kind == OP_DELTA_NET || op.kind == OP_MAMBA2)
        RETURN_IF_ERROR(find_scanned(t, source, w, &op));
    if (op.kind == OP_EXPERT_LINEAR || op.kind == OP_EXPERT_SUM)
        RETURN_IF_ERROR(complete_expert(t, &op));
    if (op.kind == OP_LINEAR) {
        op.kind = OP_LINEAR_TRAIN;
        op.linear.exact = t->tape->exact;
        RETURN_IF_ERROR(trace_dropout(t, &op));
    }
    if (op.kind == OP_LINEAR_TRAIN && op.linear.accumulate)
        RETURN_IF_ERROR(add_to_output(t, &op, source->out, w.out));
    else {
        RETURN_IF_ERROR(new_output(t, w.out, moves(t, &op), &op.out));
        t->tape->values[value_of(op.out)].row_factor = row_factor(&op);
        RETURN_IF_ERROR(note_output(t, source, w.out, op.out));
    }
    bool noisy = op.kind == OP_EMBED && t->tape->neftune_alpha > 0 && t->tape->plan.n_ops == 0;
    RETURN_IF_ERROR(tape_append(t->tape, &op, t->err));
    return noisy ? trace_noise(t, &op, source->out) : HEARTH_OK;
}

/* The output layer and what follows it. */
static hearth_status trace_loss(struct trace *t, const struct op *linear, const struct op *after) {
    struct op op = *linear;
    op.kind = OP_CROSS_ENTROPY;
    op.rows = ROWS_ALL;
    op.out = (struct view){0};
    RETURN_IF_ERROR(find(t, linear, linear->in, linear->w.cols, &op.in));
    if (after && after->kind != OP_SOFTCAP) return refuse(t, after);
    op.cross_entropy.softcap = after ? after->softcap.cap : 0;
    op.cross_entropy.exact = t->tape->exact;
    op.cross_entropy.chunk_rows = t->tape->chunk_rows;
    op.cross_entropy.scratch = 0;
    t->tape->n_forward = t->tape->plan.n_ops;
    return tape_append(t->tape, &op, t->err);
}

static hearth_status trace_plans(struct trace *t, const struct plan *body,
                                 const struct plan *head) {
    for (size_t i = 0; i < body->n_ops; i++)
        RETURN_IF_ERROR(trace_op(t, &body->ops[i]));
    for (size_t i = 0; i < head->n_ops; i++) {
        const struct op *op = &head->ops[i];
        if (op->kind == OP_LINEAR) return trace_loss(t, op, i + 1 < head->n_ops ? op + 1 : NULL);
        RETURN_IF_ERROR(trace_op(t, op));
    }
    return error_set(t->err, HEARTH_ERROR_UNSUPPORTED, "a model without logits cannot be trained");
}

hearth_status tape_trace(struct tape *tape, const struct plan *body, const struct plan *head,
                         const struct tape_weights *weights, hearth_error *err) {
    struct trace *t = mem_calloc(1, sizeof *t);
    if (!t) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the steps of training");
    t->tape = tape;
    t->weights = weights;
    t->err = err;
    hearth_status status = trace_plans(t, body, head);
    mem_free(t);
    return status;
}
