#include "model/adapter_write.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf_write.h"
#include "format/safetensors.h"
#include "model/hf_import.h"

enum { NAME_BYTES = 320 };

enum side { SIDE_A, SIDE_B, SIDE_MAGNITUDE };
/* As tensors of an adapter end, and as PEFT's do. */
static const char *const ends[] = {".lora_a", ".lora_b", ".lora_magnitude"};
static const char *const peft_ends[] = {".lora_A.weight", ".lora_B.weight",
                                        ".lora_magnitude_vector"};

static hearth_status set_text(struct metadata *m, const char *key, const char *text,
                              hearth_error *err) {
    return text ? metadata_set_string(m, key, text, strlen(text), err) : HEARTH_OK;
}

static hearth_status describe(struct metadata *m, const struct adapter *adapter,
                              const struct config *base, const struct adapter_facts *facts,
                              hearth_error *err) {
    RETURN_IF_ERROR(set_text(m, "general.type", "adapter", err));
    RETURN_IF_ERROR(set_text(m, "general.architecture", base->family, err));
    RETURN_IF_ERROR(set_text(m, "general.name", facts->name, err));
    RETURN_IF_ERROR(set_text(m, "adapter.type", "lora", err));
    RETURN_IF_ERROR(metadata_set_float(m, "adapter.lora.alpha", (double)adapter->alpha, err));
    if (!facts->base_name) return HEARTH_OK;
    RETURN_IF_ERROR(metadata_set_uint(m, "general.base_model.count", META_U32, 1, err));
    return set_text(m, "general.base_model.0.name", facts->base_name, err);
}

hearth_status adapter_write_gguf(const char *path, const struct adapter *adapter,
                                 const struct config *base, const struct adapter_facts *facts,
                                 hearth_error *err) {
    struct metadata m;
    if (adapter_is_decomposed(adapter))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "adapters in GGUF have no place for the magnitudes of a weight-decomposed "
                         "one (DoRA): write it as PEFT does, or merge it into its model");
    metadata_init(&m, 1 << 20);
    hearth_status status = describe(&m, adapter, base, facts, err);
    if (status == HEARTH_OK)
        status = gguf_write(path, &m, adapter->directory.tensors, adapter->directory.n_tensors, 0,
                            NULL, NULL, err);
    metadata_release(&m);
    return status;
}

/* ---- PEFT --------------------------------------------------------------------------- */

/* One tensor of the folder. */
struct part {
    const struct tensor *source;
    const struct hf_rule *rule;
    enum side side;
    char name[NAME_BYTES];
};

struct folder {
    const struct adapter *adapter;
    const struct config *base;
    const struct hf_rule *rules[HF_MAX_RULES];
    size_t n_rules;
    struct part *parts;
    struct tensor *tensors;
    size_t n;
    uint32_t rank;
    bool decomposed;
};

/* "blk.3.attn_q.weight.lora_a" -> "blk.#.attn_q.weight", 3, SIDE_A. */
static bool split_name(const char *name, char pattern[NAME_BYTES], uint32_t *layer,
                       enum side *side) {
    char rest[NAME_BYTES];
    size_t n = strlen(name);
    if (n >= NAME_BYTES || n < 8 || sscanf(name, "blk.%u.%319s", layer, rest) != 2) return false;
    for (*side = SIDE_A; *side <= SIDE_MAGNITUDE; ++*side) {
        size_t m = strlen(rest), end = strlen(ends[*side]);
        if (m <= end || strcmp(rest + m - end, ends[*side]) != 0) continue;
        snprintf(pattern, NAME_BYTES, "blk.#.%.*s", (int)(m - end), rest);
        return true;
    }
    return false;
}

/* The rule that maps one layer's whole weight to `pattern` and back. */
static const struct hf_rule *find_rule(const struct folder *f, const char *pattern) {
    for (size_t i = 0; i < f->n_rules; i++) {
        const struct hf_rule *rule = f->rules[i];
        if (strcmp(rule->to, pattern) == 0 && !rule->slice && !rule->value &&
            !strpbrk(rule->from, "@*") && rule->transpose != HF_SLICE_TRANSPOSED)
            return rule;
    }
    return NULL;
}

/* "layers.#.self_attn.q_proj.weight" -> "base_model.model.model.layers.3...lora_A.weight". */
static void name_part(const struct folder *f, struct part *part, uint32_t layer) {
    const char *from = part->rule->from, *mark = strchr(from, '#');
    const char *prefix = strcmp(f->base->family, "gpt2") == 0 ? "transformer" : "model";
    size_t stem = strlen(mark + 1) - strlen(".weight");
    snprintf(part->name, NAME_BYTES, "base_model.model.%s.%.*s%u%.*s%s", prefix, (int)(mark - from),
             from, layer, (int)stem, mark + 1, peft_ends[part->side]);
}

