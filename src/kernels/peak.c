#include "kernels/peak.h"

/* More sums side by side than an addition takes cycles. */
enum { SUMS = 8 };

static double run_f32(uint64_t rounds) {
    float sums[SUMS] = {0}, one = 1;
    double total = 0;
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++) {
            __asm__ volatile("" : "+m"(one)); /* else one product serves all sums */
            sums[i] += one * one;
        }
    for (int i = 0; i < SUMS; i++)
        total += (double)sums[i];
    return total;
}

static double run_int8(uint64_t rounds) {
    int32_t sums[SUMS] = {0};
    int8_t one = 1;
    double total = 0;
    for (; rounds > 0; rounds--)
        for (int i = 0; i < SUMS; i++) {
            __asm__ volatile("" : "+m"(one));
            sums[i] += one * one;
        }
    for (int i = 0; i < SUMS; i++)
        total += sums[i];
    return total;
}

struct peak_loop peak_loop(enum cpu_level level, enum peak_kind kind) {
    struct peak_loop loops[PEAK_KINDS] = {
        [PEAK_F32] = {SUMS, run_f32}, [PEAK_INT8] = {SUMS, run_int8}};
#if defined(__x86_64__)
    if (level >= CPU_AVX2 && level <= CPU_AMX) peak_fill_avx2(loops);
    if (level >= CPU_AVX512 && level <= CPU_AMX) peak_fill_avx512(loops);
    if (level == CPU_AVX512 && cpu_has_avx512_bf16()) peak_fill_bf16(loops);
    if (level == CPU_AMX) peak_fill_amx(loops);
#elif defined(__aarch64__)
    if (level >= CPU_NEON) peak_fill_neon(loops);
    if (level >= CPU_DOTPROD) peak_fill_dotprod(loops);
    if (level >= CPU_I8MM) peak_fill_i8mm(loops);
#else
    (void)level;
#endif
    return loops[kind];
}

const char *peak_name(enum peak_kind kind) {
    static const char *const names[] = {"f32", "int8", "bf16"};
    return names[kind];
}
