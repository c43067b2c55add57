/* Where the bytes of a directory's tensors are: in the page cache or in memory of its own.
 *
 * Metadata stays in the maps; the tensors move by as much as their map was copied to
 * another place. */
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/units.h"
#include "format/directory.h"

/* That the device cuts rows at between nodes (COLUMN_GRANULE). */
enum { SPREAD_GRANULE = 64 };

static bool lies_in(const struct tensor *tensor, const struct file_map *map) {
    uintptr_t at = (uintptr_t)tensor->data, start = (uintptr_t)map->data;
    return at >= start && at - start < map->size;
}

/* One map's tensors on the way to other pages. */
struct moving {
    const struct directory *dir;
    const struct file_map *from;
    uint8_t *to;
};

/* A thread's part of every tensor: its share of the rows of each matrix. */
static void copy_share(void *context, unsigned thread, unsigned n_threads) {
    const struct moving *m = context;
    for (size_t t = 0; t < m->dir->n_tensors; t++) {
        const struct tensor *tensor = &m->dir->tensors[t];
        if (!lies_in(tensor, m->from) || tensor->size_bytes == 0) continue;
        size_t rows = (size_t)tensor->dims[1], begin, end;
        size_t n_matrices = (size_t)(tensor->dims[2] * tensor->dims[3]);
        size_t matrix = (size_t)tensor->size_bytes / n_matrices, row = matrix / rows;
        pool_share(rows, SPREAD_GRANULE, thread, n_threads, &begin, &end);
        for (size_t i = 0; i < n_matrices; i++) {
            const uint8_t *from = tensor->data + i * matrix + begin * row;
            memcpy(m->to + (from - m->from->data), from, (end - begin) * row);
        }
    }
}

static hearth_status copy_map(struct directory *dir, size_t i, struct pool *pool,
                              hearth_error *err) {
    const struct file_map *map = &dir->maps[i];
    uint8_t *pages = pool ? mem_near_pages_alloc(map->size) : mem_huge_pages_alloc(map->size);
    struct moving moving = {dir, map, pages};
    if (!pages)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a copy of '%s'", dir->path);
    dir->copies[i] = (struct file_map){pages, map->size};
    if (pool)
        pool_run(pool, copy_share, &moving);
    else
        copy_share(&moving, 0, 1);
    for (size_t t = 0; t < dir->n_tensors; t++)
        if (lies_in(&dir->tensors[t], map))
            dir->tensors[t].data = pages + (dir->tensors[t].data - map->data);
    return HEARTH_OK;
}

static hearth_status copy_maps(struct directory *dir, struct pool *pool, hearth_error *err) {
    char need[32], have[32];
    uint64_t bytes = directory_bytes(dir), available = cpu_memory_available();
    if (available && bytes > available)
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "a copy of '%s' takes %s, %s are free; without --no-mmap and --numa "
                         "distribute it needs no copy",
                         dir->path, units_format_bytes(bytes, need, sizeof need),
                         units_format_bytes(available, have, sizeof have));
    dir->copies = mem_calloc(dir->n_maps, sizeof *dir->copies);
    if (!dir->copies) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for copies");
    for (size_t i = 0; i < dir->n_maps; i++)
        RETURN_IF_ERROR(copy_map(dir, i, pool, err));
    return HEARTH_OK;
}

hearth_status directory_copy(struct directory *dir, hearth_error *err) {
    return copy_maps(dir, NULL, err);
}

hearth_status directory_spread(struct directory *dir, struct pool *pool, hearth_error *err) {
    return copy_maps(dir, pool, err);
}

hearth_status directory_lock(const struct directory *dir, hearth_error *err) {
    for (size_t i = 0; i < dir->n_maps; i++) {
        const struct file_map *map = dir->copies ? &dir->copies[i] : &dir->maps[i];
        if (map->size) RETURN_IF_ERROR(mem_lock(map->data, map->size, err));
    }
    return HEARTH_OK;
}
