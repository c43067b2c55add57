/* reference_gemma4.h - Gemma 4's text model as its published code describes it
 * (Hugging Face transformers, models/gemma4, Gemma4TextModel), one formula after the other. */
#ifndef HEARTH_TESTS_MODEL_REFERENCE_GEMMA4_H
#define HEARTH_TESTS_MODEL_REFERENCE_GEMMA4_H

#include "format/directory.h"

/* Writes logits [n_tokens][n_vocab]. */
void reference_gemma4(const struct directory *dir, const int32_t *tokens, size_t n_tokens,
                      double *logits);

#endif
