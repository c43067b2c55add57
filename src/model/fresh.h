/* fresh.h - a new model to train from scratch: chosen measures, random weights.
 *
 * Initialised as GPT-2 (Radford et al. 2019, section 2.3): matrices are normal with a small
 * standard deviation; those that write into the residual stream (attention output, second
 * feed-forward matrix) are divided by sqrt(2 n_layer), so that the stream's variance does
 * not grow with depth; norms are 1, biases 0. All in F32. The same options and seed give
 * the same file. */
#ifndef HEARTH_MODEL_FRESH_H
#define HEARTH_MODEL_FRESH_H

#include "model/shape.h"
#include "token/tokenizer.h"

enum { FRESH_MAX_LAYERS = 512, FRESH_MAX_WIDTH = 1 << 16 };

struct fresh_options {
    struct shape shape; /* n_vocab and `name` are set by fresh_check */
    const struct tokenizer *tokenizer;
    const char *name;                  /* general.name */
    const char *chat_template;         /* or NULL, as are the next two */
    const char *license, *description; /* general.license (an SPDX name), general.description */
    float deviation;                   /* of the matrices */
    float temperature; /* general.sampling.temp, what answers are best sampled with; < 0: none */
    uint64_t seed;
    /* Called now and then with bytes written; may be NULL. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

/* Sets family and traits of a shape: llama, qwen2 or qwen3. */
hearth_status fresh_family(struct shape *shape, const char *family, hearth_error *err);
/* Whether these measures make a model; sets what follows from others. */
hearth_status fresh_check(struct fresh_options *options, hearth_error *err);
uint64_t fresh_size_bytes(const struct fresh_options *options, uint64_t *n_parameters,
                          hearth_error *err); /* of the weights; 0 without memory */
/* Writes a GGUF file, atomically; the options have been checked. */
hearth_status fresh_write(const char *path, const struct fresh_options *options, hearth_error *err);

#endif
