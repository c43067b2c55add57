/* random_rows.h - rows of weights of every type: random bits with scales of a sane size. */
#ifndef HEARTH_TESTS_KERNELS_RANDOM_ROWS_H
#define HEARTH_TESTS_KERNELS_RANDOM_ROWS_H

#include "testdata.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/elem.h"

/* Byte offsets of the float fields of a block, whose random bits are replaced by
 * values of a sane size. */
struct half_fields {
    enum elem type;
    int offsets[2];
};

static const struct half_fields half_fields[] = {
    {ELEM_Q4_0, {0, -1}},    {ELEM_Q4_1, {0, 2}},    {ELEM_Q5_0, {0, -1}},
    {ELEM_Q5_1, {0, 2}},     {ELEM_Q8_0, {0, -1}},   {ELEM_IQ4_NL, {0, -1}},
    {ELEM_Q2_K, {80, 82}},   {ELEM_Q3_K, {108, -1}}, {ELEM_Q4_K, {0, 2}},
    {ELEM_Q5_K, {0, 2}},     {ELEM_Q6_K, {208, -1}}, {ELEM_IQ4_XS, {0, -1}},
    {ELEM_IQ2_XXS, {0, -1}}, {ELEM_IQ2_XS, {0, -1}}, {ELEM_IQ2_S, {0, -1}},
    {ELEM_IQ3_XXS, {0, -1}}, {ELEM_IQ3_S, {0, -1}},  {ELEM_IQ1_S, {0, -1}},
    {ELEM_TQ1_0, {52, -1}},  {ELEM_TQ2_0, {64, -1}}, {ELEM_Q1_0, {0, -1}},
    {ELEM_Q2_0, {0, -1}},
};

static inline void sane_block(struct rng *rng, enum elem type, uint8_t *block) {
    for (size_t i = 0; i < sizeof half_fields / sizeof *half_fields; i++)
        for (int f = 0; f < 2 && half_fields[i].type == type; f++) {
            if (half_fields[i].offsets[f] < 0) continue;
            uint16_t h = f32_to_f16(0.02f * rng_normal(rng));
            memcpy(block + half_fields[i].offsets[f], &h, sizeof h);
        }
    if (type == ELEM_MXFP4) block[0] = (uint8_t)(118 + block[0] % 8);
    if (type == ELEM_IQ1_M) { /* a nibble each at the top of four words */
        uint16_t h = f32_to_f16(0.02f * rng_normal(rng));
        for (int i = 0; i < 4; i++) {
            uint8_t *top = block + 48 + 2 * i + 1;
            *top = (uint8_t)((*top & 15) | (h >> 4 * i & 15) << 4);
        }
    }
    if (type == ELEM_NVFP4)
        for (int i = 0; i < 4; i++)
            block[i] %= 0x70;
}

/* Random rows of any type the tests know, `stride` bytes apart. */
static inline uint8_t *random_rows(struct rng *rng, enum elem type, size_t n, size_t n_rows,
                                   size_t stride) {
    uint8_t *rows = mem_calloc(n_rows * stride + 1, 1);
    assert_non_null(rows);
    for (size_t i = 0; i < n_rows * stride; i++)
        rows[i] = (uint8_t)rng_u64(rng);
    for (size_t r = 0; r < n_rows; r++) {
        uint8_t *row = rows + r * stride;
        for (size_t i = 0; i < n / elem_table[type].block_values; i++) {
            uint8_t *block = row + i * elem_table[type].block_bytes;
            float value = rng_normal(rng);
            uint16_t h = type == ELEM_F16 ? f32_to_f16(value) : f32_to_bf16(value);
            if (type == ELEM_F32)
                memcpy(block, &value, 4);
            else if (type == ELEM_F16 || type == ELEM_BF16)
                memcpy(block, &h, 2);
            else
                sane_block(rng, type, block);
        }
    }
    return rows;
}

#endif
