/* scan_back.h - a recurrence backward through time. States are computed again: first those at
 * the borders of chunks, then, for one chunk after the other from the last on, those of all its
 * rows. Scratch memory grows with rows / SCAN_CHUNK + SCAN_CHUNK states instead of rows. */
#ifndef HEARTH_DEVICE_SCAN_BACK_H
#define HEARTH_DEVICE_SCAN_BACK_H

#include "device/cpu_device.h"

enum { SCAN_CHUNK = 16 /* rows */ };

struct scan_back {
    size_t n_rows, n_floats; /* of a sequence, which begins with zeros; of its state */
    const void *context;
    /* The state after a row from the one before it; both may be the same memory. */
    void (*advance)(const void *context, size_t row, const float *before, float *after);
    /* `gradient`, that of the state after the row by all later rows, becomes that of the state
     * before it by these and the row. */
    void (*retreat)(const void *context, size_t row, const float *before, const float *after,
                    float *gradient);
};

/* `scratch`: scan_back_floats of a sequence that is not shorter. */
void scan_back(const struct scan_back *scan, float *scratch);
size_t scan_back_floats(size_t n_rows, size_t n_floats);

#endif
