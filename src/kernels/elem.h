/* elem.h - element types of tensors and their block layouts.
 *
 * Numbers are those of the GGUF specification (ggml type ids), so that a file's
 * type field is an enum elem value once checked with elem_known(). A row of n
 * values is n / block_values blocks of block_bytes each, without padding. */
#ifndef HEARTH_KERNELS_ELEM_H
#define HEARTH_KERNELS_ELEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum elem {
    ELEM_F32 = 0,
    ELEM_F16 = 1,
    ELEM_Q4_0 = 2,
    ELEM_Q4_1 = 3,
    ELEM_Q5_0 = 6,
    ELEM_Q5_1 = 7,
    ELEM_Q8_0 = 8,
    ELEM_Q2_K = 10,
    ELEM_Q3_K = 11,
    ELEM_Q4_K = 12,
    ELEM_Q5_K = 13,
    ELEM_Q6_K = 14,
    ELEM_IQ2_XXS = 16,
    ELEM_IQ2_XS = 17,
    ELEM_IQ3_XXS = 18,
    ELEM_IQ1_S = 19,
    ELEM_IQ4_NL = 20,
    ELEM_IQ3_S = 21,
    ELEM_IQ2_S = 22,
    ELEM_IQ4_XS = 23,
    ELEM_I8 = 24,
    ELEM_I16 = 25,
    ELEM_I32 = 26,
    ELEM_I64 = 27,
    ELEM_F64 = 28,
    ELEM_IQ1_M = 29,
    ELEM_BF16 = 30,
    ELEM_TQ1_0 = 34,
    ELEM_TQ2_0 = 35,
    ELEM_MXFP4 = 39,
    ELEM_NVFP4 = 40,
    ELEM_Q1_0 = 41,
    ELEM_Q2_0 = 42,
    ELEM_TYPES = 43
};

struct elem_info {
    const char *name; /* lower case as in file names: "q4_0", "q4_K"; NULL: no such type */
    uint32_t block_values, block_bytes;
};

extern const struct elem_info elem_table[ELEM_TYPES];

bool elem_known(uint32_t type);
const char *elem_name(enum elem type);
/* Case-insensitive; ELEM_TYPES when there is no such type. */
enum elem elem_by_name(const char *name);
/* Bytes of a row; n must be a multiple of the type's block_values. */
static inline size_t elem_row_bytes(enum elem type, size_t n) {
    return n / elem_table[type].block_values * elem_table[type].block_bytes;
}

/* Half, bfloat16 and their conversions, exact in both directions where exact
 * values exist, round to nearest even otherwise (IEEE 754). */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
static inline float bf16_to_f32(uint16_t b) {
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)b << 16};
    return v.f;
}
uint16_t f32_to_bf16(float f);

#endif
