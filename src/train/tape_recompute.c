/* Gradient checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv
 * 1604.06174): of a layer only what the next layers read is kept; the rest is computed a
 * second time, by the same operations, when its gradients are due. Or only what costs next to
 * nothing to compute is left out (Korthikanti et al., "Reducing Activation Recomputation in
 * Large Transformer Models", arXiv 2205.05198). */
#include <string.h>

#include "base/mem.h"
#include "train/tape.h"

struct recompute {
    struct tape *tape;
    enum tape_kept kept;
    struct plan result;
    uint32_t *layer; /* [n_values] that keeps the value to itself; NO_LAYER: it is kept */
    bool *wanted;    /* [n_values] again, by the backward operations of the layer at hand */
    uint32_t *again; /* [n_values] its second version */
    size_t n_values; /* before second versions */
    hearth_error *err;
};

static void note_reader(struct recompute *r, struct view view, uint32_t layer) {
    if (is_value(view) && r->layer[value_of(view)] != layer) r->layer[value_of(view)] = NO_LAYER;
}

static void find_layers(struct recompute *r) {
    struct tape *tape = r->tape;
    for (size_t v = 0; v < r->n_values; v++)
        r->layer[v] = NO_LAYER;
    for (size_t i = 0; i < tape->n_forward; i++)
        for (int w = 0; w < OP_WRITES; w++) {
            struct view view = *op_written(&tape->plan.ops[i], w);
            if (is_value(view)) r->layer[value_of(view)] = tape->plan.ops[i].layer;
        }
    for (size_t i = 0; i <= tape->n_forward; i++)
        for (int v = 0; v < OP_READS; v++)
            note_reader(r, *op_read(&tape->plan.ops[i], v), tape->plan.ops[i].layer);
}

static bool is_cheap(enum op_kind kind) {
    return kind == OP_NORM || kind == OP_GATED || kind == OP_ACTIVATE;
}

/* Whatever an operation that is not cheap had a part in is kept. */
static void keep_products(struct recompute *r) {
    for (size_t i = 0; i < r->tape->n_forward; i++) {
        struct op *op = &r->tape->plan.ops[i];
        for (int w = 0; w < OP_WRITES && !is_cheap(op->kind); w++)
            if (is_value(*op_written(op, w))) r->layer[value_of(*op_written(op, w))] = NO_LAYER;
    }
}

static void want_reads(struct recompute *r, struct op *op, uint32_t layer) {
    for (int i = 0; i < OP_READS; i++) {
        struct view view = *op_read(op, i);
        if (is_value(view) && value_of(view) < r->n_values && r->layer[value_of(view)] == layer)
            r->wanted[value_of(view)] = true;
    }
}

static bool gives_wanted(const struct recompute *r, struct op *op) {
    for (int i = 0; i < OP_WRITES; i++)
        if (is_value(*op_written(op, i)) && r->wanted[value_of(*op_written(op, i))]) return true;
    return false;
}

static hearth_status second_version(struct recompute *r, struct view *view, uint32_t layer) {
    if (!is_value(*view) || value_of(*view) >= r->n_values) return HEARTH_OK;
    uint32_t value = value_of(*view);
    if (r->layer[value] != layer || layer == NO_LAYER) return HEARTH_OK;
    if (r->again[value] == TAPE_NONE) {
        struct tape *tape = r->tape;
        RETURN_IF_ERROR(tape_new_value(tape, tape->values[value].width, &r->again[value], r->err));
        tape->values[r->again[value]].row_factor = tape->values[value].row_factor;
    }
    view->buffer = value_handle(r->again[value]);
    return HEARTH_OK;
}

static hearth_status append_again(struct recompute *r, struct op op, uint32_t layer) {
    for (int i = 0; i < OP_READS; i++)
        RETURN_IF_ERROR(second_version(r, op_read(&op, i), layer));
    for (int i = 0; i < OP_WRITES; i++)
        RETURN_IF_ERROR(second_version(r, op_written(&op, i), layer));
    return plan_append(&r->result, &op, r->err);
}

/* The backward operations [begin, end) of one layer, what they need before them. */
static hearth_status append_layer(struct recompute *r, size_t begin, size_t end) {
    struct op *ops = r->tape->plan.ops;
    uint32_t layer = ops[begin].layer;
    memset(r->wanted, 0, r->n_values * sizeof *r->wanted);
    for (size_t i = begin; i < end && layer != NO_LAYER; i++)
        want_reads(r, &ops[i], layer);
    for (size_t i = r->tape->n_forward; i-- > 0;)
        if (ops[i].layer == layer && gives_wanted(r, &ops[i])) want_reads(r, &ops[i], layer);
    for (size_t i = 0; i < r->tape->n_forward; i++)
        if (ops[i].layer == layer && gives_wanted(r, &ops[i]))
            RETURN_IF_ERROR(append_again(r, ops[i], layer));
    for (size_t i = begin; i < end; i++)
        RETURN_IF_ERROR(append_again(r, ops[i], layer));
    return HEARTH_OK;
}

static hearth_status rebuild(struct recompute *r) {
    const struct plan *plan = &r->tape->plan;
    find_layers(r);
    if (r->kept == TAPE_KEEP_PRODUCTS) keep_products(r);
    for (size_t i = 0; i < r->tape->n_forward; i++)
        RETURN_IF_ERROR(plan_append(&r->result, &plan->ops[i], r->err));
    for (size_t i = r->tape->n_forward, end; i < plan->n_ops; i = end) {
        for (end = i + 1; end < plan->n_ops && plan->ops[end].layer == plan->ops[i].layer;)
            end++;
        RETURN_IF_ERROR(append_layer(r, i, end));
    }
    return HEARTH_OK;
}

hearth_status tape_recompute(struct tape *tape, enum tape_kept kept, hearth_error *err) {
    struct recompute r = {.tape = tape, .kept = kept, .n_values = tape->n_values, .err = err};
    hearth_status status = HEARTH_ERROR_NO_MEMORY;
    r.layer = mem_calloc(r.n_values, sizeof *r.layer);
    r.wanted = mem_calloc(r.n_values, sizeof *r.wanted);
    r.again = mem_calloc(r.n_values, sizeof *r.again);
    if (r.layer && r.wanted && r.again)
        status = rebuild(&r);
    else
        error_set(err, status, "no memory for the steps of training");
    if (status == HEARTH_OK) {
        plan_release(&tape->plan);
        tape->plan = r.result;
        r.result = (struct plan){0};
    }
    plan_release(&r.result);
    mem_free(r.layer);
    mem_free(r.wanted);
    mem_free(r.again);
    return status;
}
