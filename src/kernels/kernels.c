#include "kernels/kernels.h"

#include <pthread.h>

#include "kernels/levels.h"

static struct kernels tables[CPU_LEVELS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

/* Even the functions that fill a level's table are compiled for it: what the processor lacks
 * stays scalar. */
static void fill_tables(void) {
    for (int level = 0; level < CPU_LEVELS; level++) {
        struct kernels *k = &tables[level];
        kernels_fill_scalar(k);
        k->level = (enum cpu_level)level;
        if (!cpu_has(k->level)) continue;
#if defined(__x86_64__)
        if (level >= CPU_AVX2 && level <= CPU_AMX) kernels_fill_avx2(k);
        if (level >= CPU_AVX512 && level <= CPU_AMX) kernels_fill_avx512(k);
        if ((level == CPU_AVX512 || level == CPU_AMX) && cpu_has_avx512_vbmi()) vbmi_fill_iq(k);
        if (level == CPU_AVX512 && cpu_has_avx512_bf16()) k->gemm_bf16 = &avx512_gemm_bf16;
        if (level == CPU_AMX) k->prompt = &amx_prompt;
        if (level == CPU_AMX) k->gemm_bf16 = &amx_gemm_bf16;
#elif defined(__aarch64__)
        if (level >= CPU_NEON) kernels_fill_neon(k);
        if (level >= CPU_DOTPROD) kernels_fill_dotprod(k);
        if (level >= CPU_I8MM) kernels_fill_i8mm(k);
#endif
    }
}

const struct kernels *kernels_for(enum cpu_level level) {
    pthread_once(&filled, fill_tables);
    return &tables[level < CPU_LEVELS ? level : CPU_SCALAR];
}
