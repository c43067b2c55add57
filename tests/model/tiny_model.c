#include "tiny_model.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/gguf_write.h"

enum { METADATA_BYTES = 1 << 20, KEY_BYTES = 128 };

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static const char *key_of(const struct tiny *t, const char *key, char *out) {
    snprintf(out, KEY_BYTES, "%s.%s", t->family, key);
    return out;
}

void tiny_begin(struct tiny *t, const char *family, uint64_t seed) {
    *t = (struct tiny){.family = family};
    metadata_init(&t->metadata, METADATA_BYTES);
    rng_seed(&t->rng, seed);
    metadata_set_string(&t->metadata, "general.architecture", family, strlen(family), NULL);
    metadata_set_string(&t->metadata, "tokenizer.ggml.model", "no_vocab", 8, NULL);
    metadata_set_uint(&t->metadata, "tokenizer.ggml.token_type_count", META_U32, 2, NULL);
    tiny_u32(t, "vocab_size", TINY_VOCAB);
    tiny_u32(t, "context_length", 256);
}

void tiny_u32(struct tiny *t, const char *key, uint32_t value) {
    char name[KEY_BYTES];
    assert_int_equal(metadata_set_uint(&t->metadata, key_of(t, key, name), META_U32, value, NULL),
                     HEARTH_OK);
}

void tiny_f32(struct tiny *t, const char *key, double value) {
    char name[KEY_BYTES];
    assert_int_equal(metadata_set_float(&t->metadata, key_of(t, key, name), value, NULL),
                     HEARTH_OK);
}

void tiny_bool(struct tiny *t, const char *key, bool value) {
    char name[KEY_BYTES];
    assert_int_equal(metadata_set_bool(&t->metadata, key_of(t, key, name), value, NULL), HEARTH_OK);
}

void tiny_u32s(struct tiny *t, const char *key, const uint32_t *values, size_t count) {
    char name[KEY_BYTES];
    assert_int_equal(
        metadata_set_array(&t->metadata, key_of(t, key, name), META_U32, values, count, NULL),
        HEARTH_OK);
}

void tiny_bools(struct tiny *t, const char *key, const bool *values, size_t count) {
    char name[KEY_BYTES];
    assert_int_equal(
        metadata_set_array(&t->metadata, key_of(t, key, name), META_BOOL, values, count, NULL),
        HEARTH_OK);
}

static float draw(struct tiny *t, enum tiny_fill fill, uint64_t n_inputs) {
    float x = rng_normal(&t->rng);
    switch (fill) {
    case FILL_MATRIX: return x / sqrtf((float)n_inputs);
    case FILL_SHARP: return 1.7f * x / sqrtf((float)n_inputs);
    case FILL_EMBEDDING: return x;
    case FILL_NORM: return 1.0f + 0.2f * x;
    case FILL_BIAS: return 0.3f * x;
    }
    return 0;
}

