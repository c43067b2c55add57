/* scan_kernels.h - the recurrences of scan.h, written once over vector words.
 *
 * Included by one source file per level after activation_kernels.h. A tile takes `vecs` vectors
 * of columns through all rows of the scan; a last vector that is not full has `rest`
 * columns, elsewhere rest is the constant 0. */
#ifndef HEARTH_KERNELS_SCAN_KERNELS_H
#define HEARTH_KERNELS_SCAN_KERNELS_H

#include "kernels/activation_kernels.h"

enum { SCAN_VECS = SCAN_COLUMNS / VF_LANES };

ALWAYS_INLINE vf load_columns(const float *p, size_t rest) {
    return rest ? vf_load_some(p, rest) : vf_load(p);
}

ALWAYS_INLINE void store_columns(float *p, vf a, size_t rest) {
    if (rest)
        vf_store_some(p, a, rest);
    else
        vf_store(p, a);
}

/* Calls tile(s, first column, vecs, rest) for all columns. */
#define FOR_COLUMNS(tile, s)                                                                       \
    do {                                                                                           \
        size_t c = 0, n = (s)->n_columns;                                                          \
        for (; c + SCAN_COLUMNS <= n; c += SCAN_COLUMNS)                                           \
            tile(s, c, SCAN_VECS, 0);                                                              \
        for (; c + VF_LANES <= n; c += VF_LANES)                                                   \
            tile(s, c, 1, 0);                                                                      \
        if (c < n) tile(s, c, 1, n - c);                                                           \
    } while (0)

enum { CONV_MOST_KEPT = 3, CONV_ROWS = 4 };

ALWAYS_INLINE void conv_store(const struct conv_scan *s, size_t t, size_t c, vf sum, size_t rest) {
    store_columns(s->y.at + t * s->y.stride + c, s->silu ? vf_silu(sum) : sum, rest);
}

/* `rows` rows of one vector of columns, with `kept` inputs before them: both constants. */
ALWAYS_INLINE void conv_group(const struct conv_scan *s, size_t t, int rows, size_t c, int kept,
                              size_t rest) {
    vf in[CONV_MOST_KEPT + CONV_ROWS], sum[CONV_ROWS];
    vf bias = s->bias ? load_columns(s->bias + c, rest) : vf_zero();
    UNROLL for (int j = 0; j < kept; j++) in[j] =
        load_columns(s->kept + (size_t)j * s->kept_stride + c, rest);
    UNROLL for (int r = 0; r < rows; r++) {
        in[kept + r] = load_columns(s->x.at + (t + (size_t)r) * s->x.stride + c, rest);
        sum[r] = bias;
    }
    UNROLL for (int j = 0; j <= kept; j++) {
        vf w = load_columns(s->w + (size_t)j * s->n_columns + c, rest);
        UNROLL for (int r = 0; r < rows; r++) sum[r] = vf_fma(in[r + j], w, sum[r]);
    }
    UNROLL for (int r = 0; r < rows; r++) conv_store(s, t + (size_t)r, c, sum[r], rest);
    UNROLL for (int j = 0; j < kept; j++)
        store_columns(s->kept + (size_t)j * s->kept_stride + c, in[rows + j], rest);
}

ALWAYS_INLINE void conv_rows(const struct conv_scan *s, size_t t, int rows, int kept) {
    size_t c = 0;
    for (; c + VF_LANES <= s->n_columns; c += VF_LANES)
        conv_group(s, t, rows, c, kept, 0);
    if (c < s->n_columns) conv_group(s, t, rows, c, kept, s->n_columns - c);
}

ALWAYS_INLINE void conv_taps(const struct conv_scan *s, int kept) {
    size_t t = 0;
    for (; t + CONV_ROWS <= s->n_rows; t += CONV_ROWS)
        conv_rows(s, t, CONV_ROWS, kept);
    for (; t < s->n_rows; t++)
        conv_rows(s, t, 1, kept);
}

/* One row of one vector of columns, with any number of inputs before it. */
ALWAYS_INLINE void conv_vector(const struct conv_scan *s, size_t t, size_t c, size_t rest) {
    size_t kept = s->taps - 1;
    vf now = load_columns(s->x.at + t * s->x.stride + c, rest);
    vf sum = s->bias ? load_columns(s->bias + c, rest) : vf_zero();
    for (size_t j = 0; j < kept; j++) {
        vf old = load_columns(s->kept + j * s->kept_stride + c, rest);
        sum = vf_fma(old, load_columns(s->w + j * s->n_columns + c, rest), sum);
        if (j > 0) store_columns(s->kept + (j - 1) * s->kept_stride + c, old, rest);
    }
    sum = vf_fma(now, load_columns(s->w + kept * s->n_columns + c, rest), sum);
    if (kept > 0) store_columns(s->kept + (kept - 1) * s->kept_stride + c, now, rest);
    conv_store(s, t, c, sum, rest);
}

static void conv_any(const struct conv_scan *s) {
    for (size_t t = 0; t < s->n_rows; t++) {
        size_t c = 0;
        for (; c + VF_LANES <= s->n_columns; c += VF_LANES)
            conv_vector(s, t, c, 0);
        if (c < s->n_columns) conv_vector(s, t, c, s->n_columns - c);
    }
}

static void conv(const struct conv_scan *s) {
    switch (s->taps) {
    case 3: conv_taps(s, 2); break;
    case 4: conv_taps(s, 3); break;
    default: conv_any(s);
    }
}

