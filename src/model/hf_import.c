#include "model/hf_import.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/units.h"

#define HF_MAX_METADATA_BYTES ((size_t)1 << 31)
#define HF_MAX_PLAN_BYTES ((size_t)1 << 31)
enum { TENSOR_ALIGNMENT = 64 };

/* quantization_config.weight_block_size, [rows, columns]; 0 where it is not given. */
static void read_fp8_block(struct hf_import *import) {
    const json_t *quantization = json_object_get(import->folder.config, "quantization_config");
    const json_t *block = json_object_get(quantization, "weight_block_size");
    for (size_t i = 0; i < 2; i++) {
        json_int_t size = json_integer_value(json_array_get(block, i));
        import->fp8_block[i] = size > 0 && size <= CONFIG_MAX_WIDTH ? (uint64_t)size : 0;
    }
}

/* Quantised checkpoints: only those whose tensors format/fp8.h can expand. */
static hearth_status check_quantization(const struct hf_import *import, hearth_error *err) {
    static const char *const known[] = {"fp8", "fbgemm_fp8", "mxfp4", "compressed-tensors",
                                        "modelopt"};
    const json_t *quantization = json_object_get(import->folder.config, "quantization_config");
    const char *method = json_string_value(json_object_get(quantization, "quant_method"));
    for (size_t i = 0; method && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(method, known[i]) == 0) method = NULL;
    if (!method) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "its weights are quantised with '%.40s', which Hearth does not read: take the "
                     "original model or a GGUF file",
                     method);
}

/* Where the language model of a larger one is described. */
static const json_t *text_part(const json_t *root) {
    static const char *const names[] = {"text_config", "llm_config", "language_config"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *part = json_object_get(root, names[i]);
        if (json_is_object(part)) return part;
    }
    return root;
}

static hearth_status take_metadata(struct hf_import *import, struct hf_config *c) {
    import->family = hf_family_of(c);
    if (c->status != HEARTH_OK) return c->status;
    c->family = import->family->name;
    c->status = metadata_set_string(&import->metadata, "general.architecture", c->family,
                                    strlen(c->family), c->err);
    hf_take_config(c, import->family);
    hf_take_texts(c, &import->folder);
    return c->status;
}

/* Without an output matrix the embedding stands in for it, unless the model says that
 * the two differ: then it was lost. */
static hearth_status check_head(const struct hf_import *import, struct hf_config *c,
                                hearth_error *err) {
    bool tied = true;
    const struct hf_rule *rules[HF_MAX_RULES];
    size_t n = hf_family_rules(import->family, rules);
    const char *name = json_string_value(json_array_get(hf_get_list(c, "architectures"), 0));
    hf_get_flag(c, "tie_word_embeddings", &tied);
    if (c->status != HEARTH_OK || tied || !name || !strstr(name, "For")) return c->status;
    for (size_t i = 0; i < import->n_outputs; i++)
        if (strcmp(import->outputs[i].tensor.name, "output.weight") == 0) return HEARTH_OK;
    for (size_t i = 0; i < n; i++)
        if (strcmp(rules[i]->to, "output.weight") == 0)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%s' is missing, though 'tie_word_embeddings' is false",
                             rules[i]->from);
    return HEARTH_OK;
}

static hearth_status open_parts(struct hf_import *import, const char *path, hearth_error *err) {
    RETURN_IF_ERROR(hf_folder_open(&import->folder, path, true, err));
    struct hf_config c = {.root = import->folder.config,
                          .text = text_part(import->folder.config),
                          .path = path,
                          .metadata = &import->metadata,
                          .err = err};
    read_fp8_block(import);
    RETURN_IF_ERROR(check_quantization(import, err));
    RETURN_IF_ERROR(take_metadata(import, &c));
    RETURN_IF_ERROR(config_read(&import->config, &import->metadata, err));
    RETURN_IF_ERROR(hf_plan_tensors(import, err));
    RETURN_IF_ERROR(check_head(import, &c, err));
    return hf_plan_rope_factors(import, &c, err);
}

hearth_status hf_import_open(struct hf_import *import, const char *path, hearth_error *err) {
    *import = (struct hf_import){0};
    metadata_init(&import->metadata, HF_MAX_METADATA_BYTES);
    arena_init(&import->arena, HF_MAX_PLAN_BYTES);
    hearth_status status = open_parts(import, path, err);
    if (status == HEARTH_OK) return HEARTH_OK;
    if (import->folder.path) /* otherwise the message names the folder already */
        error_prefix(err, status, "cannot use model folder '%s'", path);
    hf_import_close(import);
    return status;
}

