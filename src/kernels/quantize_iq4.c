/* IQ4_NL and IQ4_XS: sixteen levels that are denser near zero. */
#include <string.h>

#include "kernels/elem.h"
#include "kernels/quantize_blocks.h"
#include "kernels/super_fit.h"

static void pack_levels(const float q[32], uint8_t out[16]) {
    for (int i = 0; i < 16; i++)
        out[i] = (uint8_t)(iq4_code(q[i]) | iq4_code(q[i + 16]) << 4);
}

void encode_iq4_nl(const float *x, void *out, size_t n, const float *importance) {
    struct block_iq4_nl *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        float w[32], q[32];
        fit_weights(x + at, at_or_null(importance, at), 32, mean_square(x + at, 32), w);
        b->d = scale_to_f16(fit_scale(&coder_iq4, x + at, w, 32));
        fit_error(&coder_iq4, x + at, w, 32, f16_to_f32(b->d), 0, q);
        pack_levels(q, b->q);
    }
}

void encode_iq4_xs(const float *x, void *out, size_t n, const float *importance) {
    struct super_shape shape = {8, -32, 31, 0, coder_iq4};
    struct block_iq4_xs *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct super_fit fit;
        super_fit(&shape, x + at, at_or_null(importance, at), &fit);
        b->d = fit.d;
        b->scales_high = 0;
        memset(b->scales_low, 0, sizeof b->scales_low);
        for (int s = 0; s < 8; s++) {
            int scale = fit.scales[s] + 32;
            b->scales_low[s / 2] |= (uint8_t)((scale & 15) << s % 2 * 4);
            b->scales_high |= (uint16_t)(scale >> 4 << 2 * s);
            pack_levels(fit.q + 32 * s, b->q + 16 * s);
        }
    }
}
