#include "kernels/iq_points.h"

#include <stddef.h>

#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

struct iq_points iq_points;
struct iq_planes iq_planes;

/* Coordinates of `bits` bits to bytes. */
static uint64_t point_bytes(unsigned code, int dims, int bits, const int8_t *levels) {
    uint64_t point = 0;
    for (int i = 0; i < dims; i++) {
        unsigned level = code >> bits * i & ((1u << bits) - 1);
        point |= (uint64_t)(uint8_t)levels[level] << 8 * i;
    }
    return point;
}

static void fill_eights(uint64_t *points, const uint16_t *codes, size_t n, const int8_t levels[4]) {
    for (size_t i = 0; i < n; i++)
        points[i] = point_bytes(codes[i], 8, 2, levels);
}

static void fill_fours(uint32_t *points, const uint16_t *codes, size_t n, const int8_t levels[8]) {
    for (size_t i = 0; i < n; i++)
        points[i] = (uint32_t)point_bytes(codes[i], 4, 3, levels);
}

void iq_points_fill(void) {
    static const int8_t iq1_levels[4] = {0, 1, 2, 0};
    fill_eights(iq_points.iq2_xxs, iq2_xxs_codes, 256, iq2_levels);
    fill_eights(iq_points.iq2_xs, iq2_xs_codes, 512, iq2_levels);
    fill_eights(iq_points.iq2_s, iq2_s_codes, 1024, iq2_levels);
    fill_eights(iq_points.iq1, iq1_codes, 2048, iq1_levels);
    fill_fours(iq_points.iq3_xxs, iq3_xxs_codes, 256, iq3_xxs_levels);
    fill_fours(iq_points.iq3_s, iq3_s_codes, 512, iq3_s_levels);
}

/* Codes of 2 * bits bits. */
static void cut(uint8_t *planes, const uint16_t *codes, size_t n, int bits) {
    for (size_t i = 0; i < n; i++) {
        planes[i] = (uint8_t)(codes[i] & ((1u << bits) - 1));
        planes[n + i] = (uint8_t)(codes[i] >> bits);
    }
}

void iq_planes_fill(void) {
    cut(iq_planes.iq2_xxs[0], iq2_xxs_codes, 256, 8);
    cut(iq_planes.iq2_xs[0], iq2_xs_codes, 512, 8);
    cut(iq_planes.iq2_s[0], iq2_s_codes, 1024, 8);
    cut(iq_planes.iq1[0], iq1_codes, 2048, 8);
    cut(iq_planes.iq3_xxs[0], iq3_xxs_codes, 256, 6);
    cut(iq_planes.iq3_s[0], iq3_s_codes, 512, 6);
    for (unsigned i = 0; i < 128; i++)
        iq_planes.signs[i] = (uint8_t)iq_signs(i);
}
