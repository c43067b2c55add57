/* tiny_model.h - small models with random weights in GGUF files, built tensor by tensor,
 * and the comparison of what Hearth computes from them with a reference.
 *
 * Initialisation keeps every part of the graph alive: norms near 1, projections of
 * variance gain^2 / inputs, so that changing any one setting moves the logits. */
#ifndef HEARTH_TESTS_MODEL_TINY_MODEL_H
#define HEARTH_TESTS_MODEL_TINY_MODEL_H

#include "testdata.h"

#include "base/rng.h"
#include "format/directory.h"
#include "infer/context.h"

enum { TINY_MAX_TENSORS = 2048, TINY_VOCAB = 128, TINY_TOKENS = 96 };

enum tiny_fill {
    FILL_MATRIX, /* N(0, 1 / inputs) */
    FILL_SHARP,  /* N(0, 1.7^2 / inputs): queries and keys, so that attention is peaked */
    FILL_EMBEDDING,
    FILL_NORM, /* 1 + N(0, 0.2^2) */
    FILL_BIAS  /* N(0, 0.3^2) */
};

struct tiny {
    struct metadata metadata;
    const char *family;
    struct tensor tensors[TINY_MAX_TENSORS];
    char names[TINY_MAX_TENSORS][64];
    size_t n_tensors;
    struct rng rng;
    char path[256];
};

/* Opens with general.architecture and a vocabulary of TINY_VOCAB without text. */
void tiny_begin(struct tiny *t, const char *family, uint64_t seed);
/* Keys are given without the architecture. */
void tiny_u32(struct tiny *t, const char *key, uint32_t value);
void tiny_f32(struct tiny *t, const char *key, double value);
void tiny_bool(struct tiny *t, const char *key, bool value);
void tiny_u32s(struct tiny *t, const char *key, const uint32_t *values, size_t count);
void tiny_bools(struct tiny *t, const char *key, const bool *values, size_t count);
/* Dimensions in GGUF order, 0 where there is none; returns the values to change them. */
float *tiny_tensor(struct tiny *t, enum tiny_fill fill, const char *name, uint64_t d0, uint64_t d1,
                   uint64_t d2);
/* The same as "blk.<layer>.<name>". */
float *tiny_layer(struct tiny *t, enum tiny_fill fill, uint32_t layer, const char *name,
                  uint64_t d0, uint64_t d1, uint64_t d2);
/* Writes the file; tiny_end removes it. HEARTH_TINY_FOLDER keeps a copy there. */
void tiny_write(struct tiny *t);
void tiny_end(struct tiny *t);

/* The same ids for every model. */
const int32_t *tiny_tokens(void);
/* Token ids and logits of a folder of the golden data. */
void tiny_read_golden(const char *folder, int32_t *tokens, double *logits);
double tiny_nmse(const float *x, const double *reference, size_t n);

/* Logits of the written model for TINY_TOKENS tokens in one batch, in chunks of 7 and one
 * by one against `reference` [TINY_TOKENS][TINY_VOCAB]; fails above `tolerance`. */
void tiny_compare_logits(const struct tiny *t, const int32_t *tokens, const double *reference,
                         double tolerance);

#endif
