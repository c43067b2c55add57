#include "format/imatrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "format/gguf_write.h"

enum { MAX_ENTRIES = 1 << 20, GGUF_MAGIC = 0x46554747 };
#define MAX_IMATRIX_BYTES ((size_t)1 << 32)

static const char sums_suffix[] = ".in_sum2", counts_suffix[] = ".counts";

/* ---- reading ---------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b) {
    const struct imatrix_entry *s = a, *t = b;
    return strcmp(s->weight, t->weight);
}

static hearth_status fail_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the importance matrix");
}

static hearth_status reserve(struct imatrix *matrix, size_t n, hearth_error *err) {
    if (n > MAX_ENTRIES)
        return error_set(err, HEARTH_ERROR_LIMIT, "%zu entries; at most %d are read", n,
                         MAX_ENTRIES);
    matrix->entries = mem_calloc(n + 1, sizeof *matrix->entries);
    return matrix->entries ? HEARTH_OK : fail_memory(err);
}

static hearth_status add_entry(struct imatrix *matrix, const char *name, size_t name_length,
                               size_t n_values, float **squares, hearth_error *err) {
    struct imatrix_entry *entry = &matrix->entries[matrix->n_entries];
    entry->weight = arena_strndup(&matrix->arena, name, name_length);
    *squares = arena_calloc(&matrix->arena, n_values, sizeof **squares);
    if (!entry->weight || !*squares) return fail_memory(err);
    entry->squares = *squares;
    entry->n_values = n_values;
    matrix->n_entries++;
    return HEARTH_OK;
}

/* Means from sums; a matrix that met no row counts evenly. */
static hearth_status take_means(const struct imatrix_entry *entry, float *squares, size_t first,
                                size_t n, float count, hearth_error *err) {
    for (size_t i = first; i < first + n; i++) {
        squares[i] = count > 0 ? squares[i] / count : 1;
        if (!(squares[i] >= 0) || isinf(squares[i]))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "'%s' has the mean square %g at value %zu; finite values of at least "
                             "0 are expected",
                             entry->weight, (double)squares[i], i);
    }
    return HEARTH_OK;
}

static const float *float_data(const struct tensor *tensor) {
    return (const float *)(const void *)tensor->data;
}

static hearth_status read_pair(struct imatrix *matrix, const struct directory *dir,
                               const struct tensor *sums, hearth_error *err) {
    char name[TENSOR_MAX_NAME_BYTES + sizeof counts_suffix];
    size_t length = strlen(sums->name) - (sizeof sums_suffix - 1);
    float *squares;
    snprintf(name, sizeof name, "%.*s%s", (int)length, sums->name, counts_suffix);
    const struct tensor *counts = directory_find(dir, name);
    size_t n_values = sums->size_bytes / sizeof(float);
    size_t n_matrices = counts ? counts->size_bytes / sizeof(float) : 0;
    if (!counts || sums->type != ELEM_F32 || counts->type != ELEM_F32 || n_matrices == 0 ||
        n_values % n_matrices != 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' has no counts that fit it (tensor '%s')", sums->name, name);
    RETURN_IF_ERROR(add_entry(matrix, sums->name, length, n_values, &squares, err));
    memcpy(squares, float_data(sums), n_values * sizeof *squares);
    size_t n_columns = n_values / n_matrices;
    for (size_t i = 0; i < n_matrices; i++)
        RETURN_IF_ERROR(take_means(&matrix->entries[matrix->n_entries - 1], squares, i * n_columns,
                                   n_columns, float_data(counts)[i], err));
    return HEARTH_OK;
}

static hearth_status read_gguf(struct imatrix *matrix, const struct directory *dir,
                               hearth_error *err) {
    struct text type = {"", 0};
    const struct meta_array *datasets = metadata_array(&dir->metadata, "imatrix.datasets");
    metadata_string(&dir->metadata, "general.type", &type);
    if (!text_equal(type, "imatrix"))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "general.type is not 'imatrix'; make the file with 'hearth imatrix'");
    metadata_u32(&dir->metadata, "imatrix.chunk_count", &matrix->n_chunks);
    if (datasets && datasets->type == META_STRING && datasets->count > 0)
        matrix->dataset =
            arena_strndup(&matrix->arena, datasets->strings[0].data, datasets->strings[0].length);
    RETURN_IF_ERROR(reserve(matrix, dir->n_tensors, err));
    for (size_t i = 0; i < dir->n_tensors; i++) {
        size_t length = strlen(dir->tensors[i].name);
        if (length >= sizeof sums_suffix &&
            strcmp(dir->tensors[i].name + length - (sizeof sums_suffix - 1), sums_suffix) == 0)
            RETURN_IF_ERROR(read_pair(matrix, dir, &dir->tensors[i], err));
    }
    return HEARTH_OK;
}

