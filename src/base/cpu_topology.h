/* cpu_topology.h - which processors are worth a thread, as Linux tells below /sys
 * (Documentation/ABI/testing/sysfs-devices-system-cpu).
 *
 * Work is cut into equal shares, so the slowest thread sets the pace: two threads on one
 * core, or a thread on a core made to save energy, hold up the others. */
#ifndef HEARTH_BASE_CPU_TOPOLOGY_H
#define HEARTH_BASE_CPU_TOPOLOGY_H

#include <stdbool.h>

enum { TOPOLOGY_CPUS = 1024 };

/* Physical cores with at least one of the `allowed` [TOPOLOGY_CPUS] logical processors,
 * each counted once; on machines with cores of several kinds only the fast ones: those
 * Linux calls cpu_core, beside cpu_atom, or with at least half the largest cpu_capacity.
 * At least 1. `sys`: "/sys", or a copy of it. */
unsigned topology_cores(const char *sys, const bool *allowed);

#endif