float *tiny_tensor(struct tiny *t, enum tiny_fill fill, const char *name, uint64_t d0, uint64_t d1,
                   uint64_t d2) {
    assert_true(t->n_tensors < TINY_MAX_TENSORS);
    struct tensor *tensor = &t->tensors[t->n_tensors];
    char *own_name = t->names[t->n_tensors++];
    snprintf(own_name, sizeof t->names[0], "%s", name);
    size_t n = d0 * (d1 ? d1 : 1) * (d2 ? d2 : 1);
    float *values = mem_alloc_array(n, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = draw(t, fill, d0);
    *tensor = (struct tensor){.name = own_name,
                              .type = ELEM_F32,
                              .n_dims = d2   ? 3
                                        : d1 ? 2
                                             : 1,
                              .dims = {d0, d1 ? d1 : 1, d2 ? d2 : 1, 1},
                              .data = (const uint8_t *)values,
                              .size_bytes = n * sizeof *values};
    return values;
}

float *tiny_layer(struct tiny *t, enum tiny_fill fill, uint32_t layer, const char *name,
                  uint64_t d0, uint64_t d1, uint64_t d2) {
    char full[64];
    snprintf(full, sizeof full, "blk.%u.%s", layer, name);
    return tiny_tensor(t, fill, full, d0, d1, d2);
}

static void keep_copy(const struct tiny *t, const char *folder) {
    static unsigned number;
    char path[512];
    hearth_error err = {0};
    snprintf(path, sizeof path, "%s/%s-%u.gguf", folder, t->family, number++);
    expect_ok(gguf_write(path, &t->metadata, t->tensors, t->n_tensors, 0, NULL, NULL, &err), &err);
}

void tiny_write(struct tiny *t) {
    hearth_error err = {0};
    const char *base = getenv("TMPDIR"), *keep = getenv("HEARTH_TINY_FOLDER");
    snprintf(t->path, sizeof t->path, "%s/hearth-tiny-XXXXXX", base && *base ? base : "/tmp");
    int fd = mkstemp(t->path);
    assert_true(fd >= 0);
    close(fd);
    expect_ok(gguf_write(t->path, &t->metadata, t->tensors, t->n_tensors, 0, NULL, NULL, &err),
              &err);
    if (keep && *keep) keep_copy(t, keep);
}

void tiny_end(struct tiny *t) {
    if (t->path[0]) remove(t->path);
    for (size_t i = 0; i < t->n_tensors; i++)
        mem_free((void *)(uintptr_t)t->tensors[i].data);
    metadata_release(&t->metadata);
}

const int32_t *tiny_tokens(void) {
    static int32_t tokens[TINY_TOKENS];
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < TINY_TOKENS; i++)
        tokens[i] = (int32_t)(rng_u64(&rng) % TINY_VOCAB);
    return tokens;
}

void tiny_read_golden(const char *folder, int32_t *tokens, double *logits) {
    char name[128];
    float row[TINY_VOCAB];
    snprintf(name, sizeof name, "%s/tokens.txt", folder);
    FILE *file = fopen(testdata(name), "r");
    assert_non_null(file);
    for (int i = 0; i < TINY_TOKENS; i++)
        assert_int_equal(fscanf(file, "%d", &tokens[i]), 1);
    fclose(file);
    snprintf(name, sizeof name, "%s/logits.f32", folder);
    file = fopen(testdata(name), "rb");
    assert_non_null(file);
    for (int t = 0; t < TINY_TOKENS; t++) {
        assert_int_equal(fread(row, sizeof *row, TINY_VOCAB, file), TINY_VOCAB);
        for (int i = 0; i < TINY_VOCAB; i++)
            logits[t * TINY_VOCAB + i] = (double)row[i];
    }
    fclose(file);
}

double tiny_nmse(const float *x, const double *reference, size_t n) {
    double error = 0, energy = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - reference[i];
        error += d * d;
        energy += reference[i] * reference[i];
    }
    return error / energy;
}

static void compute(struct context *context, const int32_t *tokens, uint32_t chunk, float *logits) {
    hearth_error err = {0};
    context_sequence_truncate(context, 0, 0);
    for (uint32_t at = 0; at < TINY_TOKENS; at += chunk) {
        uint32_t n = TINY_TOKENS - at < chunk ? TINY_TOKENS - at : chunk;
        struct context_part part = {.tokens = tokens + at, .n_tokens = n, .all_logits = true};
        expect_ok(context_decode(context, &part, 1, logits + (size_t)at * TINY_VOCAB, &err), &err);
    }
}

void tiny_compare_logits(const struct tiny *t, const int32_t *tokens, const double *reference,
                         double tolerance) {
    static const uint32_t chunks[] = {TINY_TOKENS, 7, 1};
    static float logits[TINY_TOKENS * TINY_VOCAB];
    struct model model;
    struct context *context;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.k_type = options.v_type = ELEM_F32;
    options.n_threads = 2;
    expect_ok(model_open(&model, t->path, &err), &err);
    expect_ok(context_open(&context, &model, &options, &err), &err);
    for (int i = 0; i < 3; i++) {
        compute(context, tokens, chunks[i], logits);
        double error = tiny_nmse(logits, reference, TINY_TOKENS * TINY_VOCAB);
        if (!(error <= tolerance))
            fail_msg("%s, chunks of %u: NMSE %.3g, at most %.3g", t->family, chunks[i], error,
                     tolerance);
        print_message("%s, chunks of %u: NMSE %.2g\n", t->family, chunks[i], error);
    }
    context_close(context);
    model_close(&model);
}
