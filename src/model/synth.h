/* synth.h - a model of a known shape with random weights, for measuring speed.
 *
 * Weights are normal with standard deviation 1 / sqrt(columns), so that activations
 * neither vanish nor grow and logits stay finite. A small panel of values is made and
 * quantised for each element type and width; weights are drawn from it block by block,
 * which makes a file about as fast as the disk takes it. The same seed gives the same
 * file. */
#ifndef HEARTH_MODEL_SYNTH_H
#define HEARTH_MODEL_SYNTH_H

#include "model/quant_recipe.h"
#include "model/shape.h"

struct synth_options {
    const struct shape *shape;
    struct quant_choice quant;
    uint64_t seed;
    /* Called now and then with bytes written; may be NULL. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

/* Writes a GGUF file, atomically. */
hearth_status synth_write(const char *path, const struct synth_options *options, hearth_error *err);
/* How large it would be. `token_bytes`: what generating a token reads, of experts
 * only those in use, of an embedding of its own next to nothing. */
struct synth_size {
    uint64_t total_bytes, token_bytes;
};
hearth_status synth_measure(const struct synth_options *options, struct synth_size *size,
                            hearth_error *err);

#endif
