#include "kernels/elem.h"

#include <string.h>
#include <strings.h>

const struct elem_info elem_table[ELEM_TYPES] = {
    [ELEM_F32] = {"f32", 1, 4},
    [ELEM_F16] = {"f16", 1, 2},
    [ELEM_Q4_0] = {"q4_0", 32, 18},
    [ELEM_Q4_1] = {"q4_1", 32, 20},
    [ELEM_Q5_0] = {"q5_0", 32, 22},
    [ELEM_Q5_1] = {"q5_1", 32, 24},
    [ELEM_Q8_0] = {"q8_0", 32, 34},
    [ELEM_Q2_K] = {"q2_K", 256, 84},
    [ELEM_Q3_K] = {"q3_K", 256, 110},
    [ELEM_Q4_K] = {"q4_K", 256, 144},
    [ELEM_Q5_K] = {"q5_K", 256, 176},
    [ELEM_Q6_K] = {"q6_K", 256, 210},
    [ELEM_IQ2_XXS] = {"iq2_xxs", 256, 66},
    [ELEM_IQ2_XS] = {"iq2_xs", 256, 74},
    [ELEM_IQ3_XXS] = {"iq3_xxs", 256, 98},
    [ELEM_IQ1_S] = {"iq1_s", 256, 50},
    [ELEM_IQ4_NL] = {"iq4_nl", 32, 18},
    [ELEM_IQ3_S] = {"iq3_s", 256, 110},
    [ELEM_IQ2_S] = {"iq2_s", 256, 82},
    [ELEM_IQ4_XS] = {"iq4_xs", 256, 136},
    [ELEM_I8] = {"i8", 1, 1},
    [ELEM_I16] = {"i16", 1, 2},
    [ELEM_I32] = {"i32", 1, 4},
    [ELEM_I64] = {"i64", 1, 8},
    [ELEM_F64] = {"f64", 1, 8},
    [ELEM_IQ1_M] = {"iq1_m", 256, 56},
    [ELEM_BF16] = {"bf16", 1, 2},
    [ELEM_TQ1_0] = {"tq1_0", 256, 54},
    [ELEM_TQ2_0] = {"tq2_0", 256, 66},
    [ELEM_MXFP4] = {"mxfp4", 32, 17},
    [ELEM_NVFP4] = {"nvfp4", 64, 36},
    [ELEM_Q1_0] = {"q1_0", 128, 18},
    [ELEM_Q2_0] = {"q2_0", 64, 18},
};

bool elem_known(uint32_t type) {
    return type < ELEM_TYPES && elem_table[type].name != NULL;
}

const char *elem_name(enum elem type) {
    return elem_known(type) ? elem_table[type].name : "unknown";
}

enum elem elem_by_name(const char *name) {
    for (unsigned i = 0; i < ELEM_TYPES; i++)
        if (elem_table[i].name && strcasecmp(elem_table[i].name, name) == 0) return (enum elem)i;
    return ELEM_TYPES;
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 0x1fu,
             fraction = h & 0x3ffu;
    if (exponent == 0x1f) return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1.0p-24f;
    return sign ? -magnitude : magnitude;
}

uint16_t f32_to_f16(float f) {
    uint32_t bits = bits_of(f);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | 0x7e00u;  /* NaN */
    if (magnitude >= 0x477ff000u) return sign | 0x7c00u; /* rounds to infinity */
    if (magnitude < 0x38800000u) {
        /* Subnormal half: adding 0.5 leaves the wanted bits at the bottom, rounded. */
        uint32_t shifted = bits_of(float_of(magnitude) + 0.5f);
        return (uint16_t)(sign | (shifted - 0x3f000000u));
    }
    uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

uint16_t f32_to_bf16(float f) {
    uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
