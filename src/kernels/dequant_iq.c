/* Dequantisation of the IQ formats: points of a codebook or of a table of levels,
 * times scales. Layouts: blocks.h; codebooks: iq_tables.h. */
#include "kernels/blocks.h"
#include "kernels/dequant.h"
#include "kernels/iq_tables.h"

static inline float signed_by(float v, unsigned signs, int i) {
    return signs >> i & 1 ? -v : v;
}

static void iq2_group(unsigned code, unsigned signs, float scale, float *out) {
    for (int i = 0; i < 8; i++)
        out[i] = signed_by(scale * (float)iq2_levels[code >> 2 * i & 3], signs, i);
}

static void iq3_group(const int8_t levels[8], unsigned code, unsigned signs, float scale,
                      float *out) {
    for (int i = 0; i < 4; i++)
        out[i] = signed_by(scale * (float)levels[code >> 3 * i & 7], signs, i);
}

static void iq1_group(unsigned code, float delta, float scale, float *out) {
    for (int i = 0; i < 8; i++)
        out[i] = scale * ((float)((int)(code >> 2 * i & 3) - 1) + delta);
}

static void dequantize_iq2_xxs(const void *blocks, float *out, size_t n) {
    const struct block_iq2_xxs *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int s = 0; s < 8; s++) {
            uint32_t bits = b->sub[s].signs_scale;
            float scale = d * (0.5f + (float)(bits >> 28)) * 0.25f;
            for (int g = 0; g < 4; g++, out += 8)
                iq2_group(iq2_xxs_codes[b->sub[s].index[g]], iq_signs(bits >> 7 * g & 127), scale,
                          out);
        }
    }
}

static void dequantize_iq2_xs(const void *blocks, float *out, size_t n) {
    const struct block_iq2_xs *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int g = 0; g < 32; g++, out += 8) {
            int scale = b->scales[g / 4] >> g % 4 / 2 * 4 & 15;
            iq2_group(iq2_xs_codes[b->q[g] & 511], iq_signs(b->q[g] >> 9),
                      d * (0.5f + (float)scale) * 0.25f, out);
        }
    }
}

static void dequantize_iq2_s(const void *blocks, float *out, size_t n) {
    const struct block_iq2_s *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int g = 0; g < 32; g++, out += 8) {
            int scale = b->scales[g / 4] >> g % 4 / 2 * 4 & 15;
            int index = b->low[g] | (b->high[g / 4] >> g % 4 * 2 & 3) << 8;
            iq2_group(iq2_s_codes[index], b->signs[g], d * (0.5f + (float)scale) * 0.25f, out);
        }
    }
}

static void dequantize_iq3_xxs(const void *blocks, float *out, size_t n) {
    const struct block_iq3_xxs *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int g = 0; g < 64; g++, out += 4) {
            uint32_t bits = b->signs_scale[g / 8];
            float scale = d * (0.5f + (float)(bits >> 28)) * 0.5f;
            unsigned signs = iq_signs(bits >> g % 8 / 2 * 7 & 127) >> g % 2 * 4;
            iq3_group(iq3_xxs_levels, iq3_xxs_codes[b->index[g]], signs, scale, out);
        }
    }
}

static void dequantize_iq3_s(const void *blocks, float *out, size_t n) {
    const struct block_iq3_s *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int g = 0; g < 64; g++, out += 4) {
            int scale = b->scales[g / 16] >> g % 16 / 8 * 4 & 15;
            int index = b->low[g] | (b->high[g / 8] >> g % 8 & 1) << 8;
            iq3_group(iq3_s_levels, iq3_s_codes[index], (unsigned)b->signs[g / 2] >> g % 2 * 4,
                      d * (float)(1 + 2 * scale), out);
        }
    }
}

static void dequantize_iq1_s(const void *blocks, float *out, size_t n) {
    const struct block_iq1_s *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int g = 0; g < 32; g++, out += 8) {
            int high = b->high[g / 4];
            float scale = d * (float)(2 * (high >> 12 & 7) + 1);
            iq1_group(iq1_codes[b->low[g] | (high >> g % 4 * 3 & 7) << 8],
                      high & 0x8000 ? -0.125f : 0.125f, scale, out);
        }
    }
}

static void dequantize_iq1_m(const void *blocks, float *out, size_t n) {
    const struct block_iq1_m *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(iq1_m_half(b));
        for (int g = 0; g < 32; g++, out += 8) {
            int high = b->high[g / 2] >> g % 2 * 4 & 15;
            float scale = d * (float)(2 * (b->scales[g / 8] >> g % 8 / 2 * 3 & 7) + 1);
            iq1_group(iq1_codes[b->low[g] | (high & 7) << 8], high & 8 ? -0.125f : 0.125f, scale,
                      out);
        }
    }
}

static void iq4_group(const uint8_t q[16], float scale, float *out) {
    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)iq4_levels[q[i] & 15];
        out[i + 16] = scale * (float)iq4_levels[q[i] >> 4];
    }
}

static void dequantize_iq4_nl(const void *blocks, float *out, size_t n) {
    const struct block_iq4_nl *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++)
        iq4_group(b->q, f16_to_f32(b->d), out);
}

static void dequantize_iq4_xs(const void *blocks, float *out, size_t n) {
    const struct block_iq4_xs *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        for (int s = 0; s < 8; s++, out += 32)
            iq4_group(b->q + 16 * s, d * (float)iq4_xs_scale(b, s), out);
    }
}

void dequantize_fill_codebooks(struct kernels *k) {
    k->dequantize[ELEM_IQ2_XXS] = dequantize_iq2_xxs;
    k->dequantize[ELEM_IQ2_XS] = dequantize_iq2_xs;
    k->dequantize[ELEM_IQ2_S] = dequantize_iq2_s;
    k->dequantize[ELEM_IQ3_XXS] = dequantize_iq3_xxs;
    k->dequantize[ELEM_IQ3_S] = dequantize_iq3_s;
    k->dequantize[ELEM_IQ1_S] = dequantize_iq1_s;
    k->dequantize[ELEM_IQ1_M] = dequantize_iq1_m;
    k->dequantize[ELEM_IQ4_NL] = dequantize_iq4_nl;
    k->dequantize[ELEM_IQ4_XS] = dequantize_iq4_xs;
}
