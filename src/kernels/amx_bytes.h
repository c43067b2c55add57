/* amx_bytes.h - the way to bfloat16 of types whose values are bytes times scales. */
#ifndef HEARTH_KERNELS_AMX_BYTES_H
#define HEARTH_KERNELS_AMX_BYTES_H

#include "kernels/amx_widen.h"
#include "kernels/avx2_lanes.h"

ALWAYS_INLINE void store_run(uint16_t *out, size_t run, __m512i words) {
    _mm512_store_si512(out + run * WIDEN_STRIDE, words);
}

/* 32 values to words: those of `low`, then those of `high`. */
ALWAYS_INLINE __m512i to_bf16(__m512 low, __m512 high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

ALWAYS_INLINE __m512 bytes_to_floats(const int8_t q[16]) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(q)));
}

/* A super-block: v[i] = scale[i / 16] * q[i] - minimum[i / 16]. */
struct scaled_bytes {
    _Alignas(64) int8_t q[WIDEN_VALUES];
    _Alignas(64) float scale[WIDEN_VALUES / 16];
    float minimum[WIDEN_VALUES / 16];
};

/* The minima are read only where `has_minima`. */
ALWAYS_INLINE void write_scaled_bytes(const struct scaled_bytes *b, int has_minima, uint16_t *out) {
    for (size_t run = 0; run < WIDEN_VALUES / WIDEN_RUN; run++) {
        __m512 half[2];
        UNROLL for (size_t h = 0; h < 2; h++) {
            size_t group = 2 * run + h;
            half[h] =
                _mm512_mul_ps(bytes_to_floats(b->q + 16 * group), _mm512_set1_ps(b->scale[group]));
            if (has_minima) half[h] = _mm512_sub_ps(half[h], _mm512_set1_ps(b->minimum[group]));
        }
        store_run(out, run, to_bf16(half[0], half[1]));
    }
}

#endif
