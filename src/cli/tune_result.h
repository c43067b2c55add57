/* tune_result.h - files of what a run trained, made from one of its checkpoints: an adapter as
 * GGUF or as PEFT saves it, or a whole model with everything in its weights. */
#ifndef HEARTH_CLI_TUNE_RESULT_H
#define HEARTH_CLI_TUNE_RESULT_H

#include "cli/tune_options.h"
#include "train/tuned.h"

struct tune_result {
    const struct tune_command *command; /* the run's; these four are borrowed */
    const char *folder;                 /* of the run */
    const struct model *model;          /* that was tuned */
    const char *chat_template;          /* that the model needs and does not have; or NULL */
    struct tuned tuned;
};

/* Opens the run's checkpoint `which` (train/tuned.h); tune_result_close follows in every case. */
hearth_status tune_result_open(struct tune_result *result, uint64_t which, hearth_error *err);
void tune_result_close(struct tune_result *result);

/* Whether an adapter says everything: neither weights nor embeddings were trained. */
bool tune_result_is_adapter(const struct tune_result *result);
hearth_status tune_result_write_adapter(const struct tune_result *result, const char *path,
                                        hearth_error *err);
hearth_status tune_result_write_peft(const struct tune_result *result, const char *folder,
                                     hearth_error *err);
/* A GGUF model of the type, such as Q4_K_M (NULL: that of the model's own floats; Q8_0 for a
 * quantised one), with adapters merged and the chat template inside. */
hearth_status tune_result_write_model(const struct tune_result *result, const char *type,
                                      const char *path, hearth_error *err);

#endif
