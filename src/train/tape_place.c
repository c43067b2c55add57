/* Memory of values: a value lives from the first to the last operation that touches it; those
 * that never live together may have the same slot, and an element-wise operation may write
 * where it read for the last time. */
#include <string.h>

#include "base/mem.h"
#include "train/tape.h"

enum { MOST_WASTE = 2 /* a free slot is taken if it is at most so many times too wide */ };

static struct view *view_at(struct op *op, int i) {
    return i < OP_READS ? op_read(op, i) : op_written(op, i - OP_READS);
}

static void measure_lives(struct tape *tape) {
    for (size_t v = 0; v < tape->n_values; v++)
        tape->values[v].first = SIZE_MAX;
    for (size_t i = 0; i < tape->plan.n_ops; i++)
        for (int k = 0; k < OP_READS + OP_WRITES; k++) {
            struct view view = *view_at(&tape->plan.ops[i], k);
            if (!is_value(view)) continue;
            struct tape_value *value = &tape->values[value_of(view)];
            if (value->first == SIZE_MAX) value->first = i;
            value->last = i;
        }
}

/* Operations that read a value of `in` before they write it, and never again. */
static bool writes_in_place(enum op_kind kind) {
    switch (kind) {
    case OP_ADD:
    case OP_SCALE:
    case OP_ADD_ROW:
    case OP_MUL_ROW:
    case OP_ACTIVATE:
    case OP_GATED:
    case OP_SOFTCAP:
    case OP_ROPE:
    case OP_POSITION_SCALE:
    case OP_DROPOUT:
    case OP_NOISE:
    case OP_ACTIVATE_BACK:
    case OP_SOFTCAP_BACK: return true;
    default: return false;
    }
}

static bool takes_over(const struct tape *tape, const struct op *op, size_t at, uint32_t value) {
    if (!writes_in_place(op->kind) || !is_value(op->in) || value_of(op->out) != value) return false;
    const struct tape_value *in = &tape->values[value_of(op->in)];
    bool other_reads = op->in2.buffer == op->in.buffer;
    return !other_reads && op->in.offset == 0 && in->last == at &&
           in->width == tape->values[value].width &&
           in->row_factor == tape->values[value].row_factor;
}

static hearth_status find_slot(struct tape *tape, size_t at, uint32_t value, hearth_error *err) {
    const struct op *op = &tape->plan.ops[at];
    uint32_t width = tape->values[value].width, factor = tape->values[value].row_factor;
    uint32_t best = UINT32_MAX;
    if (takes_over(tape, op, at, value)) {
        tape->values[value].slot = tape->values[value_of(op->in)].slot;
        tape->slots[tape->values[value].slot].holder = value;
        return HEARTH_OK;
    }
    for (uint32_t s = 0; s < tape->n_slots; s++) {
        const struct tape_slot *slot = &tape->slots[s];
        if (slot->holder != TAPE_NONE || slot->row_factor != factor || slot->width < width ||
            slot->width / MOST_WASTE > width)
            continue;
        if (best == UINT32_MAX || slot->width < tape->slots[best].width) best = s;
    }
    if (best == UINT32_MAX) {
        struct tape_slot *grown = mem_realloc_array(tape->slots, tape->n_slots + 1, sizeof *grown);
        if (!grown) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to place values");
        tape->slots = grown;
        best = (uint32_t)tape->n_slots++;
        tape->slots[best] = (struct tape_slot){.width = width, .row_factor = factor};
    }
    tape->values[value].slot = best;
    tape->slots[best].holder = value;
    return HEARTH_OK;
}

hearth_status tape_place(struct tape *tape, hearth_error *err) {
    measure_lives(tape);
    for (size_t i = 0; i < tape->plan.n_ops; i++) {
        struct op *op = &tape->plan.ops[i];
        for (int k = 0; k < OP_WRITES; k++) {
            struct view view = *op_written(op, k);
            if (is_value(view) && tape->values[value_of(view)].first == i)
                RETURN_IF_ERROR(find_slot(tape, i, value_of(view), err));
        }
        for (int k = 0; k < OP_READS + OP_WRITES; k++) {
            struct view view = *view_at(op, k);
            if (!is_value(view) || tape->values[value_of(view)].last != i) continue;
            struct tape_slot *slot = &tape->slots[tape->values[value_of(view)].slot];
            if (slot->holder == value_of(view)) slot->holder = TAPE_NONE;
        }
    }
    return HEARTH_OK;
}

uint64_t tape_bytes(const struct tape *tape, uint32_t max_rows) {
    uint64_t floats = 0;
    for (size_t s = 0; s < tape->n_slots; s++)
        floats += (uint64_t)tape->slots[s].width * tape->slots[s].row_factor * max_rows;
    return floats * sizeof(float);
}

static void settle_view(const struct tape *tape, struct view *view) {
    if (!is_value(*view)) return;
    const struct tape_slot *slot = &tape->slots[tape->values[value_of(*view)].slot];
    view->buffer = slot->buffer;
    view->stride = slot->width;
}

hearth_status tape_settle(struct tape *tape, struct device *device, uint32_t max_rows,
                          hearth_error *err) {
    for (size_t s = 0; s < tape->n_slots; s++) {
        struct tape_slot *slot = &tape->slots[s];
        uint64_t rows = (uint64_t)slot->row_factor * max_rows;
        RETURN_IF_ERROR(
            device_alloc(device, slot->width * rows * sizeof(float), &slot->buffer, err));
    }
    for (size_t i = 0; i < tape->plan.n_ops; i++)
        for (int k = 0; k < OP_READS + OP_WRITES; k++)
            settle_view(tape, view_at(&tape->plan.ops[i], k));
    return HEARTH_OK;
}