/* S^T k. */
ALWAYS_INLINE void delta_predict(const struct delta_scan *s, const float *state, const float *k,
                                 vf *predicted, int vecs, size_t rest) {
    vf sum[SCAN_VECS];
    UNROLL for (int v = 0; v < vecs; v++) sum[v] = vf_zero();
    for (size_t i = 0; i < s->d_k; i++, state += s->state_stride) {
        vf key = vf_set1(k[i]);
        UNROLL for (int v = 0; v < vecs; v++) sum[v] =
            vf_fma(key, load_columns(state + v * VF_LANES, rest), sum[v]);
    }
    UNROLL for (int v = 0; v < vecs; v++) predicted[v] = sum[v];
}

struct delta_row {
    const float *q, *k, *next_k; /* next_k: of the row after, whose prediction is wanted */
    vf decay;
};

/* One pass over the state does all: S <- decay S + k u^T, then out = S^T q, and, unless the
 * row is the last one, predicted = S^T next_k. */
ALWAYS_INLINE void delta_update(const struct delta_scan *s, float *state, struct delta_row row,
                                const vf *u, vf *out, vf *predicted, bool last, int vecs,
                                size_t rest) {
    vf read[SCAN_VECS], ahead[SCAN_VECS], change[SCAN_VECS];
    UNROLL for (int v = 0; v < vecs; v++) {
        read[v] = ahead[v] = vf_zero();
        change[v] = u[v];
    }
    for (size_t i = 0; i < s->d_k; i++, state += s->state_stride) {
        vf q = vf_set1(row.q[i]), k = vf_set1(row.k[i]);
        vf next = last ? q : vf_set1(row.next_k[i]);
        UNROLL for (int v = 0; v < vecs; v++) {
            vf x = vf_mul(row.decay, load_columns(state + v * VF_LANES, rest));
            x = vf_fma(k, change[v], x);
            store_columns(state + v * VF_LANES, x, rest);
            read[v] = vf_fma(q, x, read[v]);
            if (!last) ahead[v] = vf_fma(next, x, ahead[v]);
        }
    }
    UNROLL for (int v = 0; v < vecs; v++) {
        out[v] = read[v];
        predicted[v] = ahead[v];
    }
}

ALWAYS_INLINE void delta_tile(const struct delta_scan *s, size_t c, int vecs, size_t rest) {
    vf predicted[SCAN_VECS], u[SCAN_VECS], out[SCAN_VECS], scale = vf_set1(s->scale);
    float *state = s->state + c;
    delta_predict(s, state, s->k.at, predicted, vecs, rest);
    for (size_t t = 0; t < s->n_rows; t++) {
        const float *k = s->k.at + t * s->k.stride, *value = s->v.at + t * s->v.stride + c;
        struct delta_row row = {s->q.at + t * s->q.stride, k,
                                t + 1 < s->n_rows ? k + s->k.stride : k, vf_set1(s->decay[t])};
        vf beta = vf_set1(s->beta.at[t * s->beta.stride]);
        UNROLL for (int v = 0; v < vecs; v++) {
            vf wanted = load_columns(value + v * VF_LANES, rest);
            u[v] = vf_mul(beta, vf_sub(wanted, vf_mul(row.decay, predicted[v])));
        }
        if (t + 1 < s->n_rows)
            delta_update(s, state, row, u, out, predicted, false, vecs, rest);
        else
            delta_update(s, state, row, u, out, predicted, true, vecs, rest);
        float *o = s->o.at + t * s->o.stride + c;
        UNROLL for (int v = 0; v < vecs; v++)
            store_columns(o + v * VF_LANES, vf_mul(scale, out[v]), rest);
    }
}

static void delta_net(const struct delta_scan *s) {
    if (s->n_rows > 0) FOR_COLUMNS(delta_tile, s);
}

ALWAYS_INLINE void mamba2_tile(const struct mamba2_scan *s, size_t c, int vecs, size_t rest) {
    vf x[SCAN_VECS], step[SCAN_VECS], out[SCAN_VECS], skip = vf_set1(s->skip);
    for (size_t t = 0; t < s->n_rows; t++) {
        const float *b = s->b.at + t * s->b.stride, *read = s->c.at + t * s->c.stride;
        vf decay = vf_set1(s->decay[t]), dt = vf_set1(s->dt.at[t * s->dt.stride]);
        UNROLL for (int v = 0; v < vecs; v++) {
            x[v] = load_columns(s->x.at + t * s->x.stride + c + v * VF_LANES, rest);
            step[v] = vf_mul(dt, x[v]);
            out[v] = vf_mul(skip, x[v]);
        }
        float *state = s->state + c;
        for (size_t j = 0; j < s->d_state; j++, state += s->state_stride) {
            vf in = vf_set1(b[j]), weight = vf_set1(read[j]);
            UNROLL for (int v = 0; v < vecs; v++) {
                vf h = vf_mul(decay, load_columns(state + v * VF_LANES, rest));
                h = vf_fma(in, step[v], h);
                store_columns(state + v * VF_LANES, h, rest);
                out[v] = vf_fma(weight, h, out[v]);
            }
        }
        float *y = s->y.at + t * s->y.stride + c;
        UNROLL for (int v = 0; v < vecs; v++) store_columns(y + v * VF_LANES, out[v], rest);
    }
}

static void mamba2(const struct mamba2_scan *s) {
    FOR_COLUMNS(mamba2_tile, s);
}

static void fill_scan(struct kernels *k) {
    k->conv = conv;
    k->delta_net = delta_net;
    k->mamba2 = mamba2;
}

#endif
