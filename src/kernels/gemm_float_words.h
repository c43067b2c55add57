/* gemm_float_words.h - the words of gemm_panels.h that are one float each. Included after
 * vec_<level>.h. */
#ifndef HEARTH_KERNELS_GEMM_FLOAT_WORDS_H
#define HEARTH_KERNELS_GEMM_FLOAT_WORDS_H

enum { GEMM_VALUES = 1, GEMM_DEPTH = 256 };

static inline vf gemm_madd(vf a, vf b, vf c) {
    return vf_fma(a, b, c);
}
static inline vf gemm_run(const float *x) {
    return vf_load(x);
}
static inline vf gemm_run_some(const float *x, size_t n) {
    return vf_load_some(x, n);
}
static inline vf gemm_across(const float *x, size_t stride) {
    (void)stride;
    return vf_load(x);
}
static inline vf gemm_across_some(const float *x, size_t stride, size_t rows, size_t n) {
    (void)stride, (void)n;
    return rows < VF_LANES ? vf_load_some(x, rows) : vf_load(x);
}

#endif
