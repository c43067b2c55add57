/* Activation formats in AVX-512; the bits are those of scalar_quant.c. */
#include <immintrin.h>
#include <string.h>

#include "kernels/act_scale.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* The largest magnitude; as integers, NaN is larger than infinity. */
ALWAYS_INLINE __m512i magnitude(__m512 x) {
    return _mm512_castps_si512(_mm512_abs_ps(x));
}

static void quantize_q8(const float *x, void *out, size_t n) {
    struct act_q8 *a = out;
    for (size_t i = 0; i < n / 32; i++, x += 32) {
        __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
        uint32_t bits = _mm512_reduce_max_epu32(_mm512_max_epu32(magnitude(low), magnitude(high)));
        float most, inverse;
        memcpy(&most, &bits, sizeof most);
        if (!act_scale(most, &a[i].scale, &inverse)) {
            a[i] = (struct act_q8){.scale = a[i].scale};
            continue;
        }
        __m512i p = _mm512_cvtps_epi32(_mm512_mul_ps(low, _mm512_set1_ps(inverse)));
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(high, _mm512_set1_ps(inverse)));
        _mm_storeu_si128((__m128i *)(void *)a[i].q, _mm512_cvtepi32_epi8(p));
        _mm_storeu_si128((__m128i *)(void *)(a[i].q + 16), _mm512_cvtepi32_epi8(q));
        a[i].sum = _mm512_reduce_add_epi32(_mm512_add_epi32(p, q));
    }
}

static void quantize_q8k(const float *x, void *out, size_t n) {
    struct act_q8k *a = out;
    for (size_t i = 0; i < n / 256; i++, x += 256) {
        __m512i top = _mm512_setzero_si512();
        for (size_t j = 0; j < 16; j++)
            top = _mm512_max_epu32(top, magnitude(_mm512_loadu_ps(x + 16 * j)));
        uint32_t bits = _mm512_reduce_max_epu32(top);
        float most, inverse;
        memcpy(&most, &bits, sizeof most);
        if (!act_scale(most, &a[i].scale, &inverse)) {
            a[i] = (struct act_q8k){.scale = a[i].scale};
            continue;
        }
        for (size_t j = 0; j < 16; j++) {
            __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(x + 16 * j), _mm512_set1_ps(inverse));
            __m512i q = _mm512_cvtps_epi32(scaled);
            _mm_storeu_si128((__m128i *)(void *)(a[i].q + 16 * j), _mm512_cvtepi32_epi8(q));
            a[i].sums[j] = (int16_t)_mm512_reduce_add_epi32(q);
        }
    }
}

void avx512_fill_act(struct kernels *k) {
    k->quantize_act[ACT_Q8] = quantize_q8;
    k->quantize_act[ACT_Q8_K] = quantize_q8k;
}
