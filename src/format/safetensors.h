/* safetensors.h - reads and writes safetensors, one file or shards with an index.
 *
 * The format (specification: README of the safetensors project): 8 bytes with the
 * length of the header; the header, a JSON object name -> {dtype, shape,
 * data_offsets} with an optional __metadata__ of strings; the data, which the
 * offsets must cover without gap or overlap.
 *
 * Shapes turn round: safetensors lists the outermost dimension first, [out, in] for
 * a linear layer; a directory the contiguous one, dims = {in, out}. Of more than
 * four dimensions, the outermost are multiplied into dims[3]. Element types
 * that GGUF does not know keep their meaning in tensor.dtype. Reading is zero-copy,
 * but for tensors misaligned in their file. */
#ifndef HEARTH_FORMAT_SAFETENSORS_H
#define HEARTH_FORMAT_SAFETENSORS_H

#include "format/tensor_writer.h"

/* Opens x.safetensors, or all shards that an x.safetensors.index.json lists. The
 * strings of __metadata__ become the directory's metadata. */
hearth_status safetensors_open(struct directory *dir, const char *path, hearth_error *err);

/* Adds the tensors of one file that is in memory; the tensors borrow the data. For
 * the reader itself and for fuzzing; ends without directory_index. */
hearth_status safetensors_parse(struct directory *dir, const void *data, size_t size,
                                hearth_error *err);

/* Writes `path`, or with a `max_part_bytes` that it exceeds
 * x-00001-of-0000N.safetensors and x.safetensors.index.json, atomically. Strings
 * of `m` (may be NULL) become __metadata__; "format" is "pt" unless given, because
 * other readers insist on one. Tensors are written widest element first, then in the
 * order given; `source` is asked in writing order (format/tensor_writer.h). */
hearth_status safetensors_write(const char *path, const struct metadata *m,
                                const struct tensor *tensors, size_t n_tensors,
                                uint64_t max_part_bytes, tensor_source *source, void *context,
                                hearth_error *err);

/* How safetensors names the type of a tensor ("BF16", "F8_E4M3"), or NULL. */
const char *safetensors_dtype_name(const struct tensor *tensor);
/* The other way: sets type and dtype; false for an unknown name. */
bool safetensors_dtype_set(struct tensor *tensor, const char *name);

enum { SAFETENSORS_MAX_HEADER_BYTES = 100 * 1000 * 1000 };

#endif
