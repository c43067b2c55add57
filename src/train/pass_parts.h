/* pass_parts.h - where a pass through a graph can be cut, so that whoever keeps weights and
 * gradients elsewhere brings them before they are needed and takes them when they are complete.
 *
 * A part is a stretch of operations of one layer; those between layers that touch nothing that
 * is trained belong to the part before. Parts depend on the model and the options of its graph
 * only, so that all ranks of a run have the same. */
#ifndef HEARTH_TRAIN_PASS_PARTS_H
#define HEARTH_TRAIN_PASS_PARTS_H

#include "base/status.h"
#include "train/parameter.h"

struct tape;

#define NO_PART SIZE_MAX

struct pass_part {
    size_t begin, end; /* operations of the tape */
    bool backward;
    struct parameter_list reads;     /* whose values its operations read */
    struct parameter_list completes; /* whose gradients no later part adds to */
};

struct pass_parts {
    /* [n + 1]: n_forward parts of the forward pass, those of the backward pass, of which the
     * first is the loss, and at n the loss without gradients. */
    struct pass_part *items;
    size_t n_forward, n;
    uint32_t *numbers; /* of all lists */
};

/* Called on the thread that runs a graph, before and after the operations of a part. `next` is
 * the part that follows in the same pass; NO_PART: none. */
struct pass_observer {
    void *context;
    hearth_status (*enter)(void *context, size_t part, size_t next,
                           hearth_error *err); /* or NULL */
    hearth_status (*leave)(void *context, size_t part, size_t next, hearth_error *err);
};

/* `tape` has its backward operations. pass_parts_close follows in every case. */
hearth_status pass_parts_open(struct pass_parts *out, const struct tape *tape,
                              const struct parameter *parameters, size_t n_parameters,
                              hearth_error *err);
void pass_parts_close(struct pass_parts *parts); /* zeroed is fine */

/* The most trained values that a pass has whole at one time: weights of a part and the next,
 * and gradients from the first operation that adds to them until a part after the last. */
uint64_t pass_parts_most_whole(const struct pass_parts *parts, const struct tape *tape,
                               const struct parameter *parameters, size_t n_parameters,
                               bool weights, bool gradients);

#endif
