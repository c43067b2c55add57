#include "reference.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BLOCKS = 1 << 16, NAME_BYTES = 256 };

static void *blocks[MAX_BLOCKS];
static size_t n_blocks;

double *reference_alloc(size_t n) {
    assert(n_blocks < MAX_BLOCKS);
    double *x = calloc(n ? n : 1, sizeof *x);
    assert(x);
    blocks[n_blocks++] = x;
    return x;
}

void reference_release(void) {
    while (n_blocks > 0)
        free(blocks[--n_blocks]);
}

const double *reference_tensor(const struct directory *dir, const char *format, ...) {
    char name[NAME_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(args);
    const struct tensor *tensor = directory_find(dir, name);
    if (!tensor) return NULL;
    assert(tensor->type == ELEM_F32);
    size_t n = tensor->size_bytes / sizeof(float);
    const float *values = (const float *)(const void *)tensor->data;
    double *x = reference_alloc(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)values[i];
    return x;
}

static const char *key_of(const struct directory *dir, const char *key, char *out) {
    struct text family = {"", 0};
    metadata_string(&dir->metadata, "general.architecture", &family);
    snprintf(out, NAME_BYTES, "%.*s.%s", (int)family.length, family.data, key);
    return out;
}

uint32_t reference_u32(const struct directory *dir, const char *key, uint32_t fallback) {
    char name[NAME_BYTES];
    metadata_u32(&dir->metadata, key_of(dir, key, name), &fallback);
    return fallback;
}

double reference_f32(const struct directory *dir, const char *key, double fallback) {
    char name[NAME_BYTES];
    float value;
    return metadata_f32(&dir->metadata, key_of(dir, key, name), &value) ? (double)value : fallback;
}

uint32_t reference_u32_at(const struct directory *dir, const char *key, uint32_t i,
                          uint32_t fallback) {
    char name[NAME_BYTES];
    const struct meta_array *array = metadata_array(&dir->metadata, key_of(dir, key, name));
    return array ? (uint32_t)meta_array_int(array, i) : reference_u32(dir, key, fallback);
}

void reference_linear(double *y, const double *x, const double *w, const double *bias, size_t n_in,
                      size_t n_out) {
    for (size_t r = 0; r < n_out; r++) {
        double sum = bias ? bias[r] : 0;
        for (size_t i = 0; i < n_in; i++)
            sum += w[r * n_in + i] * x[i];
        y[r] = sum;
    }
}

void reference_rms_norm(double *y, const double *x, const double *w, size_t n, double eps) {
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += x[i] * x[i];
    double scale = 1.0 / sqrt(squares / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale * (w ? w[i] : 1.0);
}

void reference_layer_norm(double *y, const double *x, const double *w, const double *bias, size_t n,
                          double eps) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(variance + eps) * (w ? w[i] : 1.0) + (bias ? bias[i] : 0.0);
}

void reference_rotate(double *head, uint32_t n_rot, uint32_t position, double base,
                      const double *factors, bool halves) {
    for (uint32_t i = 0; i < n_rot / 2; i++) {
        double angle = position * pow(base, -2.0 * i / n_rot) / (factors ? factors[i] : 1.0);
        double *a = head + (halves ? i : 2 * i), *b = halves ? a + n_rot / 2 : a + 1;
        double a0 = *a, b0 = *b;
        *a = a0 * cos(angle) - b0 * sin(angle);
        *b = b0 * cos(angle) + a0 * sin(angle);
    }
}

double reference_silu(double x) {
    return x / (1.0 + exp(-x));
}

double reference_gelu(double x) {
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

double reference_gelu_erf(double x) {
    return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
}

void reference_softmax(double *x, size_t n) {
    double max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > max) max = x[i];
    for (size_t i = 0; i < n; i++)
        sum += x[i] = exp(x[i] - max);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}

void reference_attend(double *out, const double *q, const struct reference_attention *a) {
    double *weights = calloc(a->end, sizeof *weights);
    assert(weights && a->begin < a->end);
    for (size_t s = a->begin; s < a->end; s++)
        for (size_t i = 0; i < a->d_k; i++)
            weights[s] += q[i] * a->k[s * a->k_stride + i] * a->scale;
    reference_softmax(weights + a->begin, a->end - a->begin);
    for (size_t i = 0; i < a->d_v; i++) {
        out[i] = 0;
        for (size_t s = a->begin; s < a->end; s++)
            out[i] += weights[s] * a->v[s * a->v_stride + i];
    }
    free(weights);
}
