/* directory.h - a model file as a validated directory: metadata and raw tensors.
 *
 * Whatever the file format, the result is the same: tensors whose bytes lie inside
 * a mapping (or memory the directory owns), whose sizes match their shapes, whose
 * names are unique. What the names mean belongs to model/.
 *
 * Shapes are in GGUF order: dims[0] is the contiguous dimension (the input width
 * of a linear layer), dims[1] the rows, unused dims are 1. Immutable after opening
 * and safe to share between threads. */
#ifndef HEARTH_FORMAT_DIRECTORY_H
#define HEARTH_FORMAT_DIRECTORY_H

#include "base/file.h"
#include "format/metadata.h"
#include "kernels/elem.h"

enum { TENSOR_MAX_DIMS = 4 };

struct tensor {
    const char *name; /* NUL-terminated, at most 255 bytes */
    enum elem type;
    unsigned n_dims;
    uint64_t dims[TENSOR_MAX_DIMS];
    const uint8_t *data;
    uint64_t size_bytes;
};

struct directory {
    char *path; /* as opened */
    struct metadata metadata;
    struct tensor *tensors;
    size_t n_tensors;
    uint32_t *index; /* open-addressing hash of names: tensor number + 1 */
    size_t index_size;
    struct file_map *maps;
    size_t n_maps;
};

/* Opens a GGUF v2/v3 file; for "-00001-of-0000N.gguf" all parts. */
hearth_status gguf_open(struct directory *dir, const char *path, hearth_error *err);

void directory_close(struct directory *dir); /* zeroed is fine */
const struct tensor *directory_find(const struct directory *dir, const char *name);
uint64_t directory_bytes(const struct directory *dir); /* of all tensors */

/* For readers: takes the filled tensor list and builds the name index; duplicate
 * names are an error. */
hearth_status directory_index(struct directory *dir, hearth_error *err);
/* For readers: checks dims and type, fills size_bytes; messages name the tensor. */
hearth_status tensor_check_shape(struct tensor *tensor, hearth_error *err);

#endif