static hearth_status read_legacy_entry(struct imatrix *matrix, struct cursor *c,
                                       hearth_error *err) {
    float *squares;
    uint32_t length = cursor_u32(c);
    const uint8_t *name = cursor_bytes(c, length);
    int32_t calls = (int32_t)cursor_u32(c);
    uint32_t n_values = cursor_u32(c);
    if (!name || length == 0 || length > TENSOR_MAX_NAME_BYTES || n_values == 0 ||
        n_values > cursor_left(c) / sizeof(float))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "entry %zu at byte %zu is damaged or no importance matrix at all",
                         matrix->n_entries, c->position);
    RETURN_IF_ERROR(add_entry(matrix, (const char *)name, length, n_values, &squares, err));
    memcpy(squares, cursor_bytes(c, n_values * sizeof *squares), n_values * sizeof *squares);
    return take_means(&matrix->entries[matrix->n_entries - 1], squares, 0, n_values,
                      calls > 0 ? (float)calls : 1, err);
}

static hearth_status read_legacy(struct imatrix *matrix, const struct file_map *map,
                                 hearth_error *err) {
    enum { LEAST_ENTRY_BYTES = 17 };
    struct cursor c = cursor_over(map->data, map->size);
    uint32_t n = cursor_u32(&c);
    if (n == 0 || n > map->size / LEAST_ENTRY_BYTES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "neither GGUF nor an older importance matrix; make one with 'hearth "
                         "imatrix'");
    RETURN_IF_ERROR(reserve(matrix, n, err));
    for (uint32_t i = 0; i < n; i++)
        RETURN_IF_ERROR(read_legacy_entry(matrix, &c, err));
    matrix->n_chunks = cursor_u32(&c); /* the end may be missing in files of first versions */
    uint32_t length = cursor_u32(&c);
    const uint8_t *dataset = cursor_bytes(&c, length);
    if (dataset) matrix->dataset = arena_strndup(&matrix->arena, (const char *)dataset, length);
    return HEARTH_OK;
}

static hearth_status read_either(struct imatrix *matrix, const char *path, hearth_error *err) {
    struct file_map map;
    struct directory dir = {0};
    RETURN_IF_ERROR(file_map_open(&map, path, err));
    struct cursor c = cursor_over(map.data, map.size);
    hearth_status status = HEARTH_OK;
    if (cursor_u32(&c) == GGUF_MAGIC) {
        status = gguf_open(&dir, path, err);
        if (status == HEARTH_OK) status = read_gguf(matrix, &dir, err);
        directory_close(&dir);
    } else {
        status = read_legacy(matrix, &map, err);
    }
    file_map_close(&map);
    return status;
}

hearth_status imatrix_open(struct imatrix *matrix, const char *path, hearth_error *err) {
    *matrix = (struct imatrix){0};
    arena_init(&matrix->arena, MAX_IMATRIX_BYTES);
    hearth_status status = read_either(matrix, path, err);
    if (status != HEARTH_OK)
        return error_prefix(err, status, "cannot read the importance matrix '%s'", path);
    if (!matrix->dataset) matrix->dataset = "";
    qsort(matrix->entries, matrix->n_entries, sizeof *matrix->entries, compare_entries);
    return HEARTH_OK;
}

