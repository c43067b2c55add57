/* imatrix.h - importance matrices: how strongly the input columns of each linear layer
 * are used, measured over a text, so that quantising errs where it matters least.
 *
 * Two file formats hold them. The present one is GGUF with general.type "imatrix" and
 * for each weight W the tensors
 *     W.in_sum2  F32 [columns, matrices]  sums of squared inputs
 *     W.counts   F32 [1, matrices]        rows that were summed
 * where a matrix is an expert. The older one (imatrix.dat) is a list of names and
 * vectors, little-endian: i32 n; n times (i32 length, name, i32 calls, i32 values,
 * f32 [values] mean squares times calls); i32 chunks; i32 length, name of the text. */
#ifndef HEARTH_FORMAT_IMATRIX_H
#define HEARTH_FORMAT_IMATRIX_H

#include "format/directory.h"

struct imatrix_entry {
    const char *weight;   /* name of the tensor */
    size_t n_values;      /* columns x matrices */
    const float *squares; /* [n_values] mean squares; 1 for experts that were never used */
};

struct imatrix {
    struct imatrix_entry *entries; /* sorted by name */
    size_t n_entries;
    const char *dataset; /* name of the text, "" when unknown */
    uint32_t n_chunks;
    struct arena arena;
};

/* Opens either format; imatrix_close in every case. */
hearth_status imatrix_open(struct imatrix *matrix, const char *path, hearth_error *err);
void imatrix_close(struct imatrix *matrix);
const struct imatrix_entry *imatrix_find(const struct imatrix *matrix, const char *weight);

/* What a measurement gives for one weight. */
struct imatrix_sums {
    const char *weight;
    size_t n_columns, n_matrices;
    const double *sums;     /* [n_matrices][n_columns] of squares */
    const uint64_t *counts; /* [n_matrices] */
};

/* Writes the present format, atomically, in the order given. */
hearth_status imatrix_write(const char *path, const struct imatrix_sums *sums, size_t n_sums,
                            const char *dataset, uint32_t n_chunks, uint32_t chunk_size,
                            hearth_error *err);

#endif
