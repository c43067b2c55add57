/* What the matrix unit multiplies at most. */
#include "kernels/amx_tile.h"
#include "kernels/peak.h"

enum { WORDS = TILE_BYTES / 4 };

/* Products of tiles of ones that stay where they are, four at a time; `one` is a word of
 * ones, `depth` the products of an output. */
#define DEFINE_LOOP(name, dot, one, depth, sum_type)                                               \
    enum { name##_products = 4 * TILE_ROWS * TILE_ROWS * (depth) };                                \
    static double name(uint64_t rounds) {                                                          \
        uint32_t ones[WORDS];                                                                      \
        sum_type sums[WORDS];                                                                      \
        for (int i = 0; i < WORDS; i++)                                                            \
            ones[i] = (one);                                                                       \
        tile_configure();                                                                          \
        TILE_ZERO(0);                                                                              \
        TILE_ZERO(1);                                                                              \
        TILE_ZERO(2);                                                                              \
        TILE_ZERO(3);                                                                              \
        TILE_LOAD(4, ones);                                                                        \
        TILE_LOAD(5, ones);                                                                        \
        TILE_LOAD(6, ones);                                                                        \
        TILE_LOAD(7, ones);                                                                        \
        for (; rounds > 0; rounds--) {                                                             \
            dot(0, 4, 6);                                                                          \
            dot(1, 5, 6);                                                                          \
            dot(2, 4, 7);                                                                          \
            dot(3, 5, 7);                                                                          \
        }                                                                                          \
        double total = 0;                                                                          \
        TILE_STORE(sums, 0);                                                                       \
        for (int i = 0; i < WORDS; i++)                                                            \
            total += (double)sums[i];                                                              \
        tile_release();                                                                            \
        return 4 * total; /* all four are the same */                                              \
    }

DEFINE_LOOP(run_bf16, TILE_DOT, 0x3f803f80u, 32, float)
DEFINE_LOOP(run_int8, TILE_DOT_INT8, 0x01010101u, 64, int32_t)

void peak_fill_amx(struct peak_loop loops[PEAK_KINDS]) {
    loops[PEAK_BF16] = (struct peak_loop){run_bf16_products, run_bf16};
    loops[PEAK_INT8] = (struct peak_loop){run_int8_products, run_int8};
}