void imatrix_close(struct imatrix *matrix) {
    mem_free(matrix->entries);
    arena_release(&matrix->arena);
    *matrix = (struct imatrix){0};
}

const struct imatrix_entry *imatrix_find(const struct imatrix *matrix, const char *weight) {
    struct imatrix_entry wanted = {.weight = weight};
    if (matrix->n_entries == 0) return NULL;
    return bsearch(&wanted, matrix->entries, matrix->n_entries, sizeof wanted, compare_entries);
}

/* ---- writing ----------------------------------------------------------------------------- */

struct writing {
    const struct imatrix_sums *sums;
    struct tensor *tensors; /* sums and counts of each in turn */
    struct arena arena;
    struct metadata metadata;
};

static hearth_status describe(struct writing *w, size_t n_sums, const char *dataset,
                              uint32_t n_chunks, uint32_t chunk_size, hearth_error *err) {
    struct metadata *m = &w->metadata;
    struct text text = {dataset, strlen(dataset)};
    RETURN_IF_ERROR(metadata_set_string(m, "general.type", "imatrix", 7, err));
    RETURN_IF_ERROR(metadata_set_strings(m, "imatrix.datasets", &text, 1, err));
    RETURN_IF_ERROR(metadata_set_uint(m, "imatrix.chunk_count", META_U32, n_chunks, err));
    RETURN_IF_ERROR(metadata_set_uint(m, "imatrix.chunk_size", META_U32, chunk_size, err));
    w->tensors = mem_calloc(2 * n_sums + 1, sizeof *w->tensors);
    if (!w->tensors) return fail_memory(err);
    for (size_t i = 0; i < 2 * n_sums; i++) {
        const struct imatrix_sums *sums = &w->sums[i / 2];
        char name[TENSOR_MAX_NAME_BYTES];
        snprintf(name, sizeof name, "%.240s%s", sums->weight, i % 2 ? counts_suffix : sums_suffix);
        w->tensors[i] = (struct tensor){.name = arena_strndup(&w->arena, name, strlen(name)),
                                        .type = ELEM_F32,
                                        .n_dims = 2,
                                        .dims = {i % 2 ? 1 : sums->n_columns, sums->n_matrices}};
        if (!w->tensors[i].name) return fail_memory(err);
    }
    return HEARTH_OK;
}

static hearth_status put_tensor(void *context, size_t i, struct tensor_writer *out,
                                hearth_error *err) {
    const struct writing *w = context;
    const struct imatrix_sums *sums = &w->sums[i / 2];
    size_t n = i % 2 ? sums->n_matrices : sums->n_columns * sums->n_matrices;
    for (size_t j = 0; j < n; j++) {
        float value = i % 2 ? (float)sums->counts[j] : (float)sums->sums[j];
        RETURN_IF_ERROR(tensor_writer_put(out, &value, sizeof value, err));
    }
    return HEARTH_OK;
}

hearth_status imatrix_write(const char *path, const struct imatrix_sums *sums, size_t n_sums,
                            const char *dataset, uint32_t n_chunks, uint32_t chunk_size,
                            hearth_error *err) {
    struct writing w = {.sums = sums};
    arena_init(&w.arena, MAX_IMATRIX_BYTES);
    metadata_init(&w.metadata, MAX_IMATRIX_BYTES);
    hearth_status status = describe(&w, n_sums, dataset, n_chunks, chunk_size, err);
    if (status == HEARTH_OK)
        status = gguf_write(path, &w.metadata, w.tensors, 2 * n_sums, 0, put_tensor, &w, err);
    mem_free(w.tensors);
    metadata_release(&w.metadata);
    arena_release(&w.arena);
    return status;
}
