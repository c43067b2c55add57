/* numa.h - memory of several nodes (non-uniform memory access): which nodes this process
 * has, and threads that stay with theirs.
 *
 * All of it serves speed alone: where the system refuses, threads run anywhere. */
#ifndef HEARTH_BASE_NUMA_H
#define HEARTH_BASE_NUMA_H

#include "base/cpu_topology.h"

/* The nodes this process may use; one where somebody has chosen its memory policy already
 * (numactl --interleave, --membind to some of them). */
void numa_read_nodes(struct topology_nodes *nodes);

/* The cores of this process, as nodes (topology_read_cores). */
void numa_read_cores(struct topology_nodes *cores);

/* Where a thread may run, as the system keeps it. */
struct numa_place {
    uint64_t processors[TOPOLOGY_CPUS / 64];
};

/* Lets the calling thread run on a node's processors only; `before`: where it could run,
 * for numa_leave. */
void numa_enter(const struct topology_nodes *nodes, unsigned node, struct numa_place *before);
void numa_leave(const struct numa_place *before);

#endif
