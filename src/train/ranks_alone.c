#include "train/ranks_start.h"

bool ranks_supported(void) {
    return false;
}

/* Without this, every process would train the whole model by itself. */
hearth_status ranks_join(struct ranks **out, hearth_error *err) {
    *out = NULL;
    if (!ranks_started()) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "started as one of several processes, but this program was built without "
                     "Open MPI: install libopenmpi-dev and build again, or start one process");
}
