/* Where the bytes of a directory's tensors are: in the page cache or in memory of its own.
 *
 * Metadata stays in the maps; the tensors move by as much as their map was copied to
 * another place. */
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/units.h"
#include "format/directory.h"

static bool lies_in(const struct tensor *tensor, const struct file_map *map) {
    uintptr_t at = (uintptr_t)tensor->data, start = (uintptr_t)map->data;
    return at >= start && at - start < map->size;
}

static hearth_status copy_map(struct directory *dir, size_t i, hearth_error *err) {
    const struct file_map *map = &dir->maps[i];
    struct file_map *copy = &dir->copies[i];
    uint8_t *pages = mem_huge_pages_alloc(map->size);
    if (!pages)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a copy of '%s'", dir->path);
    *copy = (struct file_map){pages, map->size};
    for (size_t t = 0; t < dir->n_tensors; t++) {
        struct tensor *tensor = &dir->tensors[t];
        if (!lies_in(tensor, map)) continue;
        uint8_t *to = pages + (tensor->data - map->data);
        memcpy(to, tensor->data, (size_t)tensor->size_bytes);
        tensor->data = to;
    }
    return HEARTH_OK;
}

hearth_status directory_copy(struct directory *dir, hearth_error *err) {
    char need[32], have[32];
    uint64_t bytes = directory_bytes(dir), available = cpu_memory_available();
    if (available && bytes > available)
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "a copy of '%s' takes %s, %s are free; without --no-mmap it needs no copy",
                         dir->path, units_format_bytes(bytes, need, sizeof need),
                         units_format_bytes(available, have, sizeof have));
    dir->copies = mem_calloc(dir->n_maps, sizeof *dir->copies);
    if (!dir->copies) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for copies");
    for (size_t i = 0; i < dir->n_maps; i++)
        RETURN_IF_ERROR(copy_map(dir, i, err));
    return HEARTH_OK;
}

hearth_status directory_lock(const struct directory *dir, hearth_error *err) {
    for (size_t i = 0; i < dir->n_maps; i++) {
        const struct file_map *map = dir->copies ? &dir->copies[i] : &dir->maps[i];
        if (map->size) RETURN_IF_ERROR(mem_lock(map->data, map->size, err));
    }
    return HEARTH_OK;
}
