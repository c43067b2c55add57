/* model.h - an opened model: its tensors, its configuration, its tokenizer.
 *
 * Immutable after opening and shared by every executor. */
#ifndef HEARTH_MODEL_MODEL_H
#define HEARTH_MODEL_MODEL_H

#include "format/directory.h"
#include "model/config.h"

struct model {
    struct directory directory;
    struct config config;
};

/* `path`: a GGUF file (any part of a split one) or a Hugging Face folder. */
hearth_status model_open(struct model *model, const char *path, hearth_error *err);
/* Only its tensors and metadata, for those who need no more: of whatever family. */
hearth_status model_open_files(struct model *model, const char *path, hearth_error *err);
void model_close(struct model *model); /* zeroed is fine */

/* Whether it has a head that predicts a further token (model/next_token.c). */
bool model_has_next(const struct model *model);
/* The chat template in the metadata; false when there is none. */
bool model_chat_template(const struct model *model, struct text *out);
uint64_t model_parameters(const struct model *model);

#endif
