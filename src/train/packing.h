/* packing.h - batches of sequences, epoch after epoch, in an order that can be resumed.
 *
 * Records are taken in the epoch's order (dataset_shuffled), a window of them at a time;
 * what they become is packed into batches of at most max_rows rows. Sequences stay apart:
 * a batch says where each begins, and nothing may look across.
 *
 *   first fit   each sequence goes to the first batch of the window that has room
 *   by length   sequences of a window are sorted, so that those of one batch are alike
 *
 * Invariants: (1) a batch depends on the data, the options and the state alone, so a run
 * that goes on from a saved state gets the same batches bit for bit; (2) every record of
 * an epoch is in exactly one window; (3) the two sequences of a preference pair stand next
 * to each other in one batch, the chosen one first. One thread. */
#ifndef HEARTH_TRAIN_PACKING_H
#define HEARTH_TRAIN_PACKING_H

#include "train/example.h"
#include "train/train_batch.h"

enum packing_method { PACK_FIRST_FIT, PACK_BY_LENGTH };

enum {
    PACKING_WINDOW_BATCHES = 64,  /* a window ends when it fills about this many batches, */
    PACKING_WINDOW_RECORDS = 8192 /* or has so many records */
};

struct packing_options {
    const struct dataset *dataset; /* borrowed */
    struct example_maker *maker;   /* borrowed */
    enum dataset_part part;
    enum packing_method method;
    uint32_t max_rows;      /* of a batch; a sequence of n tokens takes n - 1 */
    uint32_t max_sequences; /* of a batch; 0: any. 1: no packing (2 for pairs) */
    uint64_t seed;
    bool keep_order; /* of the files, every epoch; otherwise shuffled */
    /* Called for records that were dropped or cut, each time they are met; may be NULL. */
    void (*on_problem)(void *context, const struct dataset_place *place,
                       const struct example_outcome *outcome);
    void *context;
};

/* Where the next batch comes from; any such struct may be stored and come back. */
struct packing_state {
    uint64_t seed, epoch;
    uint64_t record; /* of the epoch's order: where the window begins */
    uint64_t batch;  /* of the window */
};

struct packing_statistics { /* since packer_open */
    uint64_t n_batches, n_sequences, n_rows, n_trained;
    uint64_t n_room; /* rows that the batches could have had: the fill is n_rows / n_room */
};

struct packer;

/* HEARTH_ERROR_ARGUMENT when the longest sequence (a pair of them) does not fit into
 * max_rows, or the part is empty. */
hearth_status packer_open(struct packer **p, const struct packing_options *options,
                          hearth_error *err);
void packer_close(struct packer *p); /* NULL is fine */

/* The next batch, borrowed until the next call. *epoch_ends (nullable): it is the last one
 * of its epoch. Goes on for ever; HEARTH_ERROR_FORMAT when a whole epoch has no sequence. */
hearth_status packer_next(struct packer *p, struct train_batch *batch, bool *epoch_ends,
                          hearth_error *err);
/* How much of the current epoch is done, 0 to 1, by records. */
double packer_progress(const struct packer *p);

struct packing_state packer_state(const struct packer *p);
/* HEARTH_ERROR_ARGUMENT: the state is not one of this data and these options. */
hearth_status packer_seek(struct packer *p, struct packing_state state, hearth_error *err);
struct packing_statistics packer_statistics(const struct packer *p);

#endif
