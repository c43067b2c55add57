/* tensor_writer.h - streams the bytes of many tensors into one file, or into several
 * parts that appear under their names only together.
 *
 * What the formats share: which tensor goes into which part, padding, the check for
 * free disk space, atomic appearance. A format plans, fills the header of every
 * part, begins; then the bytes are pushed in writing order or drawn from a source.
 *
 * Invariants: (1) parts hold consecutive ranges of the writing order; (2) only the
 * part being written has an open file, finished ones wait under temporary names;
 * (3) parts get their names from the last to the first, and part 0 is the one that
 * readers open, so its presence means that all are there; (4) after a failure
 * nothing is left behind. */
#ifndef HEARTH_FORMAT_TENSOR_WRITER_H
#define HEARTH_FORMAT_TENSOR_WRITER_H

#include "base/buf.h"
#include "format/directory.h"

struct tensor_part {
    char *path;
    size_t first, end;   /* of the writing order */
    struct buf header;   /* written before the tensors; filled by the format */
    uint64_t size_bytes; /* of the tensors with their padding */
    struct file_writer file;
};

struct tensor_writer {
    struct tensor *tensors; /* copies with sizes; names are borrowed from the caller */
    size_t *order;          /* writing order: numbers of tensors */
    size_t n_tensors;
    size_t alignment; /* every tensor is padded to a multiple */
    struct tensor_part *parts;
    size_t n_parts;
    size_t part, position; /* being written: part, place in the order */
    uint64_t written;      /* bytes of that tensor */
};

/* Supplies the bytes of tensor `i` of the caller's list through tensor_writer_put,
 * in as many pieces as it likes. What it returns other than HEARTH_OK ends the write. */
typedef hearth_status tensor_source(void *context, size_t i, struct tensor_writer *out,
                                    hearth_error *err);

/* The next piece, within one tensor. */
hearth_status tensor_writer_put(struct tensor_writer *w, const void *data, size_t size_bytes,
                                hearth_error *err);
/* Makes everything appear; ends the writer, also when it fails. */
hearth_status tensor_writer_commit(struct tensor_writer *w, hearth_error *err);
void tensor_writer_discard(struct tensor_writer *w); /* removes what was written; ends it */

/* ---- for formats ------------------------------------------------------- */

struct tensor_layout {
    const char *extension;    /* ".gguf": parts become x-00001-of-0000N.gguf */
    const char *index_suffix; /* ".index.json": with several parts, part 0 is a file without
                                 tensors named after the path and this; or NULL */
    size_t alignment;
    bool widest_first;       /* sort by element width, so that unpadded tensors stay aligned */
    uint64_t max_part_bytes; /* a part takes no further tensor beyond this; 0: one file */
    size_t max_header_bytes;
};

/* Checks names and shapes, decides order and parts, whose headers are empty. */
hearth_status tensor_writer_plan(struct tensor_writer *w, const char *path,
                                 const struct tensor *tensors, size_t n_tensors,
                                 const struct tensor_layout *layout, hearth_error *err);
uint64_t tensor_writer_padded(const struct tensor_writer *w, uint64_t size_bytes);
/* Headers are filled: checks the disk, opens the first part. Discards on failure. */
hearth_status tensor_writer_begin(struct tensor_writer *w, hearth_error *err);
/* Begins, draws every tensor from `source`, or from tensors[i].data when it is NULL,
 * and commits. */
hearth_status tensor_writer_run(struct tensor_writer *w, tensor_source *source, void *context,
                                hearth_error *err);

#endif
