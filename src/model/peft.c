/* Adapters as PEFT saves them (Hugging Face; LoRA, arXiv 2106.09685; rank-stabilised,
 * arXiv 2312.03732; DoRA, arXiv 2402.09353): for a linear layer NAME the tensors
 * NAME.lora_A.weight [r, in] and NAME.lora_B.weight [out, r], and with DoRA
 * NAME.lora_magnitude_vector [out]. The family's rules say where NAME lies in the recipe; what
 * moves the rows of a weight moves those of B and the magnitudes, what moves its columns moves
 * those of A. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/adapter.h"
#include "model/hf_import.h"

enum { NAME_BYTES = 320, ALIGNMENT = 64 };
#define PEFT_MAX_BYTES (UINT64_C(1) << 36)

enum side { SIDE_A, SIDE_B, SIDE_MAGNITUDE };

/* One tensor of the result. */
struct part {
    const struct tensor *source;
    const struct hf_rule *rule;
    enum side side;
    struct hf_slice slice; /* of the rows of B, or of the magnitudes */
    char module[NAME_BYTES];
    char name[NAME_BYTES];
};

struct peft {
    struct hf_adapter folder;
    const struct config *base;
    const struct hf_rule *rules[HF_MAX_RULES];
    size_t n_rules;
    struct part *parts;
    size_t n_parts;
    double alpha;
    bool rank_stabilised;
};

/* ---- adapter_config.json ------------------------------------------------------------ */

static bool is_filled(const json_t *value) {
    return json_is_true(value) || json_array_size(value) > 0 || json_object_size(value) > 0;
}

static hearth_status read_settings(struct peft *p, hearth_error *err) {
    static const char *const refused[] = {"modules_to_save", "target_parameters",
                                          "trainable_token_indices", "lora_bias", "use_qalora"};
    const json_t *config = p->folder.config;
    const char *type = json_string_value(json_object_get(config, "peft_type"));
    const char *bias = json_string_value(json_object_get(config, "bias"));
    const json_t *alpha = json_object_get(config, "lora_alpha");
    if (!type || strcmp(type, "LORA") != 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "peft_type is '%.40s'; LORA was expected",
                         type ? type : "");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (is_filled(json_object_get(config, refused[i])))
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "'%s' is set in adapter_config.json, which Hearth does not apply: "
                             "merge the adapter into its model instead",
                             refused[i]);
    if (bias && strcmp(bias, "none") != 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'bias' is '%.40s' in adapter_config.json; only 'none' is supported",
                         bias);
    p->alpha = json_is_number(alpha) ? json_number_value(alpha) : 0;
    if (!(p->alpha > 0 && p->alpha < 1e9))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "'lora_alpha' in adapter_config.json is not a positive number");
    p->rank_stabilised = json_is_true(json_object_get(config, "use_rslora"));
    return HEARTH_OK;
}

/* alpha_pattern: ends of module names, as PEFT's own matching takes them. */
static double alpha_of(const struct peft *p, const char *module) {
    const json_t *pattern = json_object_get(p->folder.config, "alpha_pattern"), *value;
    const char *key;
    size_t n = strlen(module);
    json_object_foreach((json_t *)(uintptr_t)pattern, key, value) {
        size_t m = strlen(key);
        bool ends =
            n >= m && strcmp(module + n - m, key) == 0 && (n == m || module[n - m - 1] == '.');
        if (ends && json_is_number(value)) return json_number_value(value);
    }
    return p->alpha;
}

/* ---- which tensor is what -------------------------------------------------------------- */

/* "base_model.model.NAME.lora_A.weight"; some versions leave the name of the adapter in it. */
static bool split_name(const char *name, char module[NAME_BYTES], enum side *side) {
    static const char prefix[] = "base_model.model.";
    static const struct {
        const char *end;
        enum side side;
    } ends[] = {{".lora_A.weight", SIDE_A},
                {".lora_A.default.weight", SIDE_A},
                {".lora_B.weight", SIDE_B},
                {".lora_B.default.weight", SIDE_B},
                {".lora_magnitude_vector", SIDE_MAGNITUDE},
                {".lora_magnitude_vector.weight", SIDE_MAGNITUDE},
                {".lora_magnitude_vector.default", SIDE_MAGNITUDE},
                {".lora_magnitude_vector.default.weight", SIDE_MAGNITUDE}};
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) name += sizeof prefix - 1;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t n = strlen(name), m = strlen(ends[i].end);
        if (n <= m || strcmp(name + n - m, ends[i].end) != 0) continue;
        snprintf(module, NAME_BYTES, "%.*s", (int)(n - m), name);
        *side = ends[i].side;
        return true;
    }
    return false;
}

