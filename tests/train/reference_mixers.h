/* reference_mixers.h - layers of expert models and of hybrids in double precision, straight
 * from their formulas (kernels/scan.h, device/plan.h): what plan_reference.c carries out. */
#ifndef HEARTH_TESTS_TRAIN_REFERENCE_MIXERS_H
#define HEARTH_TESTS_TRAIN_REFERENCE_MIXERS_H

#include "device/plan.h"

/* Rows of one sequence; row t is at[t * stride]. */
struct reference_rows {
    double *at;
    size_t stride;
};

/* The inputs are those of the operation, in its order. */
void reference_delta_net(const struct op *op, size_t n_rows, const struct reference_rows in[5],
                         struct reference_rows out);
/* a, d: [n_head] */
void reference_mamba2(const struct op *op, size_t n_rows, const struct reference_rows in[4],
                      const double *a, const double *d, struct reference_rows out);
/* Experts of one row and their weights, [n_used]; bias and factors [n_expert] may be NULL. */
void reference_route(const struct op *op, const double *logits, const double *bias,
                     const double *factors, uint32_t *chosen, double *weights);

#endif
