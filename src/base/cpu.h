/* cpu.h - what this processor can do and the operating system allows.
 *
 * A level includes those before it of the same family. HEARTH_CPU=scalar|avx2|
 * avx512|amx|neon|dotprod|i8mm forces a lower one; a name that is unknown or not
 * available here is an error the program reports, never a silent choice. */
#ifndef HEARTH_BASE_CPU_H
#define HEARTH_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum cpu_level {
    CPU_SCALAR,
    CPU_AVX2,    /* AVX2, FMA, F16C */
    CPU_AVX512,  /* F, BW, DQ, VL, VNNI */
    CPU_AMX,     /* AVX512 level, VBMI and BF16; AMX tile, int8 and bf16 */
    CPU_NEON,    /* every 64-bit ARM processor */
    CPU_DOTPROD, /* SDOT (FEAT_DotProd) */
    CPU_I8MM,    /* SMMLA (FEAT_I8MM) */
    CPU_LEVELS
};

const char *cpu_level_name(enum cpu_level level);
bool cpu_has(enum cpu_level level); /* present and permitted here */
bool cpu_has_avx512_bf16(void);     /* beyond the level avx512, which not all of its have */
bool cpu_has_avx512_vbmi(void);     /* the same */
enum cpu_level cpu_best(void);
/* The best level, or the one HEARTH_CPU asks for. */
hearth_status cpu_choose(enum cpu_level *level, hearth_error *err);

const char *cpu_model_name(void);    /* "AMD EPYC ..." or "unknown" */
unsigned cpu_logical_threads(void);  /* logical processors this process may run on */
unsigned cpu_default_threads(void);  /* fast physical cores this process may run on */
uint64_t cpu_memory_total(void);     /* bytes of RAM, cgroup limit included */
uint64_t cpu_memory_available(void); /* bytes that can be taken without swapping */

/* Bytes of RAM this process holds; 0 where the system does not say. */
struct cpu_process_memory {
    uint64_t resident; /* now, pages of mapped files included */
    uint64_t unshared; /* now, without pages of mapped files */
    uint64_t peak;     /* the most `resident` ever was */
};
struct cpu_process_memory cpu_process_memory(void);

#endif
