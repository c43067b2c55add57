#include "kernels/iq_points.h"

#include <stddef.h>

#include "kernels/iq_tables.h"

struct iq_points iq_points;

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
