#include "format/tensor_writer.h"

#include <string.h>

#include "base/mem.h"
#include "base/units.h"

static unsigned element_width(const struct tensor *tensor) {
    const struct elem_info *info = &elem_table[tensor->type];
    return info->block_values == 1 ? info->block_bytes : 2;
}

uint64_t tensor_writer_padded(const struct tensor_writer *w, uint64_t size_bytes) {
    return (size_bytes + w->alignment - 1) / w->alignment * w->alignment;
}

static hearth_status copy_tensors(struct tensor_writer *w, const struct tensor *tensors,
                                  size_t n_tensors, hearth_error *err) {
    if (n_tensors > DIRECTORY_MAX_TENSORS)
        return error_set(err, HEARTH_ERROR_LIMIT, "%zu tensors; at most %d can be written",
                         n_tensors, DIRECTORY_MAX_TENSORS);
    w->tensors = mem_calloc(n_tensors, sizeof *w->tensors);
    w->order = mem_calloc(n_tensors, sizeof *w->order);
    if (!w->tensors || !w->order)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tensors", n_tensors);
    w->n_tensors = n_tensors;
    for (size_t i = 0; i < n_tensors; i++) {
        size_t length = strlen(tensors[i].name);
        if (length == 0 || length > TENSOR_MAX_NAME_BYTES)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "a tensor name of %zu bytes; 1 to %d can "
                             "be written",
                             length, TENSOR_MAX_NAME_BYTES);
        if (tensors[i].n_dims > TENSOR_MAX_DIMS)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "tensor '%s' has %u dimensions; at most %d", tensors[i].name,
                             tensors[i].n_dims, TENSOR_MAX_DIMS);
        w->tensors[i] = tensors[i];
        for (unsigned d = tensors[i].n_dims; d < TENSOR_MAX_DIMS; d++)
            w->tensors[i].dims[d] = 1;
        w->order[i] = i;
        RETURN_IF_ERROR(tensor_check_shape(&w->tensors[i], err));
    }
    struct directory names = {.tensors = w->tensors, .n_tensors = n_tensors};
    hearth_status status = directory_index(&names, err);
    mem_free(names.index);
    return status;
}

/* Counting sort by width, 8 bytes first; keeps the caller's order otherwise. */
static void order_by_width(struct tensor_writer *w) {
    size_t at = 0;
    for (unsigned width = 8; width > 0; width /= 2)
        for (size_t i = 0; i < w->n_tensors; i++)
            if (element_width(&w->tensors[i]) == width) w->order[at++] = i;
}

/* Fills first, end and size of the parts when `parts` is given; returns their number. */
static size_t divide(const struct tensor_writer *w, uint64_t max_part_bytes,
                     struct tensor_part *parts) {
    uint64_t size = 0;
    size_t first = 0, n = 0;
    for (size_t i = 0; i <= w->n_tensors; i++) {
        bool last = i == w->n_tensors;
        uint64_t more = last ? 0 : tensor_writer_padded(w, w->tensors[w->order[i]].size_bytes);
        if (last || (max_part_bytes && i > first && size + more > max_part_bytes)) {
            if (parts) {
                parts[n].first = first;
                parts[n].end = i;
                parts[n].size_bytes = size;
            }
            n++;
            first = i;
            size = 0;
        }
        size += more;
    }
    return n;
}

static char *part_path(const char *path, const char *extension, size_t number, size_t n_parts) {
    size_t length = strlen(path), tail = strlen(extension);
    size_t room = length + tail + sizeof "-00001-of-00003";
    char *name = mem_alloc(room);
    if (!name) return NULL;
    if (length >= tail && strcmp(path + length - tail, extension) == 0) length -= tail;
    snprintf(name, room, "%.*s-%05zu-of-%05zu%s", (int)length, path, number, n_parts, extension);
    return name;
}

