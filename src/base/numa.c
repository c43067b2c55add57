#include "base/numa.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of <linux/mempolicy.h>, which the kernel's headers bring and the C library's do not. */
enum { POLICY_DEFAULT = 0, POLICY_FLAG_ALLOWED = 4, POLICY_NODES = 1024 };

_Static_assert(sizeof(struct numa_place) == sizeof(cpu_set_t), "a place is the system's set");

/* All nodes where the system does not answer. */
static void read_allowed_memory(bool memory[TOPOLOGY_NODES]) {
    enum { WORD_BITS = 8 * sizeof(unsigned long) };
    unsigned long mask[POLICY_NODES / WORD_BITS];
    memset(mask, 0, sizeof mask);
    if (syscall(SYS_get_mempolicy, NULL, mask, POLICY_NODES, NULL, POLICY_FLAG_ALLOWED) != 0)
        memset(mask, 0xff, sizeof mask);
    for (unsigned i = 0; i < TOPOLOGY_NODES; i++)
        memory[i] = mask[i / WORD_BITS] >> i % WORD_BITS & 1;
}

void numa_read_nodes(struct topology_nodes *nodes) {
    cpu_set_t set;
    bool allowed[TOPOLOGY_CPUS], memory[TOPOLOGY_NODES];
    int policy = POLICY_DEFAULT;
    *nodes = (struct topology_nodes){1, .cores = {1}};
    if (sched_getaffinity(0, sizeof set, &set) != 0) return;
    syscall(SYS_get_mempolicy, &policy, NULL, 0, NULL, 0);
    if (policy != POLICY_DEFAULT) return;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        allowed[i] = CPU_ISSET(i, &set);
    read_allowed_memory(memory);
    topology_read_nodes("/sys", allowed, memory, nodes);
}

void numa_read_cores(struct topology_nodes *cores) {
    cpu_set_t set;
    bool allowed[TOPOLOGY_CPUS];
    *cores = (struct topology_nodes){1, .cores = {1}};
    if (sched_getaffinity(0, sizeof set, &set) != 0) return;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        allowed[i] = CPU_ISSET(i, &set);
    topology_read_cores("/sys", allowed, cores);
}

void numa_enter(const struct topology_nodes *nodes, unsigned node, struct numa_place *before) {
    cpu_set_t set;
    CPU_ZERO(&set); /* where the next call fails, so does the last */
    sched_getaffinity(0, sizeof set, &set);
    memcpy(before, &set, sizeof set);
    CPU_ZERO(&set);
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        if (nodes->of_cpu[i] == node) CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);
}

void numa_leave(const struct numa_place *before) {
    cpu_set_t set;
    memcpy(&set, before, sizeof set);
    sched_setaffinity(0, sizeof set, &set);
}
