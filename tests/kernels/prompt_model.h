/* prompt_model.h - the prompt arithmetic of the matrix unit on processors without one:
 * src/kernels/amx.c compiled against a model of the unit's instructions. Everything else in
 * it is as on the unit's processors, and needs AVX-512 with VBMI and BF16. */
#ifndef HEARTH_TESTS_KERNELS_PROMPT_MODEL_H
#define HEARTH_TESTS_KERNELS_PROMPT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernels.h"

extern const struct prompt_kernels amx_model_prompt;
extern const struct gemm_kernels amx_model_gemm; /* src/kernels/amx_gemm.c, likewise */

static inline bool prompt_model_runs(void) {
#if defined(__x86_64__)
    return cpu_has(CPU_AVX512) && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/* From now on devices compute prompts with `prompt` at this level; NULL: like everything
 * else. Tables are shared by the whole process, hence only for tests. */
static inline void prompt_model_use(enum cpu_level level, const struct prompt_kernels *prompt) {
    ((struct kernels *)(uintptr_t)kernels_for(level))->prompt = prompt;
}

#endif
