/* adamw_kernels.h - the step of adamw.h, written once over vector words; included like
 * float_kernels.h. Products and sums stay apart, so that every level gives the oracle's bits. */
#ifndef HEARTH_KERNELS_ADAMW_KERNELS_H
#define HEARTH_KERNELS_ADAMW_KERNELS_H

#include "kernels/kernels.h"

struct adamw_words {
    vf w, m, v;
};

static inline void adamw_words_step(const struct adamw *a, struct adamw_words *x, vf gradient) {
    vf g = vf_mul(gradient, vf_set1(a->gradient_scale));
    x->m = vf_add(vf_mul(vf_set1(a->beta1), x->m), vf_mul(vf_set1(1.0f - a->beta1), g));
    x->v = vf_add(vf_mul(vf_set1(a->beta2), x->v), vf_mul(vf_set1(1.0f - a->beta2), vf_mul(g, g)));
    vf root = vf_sqrt(vf_mul(x->v, vf_set1(a->correction2)));
    vf step = vf_div(vf_mul(x->m, vf_set1(a->correction1)), vf_add(root, vf_set1(a->epsilon)));
    x->w = vf_sub(vf_sub(x->w, vf_mul(vf_set1(a->decay), x->w)), vf_mul(vf_set1(a->rate), step));
}

static void adamw_step(const struct adamw *a, float *value, const float *gradient, float *m,
                       float *v, size_t n) {
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        struct adamw_words x = {vf_load(value + i), vf_load(m + i), vf_load(v + i)};
        adamw_words_step(a, &x, vf_load(gradient + i));
        vf_store(value + i, x.w);
        vf_store(m + i, x.m);
        vf_store(v + i, x.v);
    }
    if (i == n) return;
    size_t rest = n - i;
    struct adamw_words x = {vf_load_some(value + i, rest), vf_load_some(m + i, rest),
                            vf_load_some(v + i, rest)};
    adamw_words_step(a, &x, vf_load_some(gradient + i, rest));
    vf_store_some(value + i, x.w, rest);
    vf_store_some(m + i, x.m, rest);
    vf_store_some(v + i, x.v, rest);
}

static void fill_adamw(struct kernels *k) {
    k->adamw = adamw_step;
}

#endif
