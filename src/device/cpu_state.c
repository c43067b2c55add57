/* What the recurrent operations share: states on their way from row to row and from slot to
 * slot, and the decay of a head over the rows. */
#include <string.h>

#include "device/cpu_device.h"

static uint32_t slot_after(const struct batch_run *part, size_t i) {
    return part->row_slots ? part->row_slots[i] : part->state_slot;
}

float *cpu_state_for_row(const struct state_part *state, const struct batch_run *part, size_t i) {
    uint32_t from = i > 0 ? slot_after(part, i - 1) : part->state_slot, to = slot_after(part, i);
    const float *old = state->first + from * state->slot_floats;
    float *new = state->first + to * state->slot_floats;
    bool forget = i == 0 && part->fresh;
    if (!forget && from == to) return new;
    for (size_t span = 0; span < state->n_spans; span++) {
        float *x = new + span * state->stride;
        if (forget)
            memset(x, 0, state->width * sizeof *x);
        else
            memcpy(x, old + span * state->stride, state->width * sizeof *x);
    }
    return new;
}

size_t cpu_rows_in_place(const struct batch_run *part, size_t i) {
    return part->row_slots ? 1 : part->n_rows - i;
}

void cpu_exp_column(const struct cpu_run *run, struct view x, size_t row, size_t n, size_t column,
                    float scale, float *out) {
    const float *at = view_row(run, x, row) + column;
    for (size_t i = 0; i < n; i++)
        out[i] = scale * at[i * x.stride];
    run->k->exp_sum(out, 0, n);
}
