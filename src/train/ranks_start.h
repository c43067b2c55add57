/* ranks_start.h - joining the other processes of a run.
 *
 * Apart from the engine, so that libhearth needs no MPI: ranks_mpi.c where Open MPI was there
 * at build, ranks_alone.c elsewhere. */
#ifndef HEARTH_TRAIN_RANKS_START_H
#define HEARTH_TRAIN_RANKS_START_H

#include "train/ranks.h"

/* Whether this program can have others. */
bool ranks_supported(void);
/* NULL unless ranks_started. HEARTH_ERROR_UNSUPPORTED when it was and this program cannot reach the
 * others. Once a process; end with ranks_close. */
hearth_status ranks_join(struct ranks **out, hearth_error *err);

#endif
