/* stored_runs.h - the tuning runs that a store remembers. A run is known by its folder and the
 * time at which it began: a folder may have been several runs, one after the other. */
#ifndef HEARTH_STORE_STORED_RUNS_H
#define HEARTH_STORE_STORED_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/store.h"

/* Texts that may be NULL are so where nothing is known. Times are ISO 8601. */
struct stored_run {
    int64_t id; /* given by the store; ascends */
    const char *folder, *began;
    const char *ended; /* may be NULL: it has not */
    const char *name;
    const char *model, *data, *method; /* may be NULL */
    const char *state;
    uint64_t step, steps, tokens;
    double loss, best_loss; /* NAN: none */
};

/* Adds the run, or replaces what was known of it; `run->id` is not used. */
hearth_status stored_runs_put(struct store *store, const struct stored_run *run, hearth_error *err);

/* Forgets all runs of a folder. */
hearth_status stored_runs_forget(struct store *store, const char *folder, hearth_error *err);

struct stored_run_list {
    struct stored_run *runs; /* the one begun last first */
    size_t count;
    struct arena strings;
};
/* stored_runs_release follows in every case. */
hearth_status stored_runs_read(struct store *store, struct stored_run_list *list,
                               hearth_error *err);
void stored_runs_release(struct stored_run_list *list);

#endif