static hearth_status add_part(struct folder *f, const struct tensor *tensor, hearth_error *err) {
    struct part *part = &f->parts[f->n];
    char pattern[NAME_BYTES];
    uint32_t layer = 0;
    *part = (struct part){.source = tensor};
    if (!split_name(tensor->name, pattern, &layer, &part->side) || tensor->type != ELEM_F32)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' is no f32 part of an adapter of a layer's weight",
                         tensor->name);
    part->rule = find_rule(f, pattern);
    if (!part->rule)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "Hugging Face models of family '%s' have no weight of their own for '%s': "
                         "keep the adapter as GGUF, or merge it into its model",
                         f->base->family, tensor->name);
    name_part(f, part, layer);
    f->tensors[f->n] = *tensor;
    f->tensors[f->n].name = part->name;
    f->tensors[f->n].data = NULL;
    f->n++;
    if (part->side == SIDE_MAGNITUDE) {
        f->tensors[f->n - 1].n_dims = 1;
        f->decomposed = true;
        return HEARTH_OK;
    }
    uint32_t rank = (uint32_t)tensor->dims[part->side == SIDE_B ? 0 : 1];
    if (f->rank && rank != f->rank)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "ranks %u and %u in one adapter", f->rank,
                         rank);
    f->rank = rank;
    return HEARTH_OK;
}

/* Row r of B, or of the magnitudes, here is row rule->row(r) there; likewise columns of A. */
static hearth_status write_part(void *context, size_t number, struct tensor_writer *out,
                                hearth_error *err) {
    const struct folder *f = context;
    const struct part *part = &f->parts[number];
    bool vector = part->side == SIDE_MAGNITUDE;
    uint64_t cols = vector ? 1 : part->source->dims[0];
    uint64_t rows = part->source->dims[vector ? 0 : 1];
    const float *from = (const float *)(const void *)part->source->data;
    float *to = mem_calloc((size_t)(rows * cols), sizeof *to);
    if (!to) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for '%s'", part->name);
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t row = part->side != SIDE_A && part->rule->row ? part->rule->row(f->base, r) : r;
        for (uint64_t c = 0; c < cols; c++) {
            uint64_t column =
                part->side == SIDE_A && part->rule->column ? part->rule->column(f->base, c) : c;
            if (row < rows && column < cols) to[row * cols + column] = from[r * cols + c];
        }
    }
    hearth_status status = tensor_writer_put(out, to, (size_t)(rows * cols) * sizeof *to, err);
    mem_free(to);
    return status;
}

/* The names of the layers' parts that carry an adapter: "q_proj", each once. */
static json_t *target_modules(const struct folder *f) {
    json_t *list = json_array();
    for (size_t i = 0; i < f->n; i++) {
        const char *end = strstr(f->parts[i].name, ".lora_"), *start = end;
        while (start > f->parts[i].name && start[-1] != '.')
            start--;
        bool known = false;
        for (size_t j = 0; j < json_array_size(list); j++)
            known = known || (strncmp(json_string_value(json_array_get(list, j)), start,
                                      (size_t)(end - start)) == 0 &&
                              json_string_length(json_array_get(list, j)) == (size_t)(end - start));
        if (!known) json_array_append_new(list, json_stringn(start, (size_t)(end - start)));
    }
    return list;
}

static hearth_status write_config(const struct folder *f, const char *path,
                                  const struct adapter_facts *facts, hearth_error *err) {
    bool turned = f->n && f->parts[0].rule->transpose == HF_TRANSPOSED;
    json_t *config = json_pack(
        "{ss ss so si sf sf ss sb sb sb sb so}", "peft_type", "LORA", "task_type", "CAUSAL_LM",
        "base_model_name_or_path", facts->base_name ? json_string(facts->base_name) : json_null(),
        "r", (int)f->rank, "lora_alpha", (double)f->adapter->alpha, "lora_dropout", facts->dropout,
        "bias", "none", "fan_in_fan_out", turned, "inference_mode", 1, "use_rslora", 0, "use_dora",
        f->decomposed, "target_modules", target_modules(f));
    char *text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    hearth_status status = text
                               ? file_write(path, text, strlen(text), err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for '%s'", path);
    free(text);
    json_decref(config);
    return status;
}

static hearth_status write_folder(struct folder *f, const char *folder,
                                  const struct adapter_facts *facts, hearth_error *err) {
    const struct directory *dir = &f->adapter->directory;
    for (size_t i = 0; i < dir->n_tensors; i++)
        RETURN_IF_ERROR(add_part(f, &dir->tensors[i], err));
    RETURN_IF_ERROR(file_make_folders(folder, err));
    char *config = path_join(folder, "adapter_config.json");
    char *weights = path_join(folder, "adapter_model.safetensors");
    hearth_status status = HEARTH_OK;
    if (!config || !weights)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (status == HEARTH_OK)
        status = safetensors_write(weights, NULL, f->tensors, f->n, 0, write_part, f, err);
    if (status == HEARTH_OK) status = write_config(f, config, facts, err);
    mem_free(config);
    mem_free(weights);
    return status;
}

hearth_status adapter_write_peft(const char *folder, const struct adapter *adapter,
                                 const struct config *base, const struct adapter_facts *facts,
                                 hearth_error *err) {
    size_t n = adapter->directory.n_tensors;
    const struct hf_family *family = hf_family_named(base->family, base->experts.n_expert > 0);
    if (!family)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "how '%s' models are named in PEFT adapters is not known", base->family);
    struct folder f = {.adapter = adapter, .base = base};
    f.n_rules = hf_family_rules(family, f.rules);
    f.parts = mem_calloc(n + 1, sizeof *f.parts);
    f.tensors = mem_calloc(n + 1, sizeof *f.tensors);
    hearth_status status = f.parts && f.tensors
                               ? write_folder(&f, folder, facts, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    if (status != HEARTH_OK) error_prefix(err, status, "cannot write the adapter to '%s'", folder);
    mem_free(f.parts);
    mem_free(f.tensors);
    return status;
}
