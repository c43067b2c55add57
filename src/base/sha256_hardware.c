/* SHA-256 with the x86 SHA extensions (Intel Architecture Instruction Set Extensions
 * Programming Reference, chapter 8). The state is held as the instructions want it:
 * words A, B, E, F in one register and C, D, G, H in the other. Four rounds a step. */
#include "base/sha256_rounds.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

enum { STEPS = SHA256_ROUNDS / 4 };

bool sha256_hardware(void) {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return false;
    bool sse = (ecx >> 9 & 1u) && (ecx >> 19 & 1u); /* SSSE3, SSE4.1 */
    return sse && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx >> 29 & 1u);
}

#define WITH_SHA __attribute__((target("sha,ssse3,sse4.1")))

WITH_SHA static inline __m128i load(const void *at) {
    return _mm_loadu_si128(at);
}

/* W[t+16..t+19] from the sixteen words before it. */
WITH_SHA static inline __m128i extend(__m128i w0, __m128i w4, __m128i w8, __m128i w12) {
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), _mm_alignr_epi8(w12, w8, 4));
    return _mm_sha256msg2_epu32(sum, w12);
}

WITH_SHA static inline void compress_block(__m128i *abef, __m128i *cdgh, const uint8_t *block) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i w[4], first = *abef, second = *cdgh;
    for (int i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(load(block + 16 * i), big_endian);
#pragma GCC unroll 16
    for (int i = 0; i < STEPS; i++) {
        __m128i k = _mm_add_epi32(w[i & 3], load(sha256_constants + 4 * i));
        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, k);
        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(k, 0x0e));
        if (i < STEPS - 4)
            w[i & 3] = extend(w[i & 3], w[(i + 1) & 3], w[(i + 2) & 3], w[(i + 3) & 3]);
    }
    *abef = _mm_add_epi32(*abef, first);
    *cdgh = _mm_add_epi32(*cdgh, second);
}

WITH_SHA void sha256_compress_hardware(uint32_t state[8], const uint8_t *blocks, size_t n_blocks) {
    __m128i cdab = _mm_shuffle_epi32(load(state), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; n_blocks > 0; n_blocks--, blocks += 64)
        compress_block(&abef, &cdgh, blocks);
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_hardware(void) {
    return false;
}

void sha256_compress_hardware(uint32_t state[8], const uint8_t *blocks, size_t n_blocks) {
    (void)state, (void)blocks, (void)n_blocks;
}

#endif