void hf_import_close(struct hf_import *import) {
    config_release(&import->config);
    metadata_release(&import->metadata);
    mem_free(import->outputs);
    arena_release(&import->arena);
    hf_folder_close(&import->folder);
    *import = (struct hf_import){0};
}

/* ---- everything in memory ------------------------------------------------------- */

static hearth_status check_memory(const struct hf_import *import, hearth_error *err) {
    uint64_t needed = 0, total = cpu_memory_total();
    const uint8_t *data;
    char size[32], limit[32];
    for (size_t i = 0; i < import->n_outputs; i++)
        if (!hf_output_mapped(&import->outputs[i], &data))
            needed += import->outputs[i].tensor.size_bytes;
    if (total == 0 || needed <= total) return HEARTH_OK;
    units_format_bytes(needed, size, sizeof size);
    units_format_bytes(total, limit, sizeof limit);
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "opening it directly takes %s of memory to rearrange weights, this machine "
                     "has %s: 'hearth convert' makes a file that is mapped",
                     size, limit);
}

static hearth_status read_whole(const struct hf_import *import, const struct hf_output *o,
                                uint8_t *out, hearth_error *err) {
    if (!o->rule) return hf_output_read(import, o, 0, 0, 1, out, err);
    uint64_t n_matrices = o->slice.n_matrices;
    uint64_t bytes = o->tensor.size_bytes / n_matrices;
    uint64_t n_rows = bytes / elem_row_bytes(o->tensor.type, (size_t)o->n_cols);
    for (uint64_t m = 0; m < n_matrices; m++)
        RETURN_IF_ERROR(hf_output_read(import, o, m, 0, n_rows, out + m * bytes, err));
    return HEARTH_OK;
}

static hearth_status place_output(const struct hf_import *import, const struct hf_output *o,
                                  struct directory *dir, hearth_error *err) {
    struct tensor *tensor = &dir->tensors[dir->n_tensors];
    *tensor = o->tensor;
    tensor->name = arena_strndup(&dir->metadata.arena, o->tensor.name, strlen(o->tensor.name));
    if (!tensor->name)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tensor '%s'", o->tensor.name);
    dir->n_tensors++;
    if (o->rule && hf_output_mapped(o, &tensor->data)) return HEARTH_OK;
    uint8_t *block = mem_alloc_aligned(TENSOR_ALIGNMENT, (size_t)tensor->size_bytes);
    if (!block)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tensor '%s' (%llu bytes)",
                         tensor->name, (unsigned long long)tensor->size_bytes);
    dir->blocks[dir->n_blocks++] = block;
    tensor->data = block;
    return read_whole(import, o, block, err);
}

/* The folder's mappings, and what it had to align, change hands. */
static hearth_status take_memory(struct hf_import *import, struct directory *dir,
                                 hearth_error *err) {
    struct directory *from = &import->folder.tensors;
    void **blocks =
        mem_realloc_array(from->blocks, from->n_blocks + import->n_outputs, sizeof *blocks);
    if (!blocks) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open a folder");
    from->blocks = blocks;
    mem_free(dir->maps);
    mem_free(dir->blocks);
    dir->maps = from->maps;
    dir->n_maps = from->n_maps;
    dir->blocks = from->blocks;
    dir->n_blocks = from->n_blocks;
    from->maps = NULL;
    from->n_maps = 0;
    from->blocks = NULL;
    from->n_blocks = 0;
    metadata_release(&dir->metadata);
    dir->metadata = import->metadata;
    metadata_init(&import->metadata, HF_MAX_METADATA_BYTES);
    return HEARTH_OK;
}

static hearth_status fill_directory(struct hf_import *import, struct directory *dir,
                                    hearth_error *err) {
    RETURN_IF_ERROR(check_memory(import, err));
    RETURN_IF_ERROR(take_memory(import, dir, err));
    RETURN_IF_ERROR(directory_reserve(dir, import->n_outputs, err));
    for (size_t i = 0; i < import->n_outputs; i++)
        RETURN_IF_ERROR(place_output(import, &import->outputs[i], dir, err));
    return directory_index(dir, err);
}

hearth_status hf_import_directory(struct hf_import *import, struct directory *dir,
                                  hearth_error *err) {
    hearth_status status = directory_init(dir, import->folder.path, 1, err);
    if (status == HEARTH_OK) {
        status = fill_directory(import, dir, err);
        if (status != HEARTH_OK) {
            error_prefix(err, status, "cannot use model folder '%s'", import->folder.path);
            directory_close(dir);
        }
    }
    hf_import_close(import);
    return status;
}
