/* amx_tile.h - the few instructions of the matrix unit (Intel Architectures Software
 * Developer's Manual, volume 1, chapter 18, and volume 2), or a model of them.
 *
 * Eight tiles of 16 rows x 64 bytes are the state of a thread, between tile_configure
 * and tile_release. Tiles are named by literal numbers 0 to 7. A product takes a tile of
 * 16 rows x 32 values and one of 16 pairs x 16 columns x 2 values:
 *
 *   TILE_DOT(c, a, b)   c[m][n] += sum over k of a[m][2 k] b[k][n][0] + a[m][2 k + 1] b[k][n][1]
 *
 * The instructions are written out because the intrinsics of gcc 12 do not say that they
 * read memory: stores to what they read may be moved behind them or dropped. With
 * AMX_MODEL whoever includes this file has defined them (tests/kernels/amx_model.c). */
#ifndef HEARTH_KERNELS_AMX_TILE_H
#define HEARTH_KERNELS_AMX_TILE_H

#include <stddef.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_BYTES = TILE_ROWS * TILE_ROW_BYTES };

#ifndef AMX_MODEL

#define AMX_PROMPT amx_prompt
#define AMX_GEMM amx_gemm_bf16
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define TILE_LOAD(tile, address)                                                                   \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(address),                            \
                     "r"((size_t)TILE_ROW_BYTES)                                                   \
                     : "memory")
#define TILE_STORE(address, tile)                                                                  \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(address),                        \
                     "r"((size_t)TILE_ROW_BYTES)                                                   \
                     : "memory")
#define TILE_DOT(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#define TILE_DOT_INT8(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)

static inline void tile_configure(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = TILE_ROW_BYTES;
        config.rows[i] = TILE_ROWS;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
}

static inline void tile_release(void) {
    __asm__ volatile("tilerelease" ::: "memory");
}

#endif

#endif
