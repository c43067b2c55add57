#include "cli/tune_result.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "model/adapter_write.h"
#include "model/quantization.h"

hearth_status tune_result_open(struct tune_result *r, uint64_t which, hearth_error *err) {
    const struct tune_command *c = r->command;
    struct lora_options lora = {
        .rank = (uint32_t)c->rank, .alpha = (float)c->alpha, .rank_stabilised = c->rank_stabilised};
    char *folder = path_join(r->folder, "checkpoints"), *path = NULL;
    r->tuned = (struct tuned){0};
    if (!folder) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = tuned_find(folder, which, &path, err);
    if (status == HEARTH_OK) status = tuned_open(&r->tuned, path, r->model, &lora, err);
    mem_free(path);
    mem_free(folder);
    return status;
}

void tune_result_close(struct tune_result *r) {
    tuned_close(&r->tuned);
}

bool tune_result_is_adapter(const struct tune_result *r) {
    return r->tuned.n_weights == 0;
}

/* ---- adapters ------------------------------------------------------------------------- */

static hearth_status check_adapter(const struct tune_result *r, hearth_error *err) {
    if (tune_result_is_adapter(r)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "this run trained weights of the model itself, which an adapter cannot hold: "
                     "export a model (--format merged)");
}

static struct adapter_facts describe(const struct tune_result *r) {
    return (struct adapter_facts){.base_name = r->command->model,
                                  .name = path_base(r->folder),
                                  .dropout = r->command->dropout};
}

hearth_status tune_result_write_adapter(const struct tune_result *r, const char *path,
                                        hearth_error *err) {
    struct adapter_facts facts = describe(r);
    RETURN_IF_ERROR(check_adapter(r, err));
    if (adapter_is_decomposed(&r->tuned.adapter))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "adapters in GGUF have no place for the magnitudes of DoRA: export a PEFT "
                         "folder (--format peft), which Hearth reads as well, or a model (--format "
                         "merged)");
    return adapter_write_gguf(path, &r->tuned.adapter, &r->model->config, &facts, err);
}

hearth_status tune_result_write_peft(const struct tune_result *r, const char *folder,
                                     hearth_error *err) {
    struct adapter_facts facts = describe(r);
    RETURN_IF_ERROR(check_adapter(r, err));
    return adapter_write_peft(folder, &r->tuned.adapter, &r->model->config, &facts, err);
}

/* ---- models --------------------------------------------------------------------------- */

/* The type of most bytes, if it is of floats. */
static const char *own_type(const struct directory *dir) {
    uint64_t bytes[ELEM_TYPES] = {0};
    enum elem most = ELEM_F32;
    for (size_t i = 0; i < dir->n_tensors; i++)
        bytes[dir->tensors[i].type] += dir->tensors[i].size_bytes;
    for (int type = 0; type < ELEM_TYPES; type++)
        if (bytes[type] > bytes[most]) most = (enum elem)type;
    return most == ELEM_F32    ? "F32"
           : most == ELEM_F16  ? "F16"
           : most == ELEM_BF16 ? "BF16"
                               : "Q8_0";
}

hearth_status tune_result_write_model(const struct tune_result *r, const char *type,
                                      const char *path, hearth_error *err) {
    struct quantization q = {0};
    struct progress progress;
    struct adapter_set set = {.items = {{&r->tuned.adapter, 1}}, .count = 1};
    struct quantization_options options = {
        .choice = {.output_type = ELEM_TYPES, .embedding_type = ELEM_TYPES},
        .adapter_set = r->tuned.adapter.directory.n_tensors ? &set : NULL,
        .chat_template = r->chat_template,
        .allow_requantize = true,
        .n_threads = (unsigned)r->command->n_threads,
        .progress = progress_report,
        .progress_context = &progress};
    RETURN_IF_ERROR(quant_recipe_find(&options.choice.recipe,
                                      type ? type : own_type(&r->tuned.model.directory), err));
    hearth_status status = quantization_open_model(&q, &r->tuned.model.directory, &options, err);
    if (status == HEARTH_OK) {
        progress_begin(&progress, stderr, "export", q.input_bytes, true);
        status = quantization_write(&q, path, err);
        progress_end(&progress, q.input_bytes);
    }
    quantization_close(&q);
    return status;
}
