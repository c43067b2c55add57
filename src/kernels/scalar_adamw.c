/* The oracle of AdamW's step. */
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/levels.h"

static void adamw(const struct adamw *a, float *value, const float *gradient, float *m, float *v,
                  size_t n) {
    float rest1 = 1.0f - a->beta1, rest2 = 1.0f - a->beta2;
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] * a->gradient_scale;
        m[i] = a->beta1 * m[i] + rest1 * g;
        v[i] = a->beta2 * v[i] + rest2 * (g * g);
        float step = m[i] * a->correction1 / (sqrtf(v[i] * a->correction2) + a->epsilon);
        value[i] = value[i] - a->decay * value[i] - a->rate * step;
    }
}

void scalar_fill_adamw(struct kernels *k) {
    k->adamw = adamw;
}
