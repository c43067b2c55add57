/* hf_convert.h - writes an import as one GGUF file or several.
 *
 * Rows are read, turned into the wanted type by all threads and written, a few
 * megabytes at a time, so that memory does not grow with the model. Only matrices
 * change their type: vectors, and what the recipe reads as plain floats, stay F32,
 * MXFP4 stays as it is, and rows that the type's blocks do not divide become F16. */
#ifndef HEARTH_MODEL_HF_CONVERT_H
#define HEARTH_MODEL_HF_CONVERT_H

#include "base/pool.h"
#include "model/hf_import.h"

struct hf_convert_options {
    enum elem type;          /* ELEM_TYPES: as the folder has it */
    unsigned n_threads;      /* 0: one per core */
    uint64_t max_part_bytes; /* 0: one file */
    /* Called now and then with the bytes that are written; may be NULL. */
    void (*progress)(void *context, uint64_t done);
    void *progress_context;
};

/* What a conversion will write: fill with hf_convert_open, end with hf_convert_close. */
struct hf_convert {
    struct hf_convert_options options;
    struct hf_import *import; /* borrowed; its metadata gets the keys about the file */
    struct tensor *tensors;   /* [import->n_outputs], of the result */
    uint64_t size_bytes;      /* of all tensors */
    enum elem main_type;      /* most bytes have it */
};

hearth_status hf_convert_open(struct hf_convert *convert, struct hf_import *import,
                              const struct hf_convert_options *options, hearth_error *err);
hearth_status hf_convert_write(struct hf_convert *convert, const char *path, hearth_error *err);
void hf_convert_close(struct hf_convert *convert); /* zeroed is fine */

#endif
