#include "train/tape.h"

#include "base/mem.h"

enum { TAPE_MAX_VALUES = 1 << 22 };

void tape_init(struct tape *tape) {
    *tape = (struct tape){.n_values = 1};
}

void tape_release(struct tape *tape) {
    plan_release(&tape->plan);
    mem_free(tape->values);
    mem_free(tape->slots);
    tape_init(tape);
}

hearth_status tape_new_value(struct tape *tape, uint32_t width, uint32_t *value,
                             hearth_error *err) {
    if (tape->n_values >= tape->values_capacity) {
        size_t capacity = tape->values_capacity ? 2 * tape->values_capacity : 256;
        struct tape_value *grown = capacity <= TAPE_MAX_VALUES
                                       ? mem_realloc_array(tape->values, capacity, sizeof *grown)
                                       : NULL;
        if (!grown)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for value %zu of a step",
                             tape->n_values);
        tape->values = grown;
        tape->values_capacity = capacity;
    }
    *value = (uint32_t)tape->n_values++;
    tape->values[*value] = (struct tape_value){.width = width, .row_factor = 1};
    return HEARTH_OK;
}

hearth_status tape_append(struct tape *tape, const struct op *op, hearth_error *err) {
    struct op counted = *op;
    for (int i = 0; i < OP_READS; i++)
        if (is_value(*op_read(&counted, i)))
            tape->values[value_of(*op_read(&counted, i))].n_reads++;
    return plan_append(&tape->plan, op, err);
}
