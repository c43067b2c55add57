#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cpu_topology.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

static const char *const level_names[CPU_LEVELS] = {"scalar", "avx2",    "avx512", "amx",
                                                    "neon",   "dotprod", "i8mm"};

const char *cpu_level_name(enum cpu_level level) {
    return level < CPU_LEVELS ? level_names[level] : "unknown";
}

#if defined(__x86_64__)

struct cpuid_regs {
    unsigned eax, ebx, ecx, edx;
};

static struct cpuid_regs cpuid(unsigned leaf, unsigned subleaf) {
    struct cpuid_regs r = {0};
    if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx))
        r = (struct cpuid_regs){0};
    return r;
}

static uint64_t xgetbv0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (uint64_t)high << 32;
}

static bool bit(unsigned value, int n) {
    return (value >> n & 1u) != 0;
}

/* Linux gives tile state only to a process that asks (arch_prctl,
 * ARCH_REQ_XCOMP_PERM, feature 18; Linux Documentation/x86/xstate.rst). */
static bool permit_amx(void) {
#ifdef SYS_arch_prctl
    enum { ARCH_REQ_XCOMP_PERM_CODE = 0x1023, XFEATURE_TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_CODE, XFEATURE_TILE_DATA) == 0;
#else
    return false;
#endif
}

enum {
    AVX512_BF16 = 5, /* bit of eax, leaf 7, subleaf 1 */
    AVX512_VBMI = 1  /* bit of ecx, leaf 7 */
};

bool cpu_has(enum cpu_level level) {
    if (level == CPU_SCALAR) return true;
    if (level > CPU_AMX) return false;
    struct cpuid_regs one = cpuid(1, 0), seven = cpuid(7, 0);
    if (!bit(one.ecx, 27)) return false; /* OSXSAVE */
    uint64_t enabled = xgetbv0();
    bool avx2 = (enabled & 0x6) == 0x6 && bit(seven.ebx, 5) && bit(one.ecx, 12) &&
                bit(one.ecx, 29); /* AVX2, FMA, F16C */
    if (level == CPU_AVX2) return avx2;
    bool avx512 = avx2 && (enabled & 0xe6) == 0xe6 && bit(seven.ebx, 16) && bit(seven.ebx, 17) &&
                  bit(seven.ebx, 30) && bit(seven.ebx, 31) && bit(seven.ecx, 11);
    if (level == CPU_AVX512) return avx512;
    bool wide = avx512 && bit(seven.ecx, AVX512_VBMI) && bit(cpuid(7, 1).eax, AVX512_BF16);
    return wide && (enabled & 0x60000) == 0x60000 && bit(seven.edx, 22) && bit(seven.edx, 24) &&
           bit(seven.edx, 25) && permit_amx();
}

bool cpu_has_avx512_bf16(void) {
    return cpu_has(CPU_AVX512) && bit(cpuid(7, 1).eax, AVX512_BF16);
}

bool cpu_has_avx512_vbmi(void) {
    return cpu_has(CPU_AVX512) && bit(cpuid(7, 0).ecx, AVX512_VBMI);
}

enum cpu_level cpu_best(void) {
    for (int level = CPU_AMX; level > CPU_SCALAR; level--)
        if (cpu_has((enum cpu_level)level)) return (enum cpu_level)level;
    return CPU_SCALAR;
}

#elif defined(__aarch64__)

bool cpu_has(enum cpu_level level) {
    unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
    switch (level) {
    case CPU_SCALAR:
    case CPU_NEON: return true;
    case CPU_DOTPROD: return (caps >> 20 & 1) != 0;                        /* ASIMDDP */
    case CPU_I8MM: return (caps >> 20 & 1) != 0 && (caps2 >> 13 & 1) != 0; /* I8MM */
    default: return false;
    }
}

enum cpu_level cpu_best(void) {
    for (int level = CPU_I8MM; level > CPU_NEON; level--)
        if (cpu_has((enum cpu_level)level)) return (enum cpu_level)level;
    return CPU_NEON;
}

#else

bool cpu_has(enum cpu_level level) {
    return level == CPU_SCALAR;
}

enum cpu_level cpu_best(void) {
    return CPU_SCALAR;
}

#endif

#if !defined(__x86_64__)

bool cpu_has_avx512_bf16(void) {
    return false;
}

bool cpu_has_avx512_vbmi(void) {
    return false;
}

#endif

hearth_status cpu_choose(enum cpu_level *level, hearth_error *err) {
    const char *wanted = getenv("HEARTH_CPU");
    *level = cpu_best();
    if (!wanted || !*wanted) return HEARTH_OK;
    for (int i = 0; i < CPU_LEVELS; i++) {
        if (strcmp(wanted, level_names[i]) != 0) continue;
        if (!cpu_has((enum cpu_level)i))
            return error_set(
                err, HEARTH_ERROR_UNSUPPORTED,
                "HEARTH_CPU=%s is not available on this processor; the best here is %s", wanted,
                level_names[*level]);
        *level = (enum cpu_level)i;
        return HEARTH_OK;
    }
    return error_set(
        err, HEARTH_ERROR_ARGUMENT,
        "HEARTH_CPU=%s is not a level; use scalar, avx2, avx512, amx, neon, dotprod or "
        "i8mm",
        wanted);
}

const char *cpu_model_name(void) {
    static char name[128];
    if (name[0]) return name;
    FILE *info = fopen("/proc/cpuinfo", "re");
    char line[256];
    while (info && fgets(line, sizeof line, info)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!colon) continue;
        snprintf(name, sizeof name, "%s", colon + 2);
        name[strcspn(name, "\n")] = '\0';
        break;
    }
    if (info) fclose(info);
    if (!name[0]) snprintf(name, sizeof name, "unknown");
    return name;
}

unsigned cpu_logical_threads(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return (unsigned)CPU_COUNT(&set);
}

unsigned cpu_default_threads(void) {
    cpu_set_t set;
    bool allowed[TOPOLOGY_CPUS];
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        allowed[i] = i < CPU_SETSIZE && CPU_ISSET(i, &set);
    return topology_cores("/sys", allowed);
}

/* "Field:   123 kB" of a file below /proc, in bytes. */
static uint64_t proc_field(const char *path, const char *field) {
    FILE *info = fopen(path, "re");
    char line[256];
    unsigned long long kib = 0;
    size_t n = strlen(field);
    while (info && fgets(line, sizeof line, info))
        if (strncmp(line, field, n) == 0 && line[n] == ':') {
            kib = strtoull(line + n + 1, NULL, 10);
            break;
        }
    if (info) fclose(info);
    return (uint64_t)kib * 1024;
}

static uint64_t cgroup_limit(void) {
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    unsigned long long limit = 0;
    if (file && fscanf(file, "%llu", &limit) != 1) limit = 0;
    if (file) fclose(file);
    return limit;
}

uint64_t cpu_memory_total(void) {
    uint64_t total = proc_field("/proc/meminfo", "MemTotal"), limit = cgroup_limit();
    return limit && limit < total ? limit : total;
}

uint64_t cpu_memory_available(void) {
    uint64_t available = proc_field("/proc/meminfo", "MemAvailable"), total = cpu_memory_total();
    return available < total ? available : total;
}

struct cpu_process_memory cpu_process_memory(void) {
    static const char status[] = "/proc/self/status";
    return (struct cpu_process_memory){.resident = proc_field(status, "VmRSS"),
                                       .unshared = proc_field(status, "RssAnon"),
                                       .peak = proc_field(status, "VmHWM")};
}
