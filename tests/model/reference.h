/* reference.h - the parts of plain reference implementations: double precision, one
 * value at a time, straight from the formulas. Shares nothing with the engine but the
 * reader of files.
 *
 * Weights are [rows][cols] as in the file; activations [T][width]. */
#ifndef HEARTH_TESTS_MODEL_REFERENCE_H
#define HEARTH_TESTS_MODEL_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/directory.h"

/* The values of an F32 tensor as doubles, or NULL; valid until reference_release. */
const double *reference_tensor(const struct directory *dir, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
double *reference_alloc(size_t n); /* zeroed, valid until reference_release */
void reference_release(void);

/* Metadata "<architecture>.<key>"; the fallback when it is absent. */
uint32_t reference_u32(const struct directory *dir, const char *key, uint32_t fallback);
double reference_f32(const struct directory *dir, const char *key, double fallback);
/* Element `i` where the key is an array. */
uint32_t reference_u32_at(const struct directory *dir, const char *key, uint32_t i,
                          uint32_t fallback);

/* y [n_out] = w [n_out][n_in] x + bias; bias may be NULL. */
void reference_linear(double *y, const double *x, const double *w, const double *bias, size_t n_in,
                      size_t n_out);
void reference_rms_norm(double *y, const double *x, const double *w, size_t n, double eps);
void reference_layer_norm(double *y, const double *x, const double *w, const double *bias, size_t n,
                          double eps);
/* Turns the first n_rot values of a head; pair i by position * base^(-2i / n_rot) /
 * factors[i]. `halves`: pairs (i, i + n_rot / 2), else (2i, 2i + 1). */
void reference_rotate(double *head, uint32_t n_rot, uint32_t position, double base,
                      const double *factors, bool halves);
double reference_silu(double x);
double reference_gelu(double x);     /* tanh form */
double reference_gelu_erf(double x); /* exact */
void reference_softmax(double *x, size_t n);

/* One head's attention of one row over rows [begin, end) of k and v. */
struct reference_attention {
    const double *k, *v; /* of the kv head, row t at + t * stride */
    size_t k_stride, v_stride, d_k, d_v, begin, end;
    double scale;
};
void reference_attend(double *out, const double *q, const struct reference_attention *a);

#endif
