/* quantization.h - turns a GGUF model into one with other element types.
 *
 * Opening decides the type of every tensor (quant_recipe.h); writing streams: a few
 * megabytes of rows are read, quantised by all threads and written, so that memory
 * does not grow with the model. Metadata is kept, but for the keys that say how the
 * file was quantised. The result does not depend on the number of threads. */
#ifndef HEARTH_MODEL_QUANTIZATION_H
#define HEARTH_MODEL_QUANTIZATION_H

#include <stdatomic.h>

#include "format/imatrix.h"
#include "model/adapter.h"
#include "model/quant_recipe.h"

struct quantization_options {
    struct quant_choice choice;       /* has_importance follows from `importance` */
    const struct imatrix *importance; /* NULL: none */
    const char *importance_path;      /* noted in the file */
    const char *const *adapters;      /* [n_adapters] "FILE[:SCALE]", merged into their weights */
    size_t n_adapters;
    const struct adapter_set *adapter_set; /* further ones, open already; NULL: none */
    const char *chat_template;             /* put into the metadata; NULL: what is there */
    bool allow_requantize;                 /* take weights that are quantised already */
    unsigned n_threads;                    /* 0: one per core */
    uint64_t max_part_bytes;               /* 0: one file */
    bool keep_split;                       /* as many parts as the input has */
    /* Called now and then with bytes of the input that are done; may be NULL. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
    const atomic_bool *cancel; /* may be set at any time: HEARTH_ERROR_CANCELLED; NULL: never */
};

struct quantization {
    struct quantization_options options;
    struct directory input;
    struct tensor *tensors;                   /* of the output, in the order of the input */
    struct adapter adapters[ADAPTER_SET_MAX]; /* [n_adapters] opened here */
    struct adapter_set merged;
    uint64_t input_bytes, output_bytes;
};

/* `options` is copied, what it points to is borrowed until quantization_close, which
 * follows in every case. */
hearth_status quantization_open(struct quantization *q, const char *path,
                                const struct quantization_options *options, hearth_error *err);
/* The same for a model that is open, in whatever format; `model` is borrowed likewise. */
hearth_status quantization_open_model(struct quantization *q, const struct directory *model,
                                      const struct quantization_options *options,
                                      hearth_error *err);
hearth_status quantization_write(struct quantization *q, const char *path, hearth_error *err);
void quantization_close(struct quantization *q);

#endif
