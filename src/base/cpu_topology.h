/* cpu_topology.h - which processors are worth a thread, and which memory is near them, as
 * Linux tells below /sys (Documentation/ABI/testing/sysfs-devices-system-cpu and
 * Documentation/ABI/stable/sysfs-devices-node).
 *
 * Work is cut into equal shares, so the slowest thread sets the pace: two threads on one
 * core, or a thread on a core made to save energy, hold up the others. */
#ifndef HEARTH_BASE_CPU_TOPOLOGY_H
#define HEARTH_BASE_CPU_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

enum { TOPOLOGY_CPUS = 1024, TOPOLOGY_NODES = 64 };

/* Physical cores with at least one of the `allowed` [TOPOLOGY_CPUS] logical processors,
 * each counted once; on machines with cores of several kinds only the fast ones: those
 * Linux calls cpu_core, beside cpu_atom, or with at least half the largest cpu_capacity.
 * At least 1. `sys`: "/sys", or a copy of it. */
unsigned topology_cores(const char *sys, const bool *allowed);

/* Nodes of memory with processors near them. */
struct topology_nodes {
    unsigned count;                 /* 1: all memory is equally near, or nobody says otherwise */
    unsigned cores[TOPOLOGY_NODES]; /* worth a thread */
    uint8_t of_cpu[TOPOLOGY_CPUS];  /* the node of a processor; `count` where it is not ours */
};

/* The nodes of the `allowed` processors, in the order of Linux's numbers. One node of them
 * all where the system names none, or where a processor of ours is near no memory that this
 * process may use (`memory` [TOPOLOGY_NODES]). */
void topology_read_nodes(const char *sys, const bool *allowed, const bool *memory,
                         struct topology_nodes *nodes);

/* The cores that topology_cores counts, as nodes of one core each; one node of all processors where
 * there are more than TOPOLOGY_NODES. */
void topology_read_cores(const char *sys, const bool *allowed, struct topology_nodes *cores);

/* The first of n_threads threads that belongs to a node: threads are numbered node by node,
 * each node has its part of them by its cores, and shares that are cut by thread (pool_share)
 * are so cut by node, too. Node `count` gives n_threads. */
unsigned topology_first_thread(const struct topology_nodes *nodes, unsigned node,
                               unsigned n_threads);

#endif
