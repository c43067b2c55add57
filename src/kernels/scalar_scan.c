/* The oracle of the recurrences: their formulas in plain C. */
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/levels.h"

static void conv(const struct conv_scan *s) {
    size_t kept = s->taps - 1;
    for (size_t t = 0; t < s->n_rows; t++)
        for (size_t c = 0; c < s->n_columns; c++) {
            float now = s->x.at[t * s->x.stride + c], *old = s->kept + c;
            float sum = s->bias ? s->bias[c] : 0;
            for (size_t j = 0; j < kept; j++) {
                sum += old[j * s->kept_stride] * s->w[j * s->n_columns + c];
                old[j * s->kept_stride] = j + 1 < kept ? old[(j + 1) * s->kept_stride] : now;
            }
            sum += now * s->w[kept * s->n_columns + c];
            s->y.at[t * s->y.stride + c] = s->silu ? sum / (1.0f + expf(-sum)) : sum;
        }
}

static void delta_net(const struct delta_scan *s) {
    for (size_t t = 0; t < s->n_rows; t++) {
        const float *q = s->q.at + t * s->q.stride, *k = s->k.at + t * s->k.stride;
        float beta = s->beta.at[t * s->beta.stride];
        for (size_t c = 0; c < s->n_columns; c++) {
            float *column = s->state + c, predicted = 0, out = 0;
            for (size_t i = 0; i < s->d_k; i++)
                predicted += k[i] * column[i * s->state_stride];
            float u = beta * (s->v.at[t * s->v.stride + c] - s->decay[t] * predicted);
            for (size_t i = 0; i < s->d_k; i++) {
                float *x = &column[i * s->state_stride];
                *x = s->decay[t] * *x + k[i] * u;
                out += q[i] * *x;
            }
            s->o.at[t * s->o.stride + c] = s->scale * out;
        }
    }
}

static void mamba2(const struct mamba2_scan *s) {
    for (size_t t = 0; t < s->n_rows; t++) {
        const float *b = s->b.at + t * s->b.stride, *c = s->c.at + t * s->c.stride;
        float dt = s->dt.at[t * s->dt.stride];
        for (size_t i = 0; i < s->n_columns; i++) {
            float x = s->x.at[t * s->x.stride + i], out = 0;
            for (size_t j = 0; j < s->d_state; j++) {
                float *h = &s->state[j * s->state_stride + i];
                *h = s->decay[t] * *h + b[j] * (dt * x);
                out += c[j] * *h;
            }
            s->y.at[t * s->y.stride + i] = out + s->skip * x;
        }
    }
}

void scalar_fill_scan(struct kernels *k) {
    k->conv = conv;
    k->delta_net = delta_net;
    k->mamba2 = mamba2;
}
