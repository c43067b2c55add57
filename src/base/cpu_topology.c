#include "base/cpu_topology.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 512 };

/* Reads "0-3,8" into `set`; false where there is no such file. */
static bool read_list(const char *path, bool *set) {
    unsigned first, last;
    FILE *file = fopen(path, "re");
    memset(set, 0, TOPOLOGY_CPUS);
    if (!file) return false;
    while (fscanf(file, "%u", &first) == 1) {
        int next = fgetc(file);
        last = first;
        if (next == '-' && fscanf(file, "%u", &last) == 1) next = fgetc(file);
        for (unsigned i = first; i <= last && i < TOPOLOGY_CPUS; i++)
            set[i] = true;
        if (next != ',') break;
    }
    fclose(file);
    return true;
}

/* A number of the processor's folder; `otherwise` where it is not told. */
static unsigned read_number(const char *sys, unsigned cpu, const char *name, unsigned otherwise) {
    char path[PATH_BYTES];
    unsigned value = otherwise;
    snprintf(path, sizeof path, "%s/devices/system/cpu/cpu%u/%s", sys, cpu, name);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%u", &value) != 1) value = otherwise;
    if (file) fclose(file);
    return value;
}

/* x86: the two kinds of cores are two devices for counting events. */
static bool named_fast(const char *sys, bool *fast) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/devices/cpu_core/cpus", sys);
    return read_list(path, fast);
}

static void fast_by_capacity(const char *sys, const bool *allowed, bool *fast) {
    unsigned capacity[TOPOLOGY_CPUS] = {0}, most = 0;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++) {
        if (allowed[i]) capacity[i] = read_number(sys, i, "cpu_capacity", 0);
        if (capacity[i] > most) most = capacity[i];
    }
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        fast[i] = capacity[i] >= most - most / 2;
}

/* Numbers the cores of our processors: one is of the core of the first of its sibling list, or one
 * by itself where that is not ours. Returns how many there are. */
static unsigned number_cores(const char *sys, const bool *ours, unsigned core[TOPOLOGY_CPUS]) {
    unsigned count = 0;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++) {
        core[i] = TOPOLOGY_CPUS;
        if (!ours[i]) continue;
        unsigned first = read_number(sys, i, "topology/thread_siblings_list", i);
        bool follows = first < i && ours[first];
        core[i] = follows ? core[first] : count++;
    }
    return count;
}

static unsigned find_cores(const char *sys, const bool *allowed, unsigned core[TOPOLOGY_CPUS]) {
    bool fast[TOPOLOGY_CPUS];
    if (!named_fast(sys, fast)) fast_by_capacity(sys, allowed, fast);
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        fast[i] = fast[i] && allowed[i];
    unsigned count = number_cores(sys, fast, core);
    return count ? count : number_cores(sys, allowed, core); /* confined to the slow ones */
}

unsigned topology_cores(const char *sys, const bool *allowed) {
    unsigned core[TOPOLOGY_CPUS], count = find_cores(sys, allowed, core);
    return count ? count : 1;
}

void topology_read_cores(const char *sys, const bool *allowed, struct topology_nodes *cores) {
    unsigned core[TOPOLOGY_CPUS], count = find_cores(sys, allowed, core);
    *cores = (struct topology_nodes){1, .cores = {1}};
    if (count == 0 || count > TOPOLOGY_NODES) return;
    cores->count = count;
    for (unsigned i = 0; i < count; i++)
        cores->cores[i] = 1;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        cores->of_cpu[i] = (uint8_t)(core[i] < count ? core[i] : count);
}

static unsigned read_processors(const char *sys, unsigned node, const bool *allowed, bool *ours) {
    char path[PATH_BYTES];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/devices/system/node/node%u/cpulist", sys, node);
    read_list(path, ours);
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        count += ours[i] = ours[i] && allowed[i];
    return count;
}

static bool covers(const struct topology_nodes *nodes, const bool *allowed) {
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        if (allowed[i] && nodes->of_cpu[i] == nodes->count) return false;
    return true;
}

void topology_read_nodes(const char *sys, const bool *allowed, const bool *memory,
                         struct topology_nodes *nodes) {
    char path[PATH_BYTES];
    bool with_memory[TOPOLOGY_CPUS], ours[TOPOLOGY_CPUS];
    unsigned count = 0;
    memset(nodes->of_cpu, TOPOLOGY_NODES, sizeof nodes->of_cpu);
    snprintf(path, sizeof path, "%s/devices/system/node/has_memory", sys);
    read_list(path, with_memory);
    for (unsigned node = 0; node < TOPOLOGY_NODES; node++) {
        if (!with_memory[node] || !memory[node]) continue;
        if (read_processors(sys, node, allowed, ours) == 0) continue;
        for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
            if (ours[i]) nodes->of_cpu[i] = (uint8_t)count;
        nodes->cores[count++] = topology_cores(sys, ours);
    }
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        if (nodes->of_cpu[i] == TOPOLOGY_NODES) nodes->of_cpu[i] = (uint8_t)count;
    nodes->count = count;
    if (count == 0 || !covers(nodes, allowed)) *nodes = (struct topology_nodes){1, .cores = {1}};
}

unsigned topology_first_thread(const struct topology_nodes *nodes, unsigned node,
                               unsigned n_threads) {
    unsigned before = 0, all = 0;
    if (nodes->count == 0) return 0;
    for (unsigned i = 0; i < nodes->count; i++) {
        if (i < node) before += nodes->cores[i];
        all += nodes->cores[i];
    }
    return (2 * n_threads * before + all) / (2 * all); /* to the nearest */
}
