/* reference_bert.h - BERT (Devlin et al., arXiv 1810.04805) and its rotary descendants,
 * NomicBERT (arXiv 2402.01613), its expert variant (arXiv 2502.07972) and Jina v3 (arXiv
 * 2409.10173), as their published code computes them. */
#ifndef HEARTH_TESTS_MODEL_REFERENCE_BERT_H
#define HEARTH_TESTS_MODEL_REFERENCE_BERT_H

#include "format/directory.h"

/* Writes the pooled embedding of length 1, [n_embd]. */
void reference_bert(const struct directory *dir, const int32_t *tokens, size_t n_tokens,
                    double *embedding);

#endif
