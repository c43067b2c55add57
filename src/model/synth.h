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
/* How many bytes its tensors have, without writing. */
hearth_status synth_size(const struct synth_options *options, uint64_t *size_bytes,
                         hearth_error *err);

#endif