/* Linear layers inside blocks, which is where the executor adds adapters. */
static bool takes_adapter(const struct hf_rule *rule) {
    size_t n = strlen(rule->to);
    return strncmp(rule->to, "blk.#.", 6) == 0 && !strchr(rule->from, '@') && n > 7 &&
           strcmp(rule->to + n - 7, ".weight") == 0 && !strstr(rule->to, "_exps") &&
           !strstr(rule->to, "norm") && !rule->value && rule->transpose != HF_SLICE_TRANSPOSED;
}

static hearth_status slice_rows(const struct peft *p, struct part *part, hearth_error *err) {
    const struct hf_rule *rule = part->rule;
    uint64_t rows = part->source->dims[part->side == SIDE_MAGNITUDE ? 0 : 1];
    part->slice = (struct hf_slice){1, rows, rows, 0, 1};
    if (part->side == SIDE_A) return HEARTH_OK;
    if (part->side == SIDE_MAGNITUDE && part->source->dims[1] != 1)
        return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' is not one value for each row",
                         part->source->name);
    if (rule->slice) rule->slice(p->base, &part->slice);
    bool fits = part->slice.n_rows > 0 &&
                part->slice.first + (part->slice.n_rows - 1) * part->slice.stride < rows;
    for (uint64_t r = 0; fits && rule->row && r < part->slice.n_rows; r++)
        fits = rule->row(p->base, r) < part->slice.n_rows;
    if (fits) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' has %llu rows, which does not fit",
                     part->source->name, (unsigned long long)rows);
}

static hearth_status add_part(struct peft *p, const struct tensor *tensor, const char *module,
                              const struct hf_rule *rule, uint32_t layer, enum side side,
                              hearth_error *err) {
    struct part *parts = mem_realloc_array(p->parts, p->n_parts + 1, sizeof *parts);
    if (!parts) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
    p->parts = parts;
    struct part *part = &parts[p->n_parts++];
    *part = (struct part){.source = tensor, .rule = rule, .side = side};
    snprintf(part->module, NAME_BYTES, "%s", module);
    static const char *const ends[] = {"a", "b", "magnitude"};
    snprintf(part->name, NAME_BYTES, "blk.%u.%s.lora_%s", layer, rule->to + strlen("blk.#."),
             ends[side]);
    for (uint64_t c = 0; rule->column && side == SIDE_A && c < tensor->dims[0]; c++)
        if (rule->column(p->base, c) >= tensor->dims[0])
            return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' has the wrong width",
                             tensor->name);
    return slice_rows(p, part, err);
}

static hearth_status place(struct peft *p, const struct tensor *tensor, hearth_error *err) {
    char module[NAME_BYTES], weight[NAME_BYTES + 8];
    enum side side;
    bool found = false;
    if (tensor->dtype != DTYPE_ELEM || tensor->dims[2] * tensor->dims[3] != 1 ||
        (tensor->type != ELEM_F32 && tensor->type != ELEM_F16 && tensor->type != ELEM_BF16))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' is no matrix of f32, f16 or bf16", tensor->name);
    if (!split_name(tensor->name, module, &side))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' is not part of a LoRA adapter (NAME.lora_A.weight, "
                         "NAME.lora_B.weight, NAME.lora_magnitude_vector): merge the adapter into "
                         "its model instead",
                         tensor->name);
    snprintf(weight, sizeof weight, "%s.weight", hf_name_strip(module));
    for (size_t i = 0; i < p->n_rules; i++) {
        uint32_t layer, expert;
        if (!takes_adapter(p->rules[i]) ||
            !hf_name_fits(p->rules[i]->from, weight, &layer, &expert))
            continue;
        if (layer >= p->base->n_layer)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "tensor '%s' is for layer %u; the model has %u", tensor->name, layer,
                             p->base->n_layer);
        RETURN_IF_ERROR(add_part(p, tensor, module, p->rules[i], layer, side, err));
        found = true;
    }
    if (found) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "'%s' is no linear layer of a '%s' model that can carry an adapter", module,
                     p->base->family);
}

/* ---- values ----------------------------------------------------------------------------- */

static float value_at(const struct tensor *tensor, uint64_t i) {
    uint16_t half;
    float full;
    if (tensor->type == ELEM_F32) {
        memcpy(&full, tensor->data + 4 * i, sizeof full);
        return full;
    }
    memcpy(&half, tensor->data + 2 * i, sizeof half);
    return tensor->type == ELEM_BF16 ? bf16_to_f32(half) : f16_to_f32(half);
}

/* The executor multiplies by alpha / rank; B carries what a layer has beyond that. */
static float extra_scale(const struct peft *p, const struct part *part) {
    if (part->side != SIDE_B) return 1.0f;
    double rank = (double)part->source->dims[0], alpha = alpha_of(p, part->module);
    double wanted = p->rank_stabilised ? alpha / sqrt(rank) : alpha / rank;
    return (float)(wanted * rank / p->alpha);
}

