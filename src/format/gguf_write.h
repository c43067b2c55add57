/* gguf_write.h - writes GGUF v3, as one file or split by size.
 *
 * The description of the tensors comes first, their bytes follow in the same order
 * and are streamed, so that a quantiser never holds the model. Files appear only
 * when everything was written and is on the disk (format/tensor_writer.h).
 *
 * Metadata is written as given, without split.* keys, which follow from the result;
 * general.alignment is honoured, 32 without it. Split files carry the keys and names
 * that llama-gguf-split gives them: x-00001-of-0000N.gguf, split.no, split.count (u16)
 * and split.tensors.count (i32); all other metadata is in the first part. */
#ifndef HEARTH_FORMAT_GGUF_WRITE_H
#define HEARTH_FORMAT_GGUF_WRITE_H

#include "format/tensor_writer.h"

/* Longer names are legal, but other readers refuse them. */
enum { GGUF_WRITE_MAX_NAME_BYTES = 63 };

/* `tensors`: name, type, n_dims and dims count; data only when `source` is NULL.
 * `path` names the single file; parts are named after it. `max_part_bytes` 0: never
 * split. Everything is borrowed during the call. */
hearth_status gguf_write(const char *path, const struct metadata *m, const struct tensor *tensors,
                         size_t n_tensors, uint64_t max_part_bytes, tensor_source *source,
                         void *context, hearth_error *err);

/* The same for those who push: open, tensor_writer_put for every tensor in order,
 * then tensor_writer_commit or tensor_writer_discard. Names are borrowed until then. */
hearth_status gguf_writer_open(struct tensor_writer *w, const char *path, const struct metadata *m,
                               const struct tensor *tensors, size_t n_tensors,
                               uint64_t max_part_bytes, hearth_error *err);

#endif
