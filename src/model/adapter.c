#include "model/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

hearth_status adapter_check_pairs(const struct adapter *adapter, hearth_error *err) {
    const struct directory *dir = &adapter->directory;
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const struct tensor *a = &dir->tensors[i];
        char name[512];
        size_t n = strlen(a->name);
        if (n < 7 || strcmp(a->name + n - 7, ".lora_a") != 0) continue;
        snprintf(name, sizeof name, "%.*s.lora_b", (int)(n - 7), a->name);
        const struct tensor *b = directory_find(dir, name);
        if (!b) return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' is missing", name);
        if (a->dims[1] != b->dims[0])
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "ranks of '%s' (%llu) and '%s' (%llu) differ", a->name,
                             (unsigned long long)a->dims[1], name, (unsigned long long)b->dims[0]);
    }
    return HEARTH_OK;
}

static hearth_status check_kind(struct adapter *adapter, const char *family, hearth_error *err) {
    const struct metadata *m = &adapter->directory.metadata;
    struct text type = {"", 0}, kind = {"", 0}, arch = {"", 0};
    metadata_string(m, "general.type", &type);
    metadata_string(m, "adapter.type", &kind);
    metadata_string(m, "general.architecture", &arch);
    if (!text_equal(type, "adapter") || !text_equal(kind, "lora"))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "not a LoRA adapter: general.type is '%.*s', adapter.type '%.*s'",
                         (int)type.length, type.data, (int)kind.length, kind.data);
    if (!text_equal(arch, family))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the adapter is for '%.*s', the model is '%s'",
                         (int)arch.length, arch.data, family);
    if (!metadata_f32(m, "adapter.lora.alpha", &adapter->alpha))
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata key 'adapter.lora.alpha' is missing");
    return HEARTH_OK;
}

static hearth_status open_file(struct adapter *adapter, const char *path, const struct config *base,
                               hearth_error *err) {
    RETURN_IF_ERROR(gguf_open(&adapter->directory, path, err));
    hearth_status status = check_kind(adapter, base->family, err);
    if (status == HEARTH_OK) status = adapter_check_pairs(adapter, err);
    if (status != HEARTH_OK) error_prefix(err, status, "cannot use adapter '%s'", path);
    return status;
}

hearth_status adapter_open(struct adapter *adapter, const char *path, const struct config *base,
                           hearth_error *err) {
    *adapter = (struct adapter){0};
    hearth_status status = file_is_folder(path) ? peft_open(adapter, path, base, err)
                                                : open_file(adapter, path, base, err);
    if (status != HEARTH_OK) adapter_close(adapter);
    return status;
}

hearth_status adapter_open_scaled(struct adapter *adapter, float *scale, const char *item,
                                  const struct config *base, hearth_error *err) {
    size_t length = strlen(item);
    const char *colon = strrchr(item, ':');
    *scale = 1.0f;
    if (colon && colon[1]) {
        char *end;
        float value = strtof(colon + 1, &end);
        if (*end == '\0') {
            *scale = value;
            length = (size_t)(colon - item);
        }
    }
    char *path = mem_strndup(item, length);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    hearth_status status = adapter_open(adapter, path, base, err);
    mem_free(path);
    return status;
}

void adapter_close(struct adapter *adapter) {
    directory_close(&adapter->directory);
    *adapter = (struct adapter){0};
}