/* Values of a row of the source: magnitudes have one for each row of the weight. */
static uint64_t part_cols(const struct part *part) {
    return part->side == SIDE_MAGNITUDE ? 1 : part->source->dims[0];
}

static void fill(const struct peft *p, const struct part *part, float *out) {
    const struct tensor *source = part->source;
    uint64_t cols = part_cols(part);
    float scale = extra_scale(p, part);
    bool turns_columns = part->side == SIDE_A && part->rule->column;
    for (uint64_t r = 0; r < part->slice.n_rows; r++) {
        uint64_t row = part->side != SIDE_A && part->rule->row ? part->rule->row(p->base, r) : r;
        row = part->slice.first + row * part->slice.stride;
        for (uint64_t c = 0; c < cols; c++) {
            uint64_t column = turns_columns ? part->rule->column(p->base, c) : c;
            *out++ = value_at(source, row * cols + column) * scale;
        }
    }
}

static uint64_t padded_bytes(const struct part *part) {
    uint64_t bytes = part->slice.n_rows * part_cols(part) * sizeof(float);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static hearth_status fill_all(const struct peft *p, struct directory *dir, hearth_error *err) {
    uint64_t total = 0;
    for (size_t i = 0; i < p->n_parts && total <= PEFT_MAX_BYTES; i++)
        total += padded_bytes(&p->parts[i]);
    uint8_t *block = total <= PEFT_MAX_BYTES ? mem_alloc_aligned(ALIGNMENT, (size_t)total) : NULL;
    if (!block)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter of %llu bytes",
                         (unsigned long long)total);
    dir->blocks[dir->n_blocks++] = block;
    RETURN_IF_ERROR(directory_reserve(dir, p->n_parts, err));
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct part *part = &p->parts[i];
        struct tensor *t = &dir->tensors[dir->n_tensors];
        uint64_t cols = part_cols(part), rows = part->slice.n_rows;
        *t = (struct tensor){
            .type = ELEM_F32, .n_dims = 2, .dims = {cols, rows, 1, 1}, .data = block};
        if (part->side == SIDE_MAGNITUDE)
            *t = (struct tensor){
                .type = ELEM_F32, .n_dims = 1, .dims = {rows, 1, 1, 1}, .data = block};
        t->name = arena_strndup(&dir->metadata.arena, part->name, strlen(part->name));
        if (!t->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
        RETURN_IF_ERROR(tensor_check_shape(t, err));
        fill(p, part, (float *)(void *)block);
        block += padded_bytes(part);
        dir->n_tensors++;
    }
    return directory_index(dir, err);
}

/* DoRA is of all layers or of none. */
static hearth_status check_magnitudes(const struct peft *p, hearth_error *err) {
    bool wanted = json_is_true(json_object_get(p->folder.config, "use_dora"));
    size_t n = 0, layers = 0;
    for (size_t i = 0; i < p->n_parts; i++) {
        n += p->parts[i].side == SIDE_MAGNITUDE;
        layers += p->parts[i].side == SIDE_B;
    }
    if (n == (wanted ? layers : 0)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "'use_dora' is %s in adapter_config.json, but %zu of %zu layers have a "
                     "lora_magnitude_vector",
                     wanted ? "set" : "not set", n, layers);
}

static hearth_status open_parts(struct peft *p, struct adapter *adapter, hearth_error *err) {
    const struct hf_family *family =
        hf_family_named(p->base->family, p->base->experts.n_expert > 0);
    if (!family)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "how '%s' models are named in PEFT adapters is not known",
                         p->base->family);
    RETURN_IF_ERROR(read_settings(p, err));
    p->n_rules = hf_family_rules(family, p->rules);
    for (size_t i = 0; i < p->folder.tensors.n_tensors; i++)
        RETURN_IF_ERROR(place(p, &p->folder.tensors.tensors[i], err));
    if (p->n_parts == 0) return error_set(err, HEARTH_ERROR_FORMAT, "the adapter has no tensors");
    RETURN_IF_ERROR(check_magnitudes(p, err));
    RETURN_IF_ERROR(fill_all(p, &adapter->directory, err));
    adapter->alpha = (float)p->alpha;
    return adapter_check_pairs(adapter, err);
}

hearth_status peft_open(struct adapter *adapter, const char *path, const struct config *base,
                        hearth_error *err) {
    struct peft p = {.base = base};
    RETURN_IF_ERROR(hf_adapter_open(&p.folder, path, err));
    hearth_status status = directory_init(&adapter->directory, path, 1, err);
    if (status == HEARTH_OK) status = open_parts(&p, adapter, err);
    if (status != HEARTH_OK) error_prefix(err, status, "cannot use adapter '%s'", path);
    mem_free(p.parts);
    hf_adapter_close(&p.folder);
    return status;
}
