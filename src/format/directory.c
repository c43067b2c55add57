#include "format/directory.h"

#include <string.h>

#include "base/mem.h"

enum {
    /* Names that crowd one place of the hash table this much were chosen to. */
    INDEX_MAX_PROBES = 1024,
    BLOCK_ALIGNMENT = 16
};
#define DIRECTORY_MAX_METADATA_BYTES ((size_t)1 << 31)

const char *tensor_type_name(const struct tensor *tensor) {
    static const char *const names[DTYPES] = {
        [DTYPE_BOOL] = "bool",       [DTYPE_U8] = "u8",           [DTYPE_U16] = "u16",
        [DTYPE_U32] = "u32",         [DTYPE_U64] = "u64",         [DTYPE_F8_E4M3] = "f8_e4m3",
        [DTYPE_F8_E5M2] = "f8_e5m2", [DTYPE_F8_E8M0] = "f8_e8m0", [DTYPE_F4] = "f4",
    };
    return tensor->dtype == DTYPE_ELEM ? elem_name(tensor->type) : names[tensor->dtype];
}

hearth_status directory_init(struct directory *dir, const char *path, size_t n_files,
                             hearth_error *err) {
    *dir = (struct directory){0};
    metadata_init(&dir->metadata, DIRECTORY_MAX_METADATA_BYTES);
    if (n_files > DIRECTORY_MAX_FILES)
        return error_set(err, HEARTH_ERROR_LIMIT, "'%s' has %zu parts; at most %d are supported",
                         path, n_files, DIRECTORY_MAX_FILES);
    dir->path = mem_strdup(path);
    dir->maps = mem_calloc(n_files, sizeof *dir->maps);
    dir->blocks = mem_calloc(n_files, sizeof *dir->blocks);
    if (dir->path && dir->maps && dir->blocks) return HEARTH_OK;
    directory_close(dir);
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open '%s'", path);
}

void directory_close(struct directory *dir) {
    for (size_t i = 0; dir->maps && i < dir->n_maps; i++)
        file_map_close(&dir->maps[i]);
    for (size_t i = 0; dir->blocks && i < dir->n_blocks; i++)
        mem_free(dir->blocks[i]);
    for (size_t i = 0; dir->copies && i < dir->n_maps; i++)
        mem_pages_free((void *)(uintptr_t)dir->copies[i].data, dir->copies[i].size);
    mem_free(dir->copies);
    mem_free(dir->maps);
    mem_free(dir->blocks);
    mem_free(dir->tensors);
    mem_free(dir->index);
    mem_free(dir->path);
    metadata_release(&dir->metadata);
    *dir = (struct directory){0};
}

hearth_status directory_reserve(struct directory *dir, uint64_t count, hearth_error *err) {
    if (count > DIRECTORY_MAX_TENSORS - dir->n_tensors)
        return error_set(err, HEARTH_ERROR_LIMIT, "%llu tensors; at most %d are supported",
                         (unsigned long long)count, DIRECTORY_MAX_TENSORS);
    struct tensor *grown =
        mem_realloc_array(dir->tensors, dir->n_tensors + (size_t)count, sizeof *grown);
    if (!grown)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %llu tensors",
                         (unsigned long long)count);
    dir->tensors = grown;
    return HEARTH_OK;
}

static bool is_misaligned(const struct tensor *tensor) {
    const struct elem_info *info = &elem_table[tensor->type];
    uintptr_t need = info->block_values == 1 ? info->block_bytes : 4;
    return (uintptr_t)tensor->data % need != 0;
}

static size_t block_share(const struct tensor *tensor) {
    return ((size_t)tensor->size_bytes + BLOCK_ALIGNMENT - 1) & ~(size_t)(BLOCK_ALIGNMENT - 1);
}

hearth_status directory_align(struct directory *dir, size_t first, hearth_error *err) {
    size_t total = 0;
    for (size_t i = first; i < dir->n_tensors; i++)
        if (is_misaligned(&dir->tensors[i])) total += block_share(&dir->tensors[i]);
    if (total == 0) return HEARTH_OK;
    uint8_t *block = mem_alloc_aligned(BLOCK_ALIGNMENT, total);
    if (!block)
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "no memory to align %zu bytes of tensors; write the file again with a "
                         "current program, which aligns them",
                         total);
    dir->blocks[dir->n_blocks++] = block;
    for (size_t i = first; i < dir->n_tensors; i++) {
        struct tensor *tensor = &dir->tensors[i];
        if (!is_misaligned(tensor)) continue;
        memcpy(block, tensor->data, (size_t)tensor->size_bytes);
        tensor->data = block;
        block += block_share(tensor);
    }
    return HEARTH_OK;
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
        for (unsigned probes = 0; dir->index[at]; at = (at + 1) & (size - 1))
            if (++probes > INDEX_MAX_PROBES)
                return error_set(err, HEARTH_ERROR_LIMIT,
                                 "the tensor names were made to collide (at '%s')", name);
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

enum elem directory_main_type(const struct directory *dir) {
    uint64_t bytes[ELEM_TYPES] = {0};
    enum elem most = ELEM_F32;
    for (size_t i = 0; i < dir->n_tensors; i++)
        bytes[dir->tensors[i].type] += dir->tensors[i].size_bytes;
    for (int type = 0; type < ELEM_TYPES; type++)
        if (bytes[type] > bytes[most]) most = (enum elem)type;
    return most;
}

hearth_status tensor_check_shape(struct tensor *tensor, hearth_error *err) {
    uint64_t count = 1;
    if (!elem_known(tensor->type))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "tensor '%s' has unknown element type %u",
                         tensor->name, (unsigned)tensor->type);
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

static bool begins(const struct file_map *map, const char *text) {
    size_t n = strlen(text);
    return map->size >= n && memcmp(map->data, text, n) == 0;
}

const char *file_kind_hint(const struct file_map *map) {
    if (begins(map, "version https://git-lfs"))
        return "; it is a Git LFS pointer, not the file it stands for: fetch it with 'git lfs "
               "pull' or 'hearth pull'";
    if (begins(map, "<!") || begins(map, "<html"))
        return "; it is a web page, probably an error page that was saved: fetch the file again";
    if (begins(map, "PK\003\004") || begins(map, "\x80\x02"))
        return "; it looks like a PyTorch pickle, which Hearth does not read: save the model as "
               "safetensors";
    return "";
}
