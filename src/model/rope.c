#include "model/rope.h"

#include <math.h>

/* YaRN (Peng et al., arXiv 2309.00071), section 3.2: the pair that turns `beta`
 * times within the original context. */
static double correction_pair(const struct rope_config *rope, double beta) {
    const double two_pi = 6.283185307179586;
    return rope->n_rot * log(rope->original_context / (beta * two_pi)) /
           (2.0 * log((double)rope->base));
}

static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static double yarn_mscale(double factor, double multiplier) {
    return factor <= 1.0 ? 1.0 : 0.1 * multiplier * log(factor) + 1.0;
}

static double magnitude_of(const struct rope_config *rope) {
    double magnitude = (double)rope->magnitude, factor = (double)rope->factor;
    if (rope->scaling != ROPE_SCALING_YARN) return magnitude;
    magnitude *= yarn_mscale(factor, 1.0);
    if (rope->log_multiplier != 0.0f)
        magnitude /= yarn_mscale(factor, (double)rope->log_multiplier);
    return magnitude;
}

void rope_frequencies(const struct rope_config *rope, const float *factors,
                      float *inverse_frequency, float *magnitude) {
    double low = 0, high = 0;
    if (rope->scaling == ROPE_SCALING_YARN) {
        double last = rope->n_rot - 1.0;
        low = clamp(floor(correction_pair(rope, (double)rope->beta_fast)), 0, last);
        high = clamp(ceil(correction_pair(rope, (double)rope->beta_slow)), 0, last);
    }
    for (uint32_t i = 0; i < rope->n_rot / 2; i++) {
        double whole = pow((double)rope->base, -2.0 * i / rope->n_rot);
        if (factors) whole /= (double)factors[i];
        double stretched = whole / (double)rope->factor;
        double keep = 0; /* the share of the unscaled frequency */
        if (rope->scaling == ROPE_SCALING_YARN)
            keep = 1.0 - clamp((i - low) / (high - low > 0.001 ? high - low : 0.001), 0, 1);
        else if (rope->scaling != ROPE_SCALING_LINEAR)
            keep = 1.0;
        inverse_frequency[i] = (float)(stretched * (1.0 - keep) + whole * keep);
    }
    *magnitude = (float)magnitude_of(rope);
}