static char *joined(const char *path, const char *suffix) {
    size_t length = strlen(path), more = strlen(suffix);
    char *name = mem_alloc(length + more + 1);
    if (!name) return NULL;
    memcpy(name, path, length);
    memcpy(name + length, suffix, more + 1);
    return name;
}

static hearth_status make_parts(struct tensor_writer *w, const char *path,
                                const struct tensor_layout *layout, hearth_error *err) {
    size_t n = divide(w, layout->max_part_bytes, NULL);
    size_t lead = n > 1 && layout->index_suffix ? 1 : 0;
    if (n > DIRECTORY_MAX_FILES)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "parts of %llu bytes would be %zu; at most %d are allowed, choose a "
                         "larger size",
                         (unsigned long long)layout->max_part_bytes, n, DIRECTORY_MAX_FILES);
    w->parts = mem_calloc(n + lead, sizeof *w->parts);
    if (!w->parts) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu parts", n);
    w->n_parts = n + lead;
    divide(w, layout->max_part_bytes, w->parts + lead);
    for (size_t i = 0; i < w->n_parts; i++) {
        struct tensor_part *part = &w->parts[i];
        buf_init(&part->header, layout->max_header_bytes);
        part->path = i < lead ? joined(path, layout->index_suffix)
                     : n > 1  ? part_path(path, layout->extension, i - lead + 1, n)
                              : mem_strdup(path);
        if (!part->path)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to write '%s'", path);
    }
    return HEARTH_OK;
}

hearth_status tensor_writer_plan(struct tensor_writer *w, const char *path,
                                 const struct tensor *tensors, size_t n_tensors,
                                 const struct tensor_layout *layout, hearth_error *err) {
    *w = (struct tensor_writer){.alignment = layout->alignment};
    hearth_status status = copy_tensors(w, tensors, n_tensors, err);
    if (status == HEARTH_OK && layout->widest_first) order_by_width(w);
    if (status == HEARTH_OK) status = make_parts(w, path, layout, err);
    if (status == HEARTH_OK) return status;
    tensor_writer_discard(w);
    return error_prefix(err, status, "cannot write '%s'", path);
}

static hearth_status check_disk(const struct tensor_writer *w, hearth_error *err) {
    uint64_t need = 0;
    char needed[32], left[32];
    for (size_t i = 0; i < w->n_parts; i++)
        need += w->parts[i].header.length + w->parts[i].size_bytes;
    char *folder = path_folder(w->parts[0].path);
    if (!folder) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to write a model");
    uint64_t space = file_disk_free(folder);
    hearth_status status = HEARTH_OK;
    if (space && need > space)
        status = error_set(err, HEARTH_ERROR_IO,
                           "cannot write '%s': it needs %s, folder '%s' has %s left; make room or "
                           "choose another place",
                           w->parts[0].path, units_format_bytes(need, needed, sizeof needed),
                           folder, units_format_bytes(space, left, sizeof left));
    mem_free(folder);
    return status;
}

static hearth_status start_part(struct tensor_writer *w, hearth_error *err) {
    struct tensor_part *part = &w->parts[w->part];
    RETURN_IF_ERROR(file_writer_open(&part->file, part->path, err));
    RETURN_IF_ERROR(file_writer_put(&part->file, part->header.data, part->header.length, err));
    buf_release(&part->header);
    return HEARTH_OK;
}

/* Finishes the part being written when all its tensors are there, starts the next. */
static hearth_status settle(struct tensor_writer *w, hearth_error *err) {
    while (w->position == w->parts[w->part].end) {
        RETURN_IF_ERROR(file_writer_finish(&w->parts[w->part].file, err));
        if (w->part + 1 == w->n_parts) break;
        w->part++;
        RETURN_IF_ERROR(start_part(w, err));
    }
    return HEARTH_OK;
}

