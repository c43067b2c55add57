#include "model/model.h"

#include "model/hf_import.h"

hearth_status model_open_files(struct model *model, const char *path, hearth_error *err) {
    *model = (struct model){0};
    if (file_is_folder(path)) {
        struct hf_import import;
        RETURN_IF_ERROR(hf_import_open(&import, path, err));
        return hf_import_directory(&import, &model->directory, err);
    }
    return gguf_open(&model->directory, path, err);
}

hearth_status model_open(struct model *model, const char *path, hearth_error *err) {
    RETURN_IF_ERROR(model_open_files(model, path, err));
    hearth_status status = config_read(&model->config, &model->directory.metadata, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    error_prefix(err, status, "cannot use model '%s'", path);
    model_close(model);
    return status;
}

void model_close(struct model *model) {
    config_release(&model->config);
    directory_close(&model->directory);
    *model = (struct model){0};
}

bool model_has_next(const struct model *model) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.nextn.eh_proj.weight", model->config.n_layer);
    return model->config.n_next > 0 && directory_find(&model->directory, name) != NULL;
}

bool model_chat_template(const struct model *model, struct text *out) {
    return metadata_string(&model->directory.metadata, "tokenizer.chat_template", out) &&
           out->length > 0;
}

uint64_t model_parameters(const struct model *model) {
    uint64_t total = 0;
    for (size_t i = 0; i < model->directory.n_tensors; i++) {
        const struct tensor *t = &model->directory.tensors[i];
        total += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
    return total;
}
