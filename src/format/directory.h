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
#include "base/pool.h"
#include "format/metadata.h"
#include "kernels/elem.h"

enum {
    TENSOR_MAX_DIMS = 4,
    TENSOR_MAX_NAME_BYTES = 255,
    DIRECTORY_MAX_FILES = 4096,
    DIRECTORY_MAX_TENSORS = 1 << 22
};

/* Element types of safetensors that have no GGUF number. Such a tensor's `type` is
 * the integer type of the same width (bytes for the packed F4), so that sizes and
 * strides always follow from `type`; what the bits mean is said here. */
enum dtype {
    DTYPE_ELEM, /* `type` says it all */
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_U16,
    DTYPE_U32,
    DTYPE_U64,
    DTYPE_F8_E4M3, /* the "fn" kind: no infinities, largest 448 */
    DTYPE_F8_E5M2,
    DTYPE_F8_E8M0, /* a power of two, 2^(x - 127) */
    DTYPE_F4,      /* E2M1, two to a byte: dims[0] counts bytes */
    DTYPES
};

struct tensor {
    const char *name; /* NUL-terminated, at most TENSOR_MAX_NAME_BYTES */
    enum elem type;
    enum dtype dtype;
    unsigned n_dims;
    uint64_t dims[TENSOR_MAX_DIMS];
    const uint8_t *data; /* aligned for the element type, at most to 8 bytes */
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
    void **blocks; /* memory that holds tensors which are misaligned in their file */
    size_t n_blocks;
    struct file_map *copies; /* [n_maps] of directory_copy or _spread; pages of mem.h; or NULL */
};

/* Opens a GGUF v2/v3 file; for "-00001-of-0000N.gguf" all parts. */
hearth_status gguf_open(struct directory *dir, const char *path, hearth_error *err);

void directory_close(struct directory *dir); /* zeroed is fine */
const struct tensor *directory_find(const struct directory *dir, const char *name);
uint64_t directory_bytes(const struct directory *dir);      /* of all tensors */
enum elem directory_main_type(const struct directory *dir); /* of most of these bytes */

/* ---- where the tensors' bytes are ------------------------------------------ */

/* Copies the tensors of all maps into memory of the directory's own, of huge pages where
 * the system has some. HEARTH_ERROR_NO_MEMORY when less is free than they take. */
hearth_status directory_copy(struct directory *dir, hearth_error *err);
/* The same for a pool that is tied to nodes of memory: each thread copies its share of the
 * rows of every matrix, so that they lie on its node, in small pages. */
hearth_status directory_spread(struct directory *dir, struct pool *pool, hearth_error *err);
/* Keeps the tensors in RAM; the errors are those of mem_lock. */
hearth_status directory_lock(const struct directory *dir, hearth_error *err);

/* A name for what a directory holds, the same wherever its files are: SHA-256 of its
 * metadata, its table of tensors and 64 bytes in every 4 MiB of them. Two models that were
 * trained apart differ in it; who forges a file can make it agree. */
enum { FINGERPRINT_BYTES = 32 };
void directory_fingerprint(const struct directory *dir, uint8_t fingerprint[FINGERPRINT_BYTES]);

/* "bf16", "q4_K", "f8_e4m3" */
const char *tensor_type_name(const struct tensor *tensor);

/* ---- for readers ------------------------------------------------------- */

/* An empty directory with room for `n_files` maps; directory_close ends it. */
hearth_status directory_init(struct directory *dir, const char *path, size_t n_files,
                             hearth_error *err);
/* Room for `count` more tensors after dir->tensors[dir->n_tensors - 1]. */
hearth_status directory_reserve(struct directory *dir, uint64_t count, hearth_error *err);
/* Copies those of tensors `first` .. n_tensors - 1 that are misaligned in their file
 * into memory of the directory; at most once for each file. */
hearth_status directory_align(struct directory *dir, size_t first, hearth_error *err);
/* Takes the filled tensor list and builds the name index; duplicate names are an
 * error. */
hearth_status directory_index(struct directory *dir, hearth_error *err);
/* Checks dims and type, fills size_bytes; messages name the tensor. */
hearth_status tensor_check_shape(struct tensor *tensor, hearth_error *err);
/* What a file that is not a model is instead, and what to do: a clause to follow the
 * message, or "". */
const char *file_kind_hint(const struct file_map *map);

#endif
