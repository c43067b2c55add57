/* tape.h - a plan over values instead of buffers, and the steps from a model's forward plan
 * to what a training step runs.
 *
 * A value is one version of something activations are written to: it is written by one
 * operation (and by linear layers that add to it before anybody reads it), so that whoever
 * needs it for a gradient finds it unchanged. In an operation of a tape, a view's `buffer` is
 * value_handle(value), its `offset` a column of that value.
 *
 *   tape_trace       forward plan -> forward operations over values
 *   tape_derive      appends the backward operations, last first
 *   tape_recompute   drops what layers keep inside and computes it again before it is needed
 *   tape_place       gives values that live at different times the same memory
 *
 * Weights and their gradients are real buffers throughout. Shapes are [T, width]. */
#ifndef HEARTH_TRAIN_TAPE_H
#define HEARTH_TRAIN_TAPE_H

#include "device/device.h"

enum { TAPE_NONE = 0 };
#define TAPE_VALUES (UINT32_C(1) << 31) /* handles from here on are values */

struct tape_value {
    uint32_t width;
    uint32_t row_factor; /* rows of it for each row of the batch; [T row_factor, width] */
    uint32_t n_reads;
    uint32_t n_sharers; /* gradients that are kept in it, of values still to be differentiated */
    bool moves;         /* a trained weight is upstream: its gradient is wanted */
    /* Filled by tape_place. */
    size_t first, last; /* operations that touch it */
    uint32_t slot;
};

struct tape_slot {
    uint32_t width, row_factor;
    uint32_t holder; /* value, while placing; TAPE_NONE: free */
    device_buffer buffer;
};

struct tape {
    struct plan plan;
    size_t n_forward; /* operations before the first backward one, which is OP_CROSS_ENTROPY */
    struct tape_value *values; /* [1 .. n_values - 1] */
    size_t n_values, values_capacity;
    struct tape_slot *slots;
    size_t n_slots;
    bool exact;
    uint32_t chunk_rows; /* of OP_CROSS_ENTROPY */
    float dropout;       /* of what adapters read; 0: none */
    float neftune_alpha; /* of the embeddings' noise; 0: none */
    uint32_t n_sites;    /* of noise */
};

/* Who trains what: the gradient of a weight's buffer; 0: the weight is frozen. */
struct tape_weights {
    const device_buffer *gradients; /* [n], by handle of the weight */
    size_t n;
};

static inline device_buffer value_handle(uint32_t value) {
    return TAPE_VALUES | value;
}

static inline bool is_value(struct view view) {
    return (view.buffer & TAPE_VALUES) != 0;
}

static inline uint32_t value_of(struct view view) {
    return view.buffer & ~TAPE_VALUES;
}

/* The views of an operation: those that are read, then those that are written. */
enum { OP_READS = 6, OP_WRITES = 6 };
static inline struct view *op_read(struct op *op, int i) {
    struct view *views[OP_READS] = {&op->in, &op->in2, &op->in3, &op->in4, &op->in5, &op->in6};
    return views[i];
}
static inline struct view *op_written(struct op *op, int i) {
    struct view *views[OP_WRITES] = {&op->out,  &op->out2, &op->out3,
                                     &op->out4, &op->out5, &op->out6};
    return views[i];
}

/* What of a layer is kept for its gradients. */
enum tape_kept {
    TAPE_KEEP_ENDS,    /* what other layers read */
    TAPE_KEEP_PRODUCTS /* all but norms and activations */
};

void tape_init(struct tape *tape);
void tape_release(struct tape *tape);
hearth_status tape_new_value(struct tape *tape, uint32_t width, uint32_t *value, hearth_error *err);
hearth_status tape_append(struct tape *tape, const struct op *op, hearth_error *err);

static inline device_buffer tape_gradient(const struct tape_weights *weights,
                                          const struct weight *w) {
    return w->buffer && w->buffer < weights->n ? weights->gradients[w->buffer] : 0;
}

hearth_status tape_trace(struct tape *tape, const struct plan *body, const struct plan *head,
                         const struct tape_weights *weights, hearth_error *err);
hearth_status tape_derive(struct tape *tape, const struct tape_weights *weights, hearth_error *err);
hearth_status tape_recompute(struct tape *tape, enum tape_kept kept, hearth_error *err);
hearth_status tape_place(struct tape *tape, hearth_error *err);
/* Bytes of the slots for batches of up to max_rows rows. */
uint64_t tape_bytes(const struct tape *tape, uint32_t max_rows);
/* Allocates the slots and puts them into the operations. */
hearth_status tape_settle(struct tape *tape, struct device *device, uint32_t max_rows,
                          hearth_error *err);

#endif
