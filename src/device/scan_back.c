#include "device/scan_back.h"

#include <string.h>

static size_t chunks_of(size_t n_rows) {
    return (n_rows + SCAN_CHUNK - 1) / SCAN_CHUNK;
}

/* States at the borders, states of a chunk with the one before it, the gradient. */
size_t scan_back_floats(size_t n_rows, size_t n_floats) {
    return (chunks_of(n_rows) + SCAN_CHUNK + 2) * n_floats;
}

/* The states that chunks begin with, [chunks][n_floats]. */
static void fill_borders(const struct scan_back *scan, float *borders) {
    size_t n = scan->n_floats;
    memset(borders, 0, n * sizeof *borders);
    for (size_t c = 1; c < chunks_of(scan->n_rows); c++) {
        float *state = borders + c * n;
        memcpy(state, state - n, n * sizeof *state);
        for (size_t i = 0; i < SCAN_CHUNK; i++)
            scan->advance(scan->context, (c - 1) * SCAN_CHUNK + i, state, state);
    }
}

void scan_back(const struct scan_back *scan, float *scratch) {
    size_t n = scan->n_floats, chunks = chunks_of(scan->n_rows);
    float *borders = scratch, *states = borders + chunks * n;
    float *gradient = states + (SCAN_CHUNK + 1) * n;
    fill_borders(scan, borders);
    memset(gradient, 0, n * sizeof *gradient);
    for (size_t c = chunks; c-- > 0;) {
        size_t first = c * SCAN_CHUNK, left = scan->n_rows - first;
        size_t count = left < SCAN_CHUNK ? left : SCAN_CHUNK;
        memcpy(states, borders + c * n, n * sizeof *states);
        for (size_t i = 0; i < count; i++)
            scan->advance(scan->context, first + i, states + i * n, states + (i + 1) * n);
        for (size_t i = count; i-- > 0;)
            scan->retreat(scan->context, first + i, states + i * n, states + (i + 1) * n, gradient);
    }
}
