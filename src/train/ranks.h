/* ranks.h - the processes that train one model together.
 *
 * Each is a rank, 0 to count - 1. All of them make the same calls in the same order (each
 * call is a collective, as MPI says), so every decision that leads to a call must be the same
 * everywhere: ranks_agree and ranks_any make it so. NULL is the one rank of a run without
 * others; then nothing is sent. One thread calls at a time.
 *
 * Invariants: (1) sums are added up in the order of the ranks, with float32 or wider sums, so
 * what comes out depends on the values and the number of ranks only, not on timing; (2) it is
 * the same, bit for bit, on all ranks; (3) a rank that ends without ranks_close ends all. */
#ifndef HEARTH_TRAIN_RANKS_H
#define HEARTH_TRAIN_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    RANKS_MAX = 4096,
    RANKS_PIECE_BYTES = 1 << 20, /* the longest message between two ranks */
    RANKS_HOST_BYTES = 64
};

/* How bytes travel: given by whoever knows a library for it, owned by the ranks. Every
 * function is a collective and waits, without keeping a core busy for long. Several threads may
 * call, one at a time. */
struct ranks_transport {
    void *context;
    int rank, count;
    int n_local; /* ranks on this host, this one included */
    char host[RANKS_HOST_BYTES];
    hearth_status (*broadcast)(void *context, void *data, size_t size_bytes, hearth_error *err);
    /* Piece j of `send` goes to rank j, piece i of `receive` comes from rank i. */
    hearth_status (*exchange)(void *context, const void *send, void *receive, size_t piece_bytes,
                              hearth_error *err);
    /* Piece i of `receive` comes from rank i, the same everywhere. */
    hearth_status (*gather)(void *context, const void *send, void *receive, size_t piece_bytes,
                            hearth_error *err);
    /* From rank `from` to rank 0; the others do not wait. */
    hearth_status (*fetch)(void *context, int from, void *data, size_t size_bytes,
                           hearth_error *err);
    /* `alone`: the others do not know that this rank ends, and are ended with it. */
    void (*close)(void *context, bool alone);
};

/* Whether mpirun started this process among others. */
bool ranks_started(void);

struct ranks;

/* Takes `transport` when it succeeds. */
hearth_status ranks_open(struct ranks **out, const struct ranks_transport *transport,
                         hearth_error *err);
/* `failed`: this rank gives up; if the others have not agreed on that, they are ended. */
void ranks_close(struct ranks *ranks, bool failed);

int ranks_rank(const struct ranks *ranks);
int ranks_count(const struct ranks *ranks);
int ranks_local_count(const struct ranks *ranks);
/* Whether a message that all ranks would print is to be printed here. */
bool ranks_speaks(const struct ranks *ranks);

/* Rank 0's bytes, at most RANKS_PIECE_BYTES, to all. */
hearth_status ranks_broadcast(struct ranks *ranks, void *data, size_t size_bytes,
                              hearth_error *err);
/* HEARTH_OK when `status` is that everywhere; otherwise the status and message of the first
 * rank that failed, which the message names. */
hearth_status ranks_agree(struct ranks *ranks, hearth_status status, hearth_error *err);
/* `*flag` becomes true when it is on any rank. */
hearth_status ranks_any(struct ranks *ranks, bool *flag, hearth_error *err);
/* `*value` becomes the least of all ranks. */
hearth_status ranks_least(struct ranks *ranks, uint64_t *value, hearth_error *err);
/* Sums of a few numbers. */
enum { RANKS_NUMBERS = 8 };
hearth_status ranks_add(struct ranks *ranks, double *numbers, size_t n, hearth_error *err);
/* Fails on all ranks when `text` (less than RANKS_TEXT_BYTES) is not that of rank 0;
 * `what` is how the message calls it. */
enum { RANKS_TEXT_BYTES = 128 };
hearth_status ranks_same(struct ranks *ranks, const char *what, const char *text,
                         hearth_error *err);

/* What goes over the wire of floats that are added up; the sums are float32 in any case. */
enum ranks_wire { WIRE_F32, WIRE_BF16 };

/* Pieces of floats for all ranks, as the next two take them; RANKS_PIECE_BYTES / 4 values per
 * rank, owned by `ranks`, whose contents every call here may change. */
enum { RANKS_PIECE_VALUES = RANKS_PIECE_BYTES / 4 };
float *ranks_piece(struct ranks *ranks, int rank);
/* Every rank fills the pieces of all ranks (n values of each); afterwards its own is the sum
 * of what all put there for it; what a rank puts there for itself keeps its digits. */
hearth_status ranks_sum_pieces(struct ranks *ranks, size_t n, enum ranks_wire wire,
                               hearth_error *err);
/* Every rank fills its own piece; afterwards all have all. */
hearth_status ranks_gather_pieces(struct ranks *ranks, size_t n, enum ranks_wire wire,
                                  hearth_error *err);
/* Bytes of rank `from`, at most RANKS_PIECE_BYTES, to rank 0. */
hearth_status ranks_fetch(struct ranks *ranks, int from, void *data, size_t size_bytes,
                          hearth_error *err);

#endif
