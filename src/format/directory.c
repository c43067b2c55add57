#include "format/directory.h"

#include <string.h>

#include "base/mem.h"

void directory_close(struct directory *dir) {
    for (size_t i = 0; i < dir->n_maps; i++)
        file_map_close(&dir->maps[i]);
    mem_free(dir->maps);
    mem_free(dir->tensors);
    mem_free(dir->index);
    mem_free(dir->path);
    metadata_release(&dir->metadata);
    *dir = (struct directory){0};
}

static size_t hash_name(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return (size_t)h;
}

const struct tensor *directory_find(const struct directory *dir, const char *name) {
    if (dir->index_size == 0) return NULL;
    for (size_t at = hash_name(name) & (dir->index_size - 1); dir->index[at];
         at = (at + 1) & (dir->index_size - 1)) {
        const struct tensor *tensor = &dir->tensors[dir->index[at] - 1];
        if (strcmp(tensor->name, name) == 0) return tensor;
    }
    return NULL;
}

hearth_status directory_index(struct directory *dir, hearth_error *err) {
    size_t size = 16;
    while (size < dir->n_tensors * 2)
        size *= 2;
    dir->index = mem_calloc(size, sizeof *dir->index);
    if (!dir->index)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to index %zu tensors",
                         dir->n_tensors);
    dir->index_size = size;
    for (size_t i = 0; i < dir->n_tensors; i++) {
        const char *name = dir->tensors[i].name;
        if (directory_find(dir, name))
            return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' appears twice", name);
        size_t at = hash_name(name) & (size - 1);
        while (dir->index[at])
            at = (at + 1) & (size - 1);
        dir->index[at] = (uint32_t)i + 1;
    }
    return HEARTH_OK;
}

uint64_t directory_bytes(const struct directory *dir) {
    uint64_t total = 0;
    for (size_t i = 0; i < dir->n_tensors; i++)
        total += dir->tensors[i].size_bytes;
    return total;
}

hearth_status tensor_check_shape(struct tensor *tensor, hearth_error *err) {
    uint64_t count = 1;
    const struct elem_info *info = &elem_table[tensor->type];
    for (unsigned i = 0; i < TENSOR_MAX_DIMS; i++) {
        if (tensor->dims[i] == 0 || __builtin_mul_overflow(count, tensor->dims[i], &count) ||
            count > UINT64_C(1) << 56)
            return error_set(
                err, HEARTH_ERROR_FORMAT,
                "tensor '%s' has an impossible shape [%llu, %llu, %llu, %llu]", tensor->name,
                (unsigned long long)tensor->dims[0], (unsigned long long)tensor->dims[1],
                (unsigned long long)tensor->dims[2], (unsigned long long)tensor->dims[3]);
    }
    if (tensor->dims[0] % info->block_values != 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' has rows of %llu values; type %s needs a multiple of %u",
                         tensor->name, (unsigned long long)tensor->dims[0], info->name,
                         info->block_values);
    tensor->size_bytes = count / info->block_values * info->block_bytes;
    return HEARTH_OK;
}
