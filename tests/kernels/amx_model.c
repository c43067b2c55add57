/* src/kernels/amx.c and amx_gemm.c against a model of the instructions of amx_tile.h in C, as the
 * manual describes them: even and odd products of a pair have a sum each over the 16 pairs, the two
 * are added, then added to the tile; every operation rounds to nearest even, and denormal numbers
 * going in or coming out are zero. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/prompt_model.h"

union model_tile {
    float sums[16][16];
    uint16_t halves[16][32];
};

static _Thread_local union model_tile model_tiles[8];
static _Thread_local bool model_configured;

static inline void model_tile_configure(void) {
    assert(!model_configured);
    memset(model_tiles, 0, sizeof model_tiles);
    model_configured = true;
}

static inline void model_tile_release(void) {
    assert(model_configured);
    model_configured = false;
}

static inline void model_tile_zero(int tile) {
    assert(model_configured);
    memset(&model_tiles[tile], 0, sizeof model_tiles[tile]);
}

static inline void model_tile_load(int tile, const void *address) {
    assert(model_configured);
    memcpy(&model_tiles[tile], address, sizeof model_tiles[tile]);
}

static inline void model_tile_store(void *address, int tile) {
    assert(model_configured);
    memcpy(address, &model_tiles[tile], sizeof model_tiles[tile]);
}

static inline float model_flush(float x) {
    return fabsf(x) < FLT_MIN ? x * 0.0f : x;
}

static inline float model_widen(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return model_flush(x);
}

static inline void model_tile_dot(int c, int a, int b) {
    float pairs[16][32];
    assert(model_configured);
    for (int k = 0; k < 16; k++)
        for (int n = 0; n < 32; n++)
            pairs[k][n] = model_widen(model_tiles[b].halves[k][n]);
    for (int m = 0; m < 16; m++) {
        float sums[32] = {0};
        for (int k = 0; k < 16; k++) {
            float even = model_widen(model_tiles[a].halves[m][2 * k]);
            float odd = model_widen(model_tiles[a].halves[m][2 * k + 1]);
            float factors[32];
            for (int n = 0; n < 32; n++)
                factors[n] = n % 2 ? odd : even;
            for (int n = 0; n < 32; n++)
                sums[n] = model_flush(fmaf(factors[n], pairs[k][n], sums[n]));
        }
        float *out = model_tiles[c].sums[m];
        for (int n = 0; n < 16; n++)
            out[n] = model_flush(model_flush(out[n]) + model_flush(sums[2 * n] + sums[2 * n + 1]));
    }
}

#define AMX_MODEL
#define AMX_PROMPT amx_model_prompt
#define AMX_GEMM amx_model_gemm
#define TILE_ZERO(tile) model_tile_zero(tile)
#define TILE_LOAD(tile, address) model_tile_load(tile, address)
#define TILE_STORE(address, tile) model_tile_store(address, tile)
#define TILE_DOT(c, a, b) model_tile_dot(c, a, b)
#define tile_configure model_tile_configure
#define tile_release model_tile_release

#include "../../src/kernels/amx.c"      /* NOLINT(bugprone-suspicious-include) */
#include "../../src/kernels/amx_gemm.c" /* NOLINT(bugprone-suspicious-include) */