hearth_status tensor_writer_begin(struct tensor_writer *w, hearth_error *err) {
    hearth_status status = check_disk(w, err);
    if (status == HEARTH_OK) status = start_part(w, err);
    if (status == HEARTH_OK) status = settle(w, err);
    if (status != HEARTH_OK) tensor_writer_discard(w);
    return status;
}

static hearth_status end_tensor(struct tensor_writer *w, hearth_error *err) {
    static const char zeros[4096];
    uint64_t padding = tensor_writer_padded(w, w->written) - w->written;
    while (padding) {
        size_t piece = padding < sizeof zeros ? (size_t)padding : sizeof zeros;
        RETURN_IF_ERROR(file_writer_put(&w->parts[w->part].file, zeros, piece, err));
        padding -= piece;
    }
    w->position++;
    w->written = 0;
    return settle(w, err);
}

hearth_status tensor_writer_put(struct tensor_writer *w, const void *data, size_t size_bytes,
                                hearth_error *err) {
    if (size_bytes == 0) return HEARTH_OK;
    if (w->position == w->n_tensors)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "%zu bytes were supplied after the last tensor", size_bytes);
    const struct tensor *tensor = &w->tensors[w->order[w->position]];
    if (size_bytes > tensor->size_bytes - w->written)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "tensor '%s' has %llu bytes, at least %llu were supplied", tensor->name,
                         (unsigned long long)tensor->size_bytes,
                         (unsigned long long)(w->written + size_bytes));
    RETURN_IF_ERROR(file_writer_put(&w->parts[w->part].file, data, size_bytes, err));
    w->written += size_bytes;
    return w->written == tensor->size_bytes ? end_tensor(w, err) : HEARTH_OK;
}

hearth_status tensor_writer_commit(struct tensor_writer *w, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    if (w->position != w->n_tensors) {
        const struct tensor *tensor = &w->tensors[w->order[w->position]];
        status = error_set(err, HEARTH_ERROR_ARGUMENT,
                           "tensor '%s' has %llu bytes, only %llu were supplied", tensor->name,
                           (unsigned long long)tensor->size_bytes, (unsigned long long)w->written);
    }
    size_t named = w->n_parts;
    while (status == HEARTH_OK && named > 0) {
        status = file_writer_commit(&w->parts[named - 1].file, err);
        if (status == HEARTH_OK) named--;
    }
    if (status != HEARTH_OK)
        for (size_t i = named; i < w->n_parts; i++)
            remove(w->parts[i].path);
    tensor_writer_discard(w);
    return status;
}

void tensor_writer_discard(struct tensor_writer *w) {
    for (size_t i = 0; i < w->n_parts; i++) {
        file_writer_discard(&w->parts[i].file);
        buf_release(&w->parts[i].header);
        mem_free(w->parts[i].path);
    }
    mem_free(w->parts);
    mem_free(w->tensors);
    mem_free(w->order);
    *w = (struct tensor_writer){0};
}

static hearth_status draw(struct tensor_writer *w, tensor_source *source, void *context,
                          hearth_error *err) {
    for (size_t position = 0; position < w->n_tensors; position++) {
        size_t i = w->order[position];
        const struct tensor *tensor = &w->tensors[i];
        if (source)
            RETURN_IF_ERROR(source(context, i, w, err));
        else
            RETURN_IF_ERROR(tensor_writer_put(w, tensor->data, (size_t)tensor->size_bytes, err));
        if (w->position != position + 1)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "tensor '%s' has %llu bytes, which were not supplied exactly",
                             tensor->name, (unsigned long long)tensor->size_bytes);
    }
    return HEARTH_OK;
}

hearth_status tensor_writer_run(struct tensor_writer *w, tensor_source *source, void *context,
                                hearth_error *err) {
    RETURN_IF_ERROR(tensor_writer_begin(w, err));
    hearth_status status = draw(w, source, context, err);
    if (status == HEARTH_OK) return tensor_writer_commit(w, err);
    tensor_writer_discard(w);
    return status;
}
