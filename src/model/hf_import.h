/* hf_import.h - a Hugging Face folder as the directory of GGUF tensors and metadata
 * that the rest of Hearth reads.
 *
 * An import is a plan: every tensor of the result knows which tensors of the folder it
 * is made of and how. Opening a folder carries the plan out in memory (what needs no
 * change stays mapped), converting streams it row by row into a file.
 *
 * Matrices keep their element type (BF16, F16, F32; FP8 becomes BF16, MXFP4 is
 * repacked without a change of value), vectors and what the recipe reads as plain
 * floats become F32. Immutable once opened; reading rows is safe from many threads. */
#ifndef HEARTH_MODEL_HF_IMPORT_H
#define HEARTH_MODEL_HF_IMPORT_H

#include "format/fp8.h"
#include "model/hf_family.h"

enum {
    HF_MAX_RULES = 128,              /* of one family */
    HF_MAX_EXTRA = 2,                /* tensors that come from config.json */
    HF_MAX_TRANSPOSE_BYTES = 1 << 30 /* one matrix, held while it is turned */
};

/* A tensor of the folder as rows of plain elements. */
struct hf_source {
    const struct tensor *tensor; /* NULL: not there */
    enum elem type;              /* of the rows: F32, F16, BF16 or MXFP4 */
    bool scaled, packed;         /* FP8 with scales; MXFP4 blocks */
    uint64_t n_cols, n_rows, n_matrices;
    union {
        struct scaled_weight weight;
        struct mxfp4_weight mxfp4;
    };
};

/* One tensor of the result. */
struct hf_output {
    const struct hf_rule *rule;
    struct tensor tensor;      /* name, type, shape; data only when it is held already */
    struct hf_source *sources; /* one, or one for each expert */
    uint32_t n_sources;
    struct hf_slice slice;
    uint64_t n_cols; /* of a row of the result */
    bool floats;     /* must be F32 */
};

struct hf_import {
    struct hf_folder folder;
    const struct hf_family *family;
    struct metadata metadata;
    struct config config;
    struct hf_output *outputs;
    size_t n_outputs;
    struct arena arena; /* names, sources, small tensors */
    uint64_t fp8_block[2];
};

hearth_status hf_import_open(struct hf_import *import, const char *path, hearth_error *err);
void hf_import_close(struct hf_import *import); /* zeroed is fine */

/* True when the bytes of the result are those of the source: `*data` points to them. */
bool hf_output_mapped(const struct hf_output *output, const uint8_t **data);
/* Rows of matrix `matrix` of the result into `out`, in the result's type. Where the
 * source is turned, asking for a whole matrix at once is fastest. */
hearth_status hf_output_read(const struct hf_import *import, const struct hf_output *output,
                             uint64_t matrix, uint64_t first_row, uint64_t n_rows, void *out,
                             hearth_error *err);

/* Everything in memory: `dir` takes the folder's mappings from `import`, which is
 * closed in any case. */
hearth_status hf_import_directory(struct hf_import *import, struct directory *dir,
                                  hearth_error *err);

/* ---- parts of the import --------------------------------------------------------- */

void hf_take_config(struct hf_config *c, const struct hf_family *family);
/* general.*, sampling, chat templates, tokenizer. */
void hf_take_texts(struct hf_config *c, const struct hf_folder *folder);
void hf_take_card(struct hf_config *c);
void hf_take_tokenizer(struct hf_config *c, const struct hf_folder *folder);
/* Fills outputs from the folder's tensors. */
hearth_status hf_plan_tensors(struct hf_import *import, hearth_error *err);
/* Appends rope_freqs or rope_factors_* where config.json asks for them. */
hearth_status hf_plan_rope_factors(struct hf_import *import, struct hf_config *c,
                                   hearth_error *err);
hearth_status hf_source_open(struct hf_source *source, const struct hf_import *import,
                             const struct tensor *tensor, hearth_error *err);

/* All rules of a family in one list; returns how many. */
size_t hf_family_rules(const struct hf_family *family, const struct hf_rule *rules[HF_MAX_RULES]);
/* Whether `name` fits `pattern`; '#' and '@' stand for numbers, '*' for anything. */
bool hf_name_fits(const char *pattern, const char *name, uint32_t *layer, uint32_t *expert);
/* `name` without the prefixes that say where the text model sits. */
const char *hf_name_strip(const char *name);

#endif
