/* scan.h - the recurrences of layers that keep a state: some rows, one after the other,
 * over some columns of the state.
 *
 * Columns never see each other, and a row sees nothing of the rows before it but the state
 * that they left: cutting a scan between rows or between columns changes no bit. */
#ifndef HEARTH_KERNELS_SCAN_H
#define HEARTH_KERNELS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Columns that a caller should give to one scan: the state of so many stays in the
 * first-level cache from row to row. */
enum { SCAN_COLUMNS = 32 };

struct scan_in {
    const float *at;
    size_t stride; /* from row to row */
};

struct scan_out {
    float *at;
    size_t stride;
};

/* Causal depthwise convolution: y[t] = bias + sum_j w[j] x[t - taps + 1 + j], then SiLU if
 * asked for. y may be x. */
struct conv_scan {
    size_t n_rows, n_columns, taps;
    struct scan_in x;
    struct scan_out y;
    const float *w;     /* [taps][n_columns] */
    const float *bias;  /* [n_columns] or NULL */
    float *kept;        /* [taps - 1][n_columns]: the inputs before the next row, oldest first */
    size_t kept_stride; /* from one of them to the next */
    bool silu;
};

/* The gated delta rule (Yang et al., arXiv 2412.06464, equation 10) of one head:
 *   S <- decay S;  u = beta (v - S^T k);  S <- S + k u^T;  o = scale S^T q */
struct delta_scan {
    size_t n_rows, n_columns, d_k;
    struct scan_in q, k; /* [d_k] a row */
    struct scan_in v;    /* [n_columns] a row */
    struct scan_in beta; /* one value a row */
    const float *decay;  /* [n_rows] */
    float scale;
    float *state; /* [d_k][n_columns] */
    size_t state_stride;
    struct scan_out o; /* [n_columns] a row */
};

/* The selective state space of Mamba-2 (Dao & Gu, arXiv 2405.21060, section 2) of one head:
 *   h <- decay h + b (dt x)^T;  y = h^T c + skip x */
struct mamba2_scan {
    size_t n_rows, n_columns, d_state;
    struct scan_in x;    /* [n_columns] a row */
    struct scan_in b, c; /* [d_state] a row */
    struct scan_in dt;   /* one value a row */
    const float *decay;  /* [n_rows] */
    float skip;
    float *state; /* [d_state][n_columns] */
    size_t state_stride;
    struct scan_out y; /* [n_columns] a row */
};

#endif
