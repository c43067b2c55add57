/* Finds for every tensor of a folder the rules that use it, and from them the tensors
 * of the result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/hf_import.h"

enum { NAME_BYTES = 320, MAX_NUMBER_DIGITS = 7 };

/* Parts that text models do without, and what others keep beside their weights. */
static const char ignored_everywhere[] =
    "*.rotary_emb.inv_freq *.rotary_emb.cos_cached *.rotary_emb.sin_cached rotary_emb.* "
    "*_scale_inv *_scales *.weight_scale *.input_scale *.activation_scale *.k_scale *.v_scale "
    "*.position_ids vision_tower.* vision_model.* vision_encoder.* visual.* "
    "multi_modal_projector.* vision_language_adapter.* patch_merger.* audio_tower.* mtp.*";

/* ---- names -------------------------------------------------------------------- */

const char *hf_name_strip(const char *name) {
    static const char *const prefixes[] = {"model.",       "language_model.", "text_model.",
                                           "transformer.", "backbone.",       "bert."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0) {
            name += n;
            i = (size_t)-1;
        }
    }
    return name;
}

static const char *read_number(const char *at, uint32_t *out) {
    uint32_t value = 0;
    int digits = 0;
    for (; *at >= '0' && *at <= '9' && digits < MAX_NUMBER_DIGITS; at++, digits++)
        value = value * 10 + (uint32_t)(*at - '0');
    *out = value;
    return digits ? at : NULL;
}

bool hf_name_fits(const char *pattern, const char *name, uint32_t *layer, uint32_t *expert) {
    const char *star = NULL, *resume = NULL; /* after the last '*', and where it took over */
    *layer = *expert = 0;
    for (;;) {
        const char *after = name;
        if (*pattern == '*') {
            star = ++pattern;
            resume = name;
            continue;
        }
        if (*pattern == '\0' && *name == '\0') return true;
        if (*pattern == '#')
            after = read_number(name, layer);
        else if (*pattern == '@')
            after = read_number(name, expert);
        else
            after = *pattern && *pattern == *name ? name + 1 : NULL;
        if (after) {
            pattern++;
            name = after;
        } else if (star && *resume) {
            pattern = star;
            name = ++resume;
        } else
            return false;
    }
}

static bool fits_any(const char *patterns, const char *name) {
    char pattern[NAME_BYTES];
    uint32_t layer, expert;
    while (patterns && *patterns) {
        size_t n = strcspn(patterns, " ");
        snprintf(pattern, sizeof pattern, "%.*s", (int)n, patterns);
        if (hf_name_fits(pattern, name, &layer, &expert)) return true;
        patterns += n;
        patterns += strspn(patterns, " ");
    }
    return false;
}

static void name_result(const char *pattern, uint32_t layer, char out[NAME_BYTES]) {
    const char *mark = strchr(pattern, '#');
    if (!mark)
        snprintf(out, NAME_BYTES, "%s", pattern);
    else
        snprintf(out, NAME_BYTES, "%.*s%u%s", (int)(mark - pattern), pattern, layer, mark + 1);
}

/* ---- which tensor fills which place of which rule --------------------------------- */

struct plan_state {
    struct hf_import *import;
    const struct hf_rule *rules[HF_MAX_RULES];
    size_t n_rules;
    uint32_t n_layer, n_expert;
    const struct tensor ***places; /* [rule][layer] -> one tensor, or n_expert of them */
};

static const struct tensor ***place(struct plan_state *s, size_t rule, uint32_t layer) {
    return &s->places[rule * s->n_layer + layer];
}

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to plan the tensors of a folder");
}

static bool is_stacked(const struct hf_rule *rule) {
    return strchr(rule->from, '@') != NULL;
}

static hearth_status put(struct plan_state *s, size_t rule, uint32_t layer, uint32_t expert,
                         const struct tensor *tensor, hearth_error *err) {
    const struct tensor ***at = place(s, rule, layer);
    uint32_t n = is_stacked(s->rules[rule]) ? s->n_expert : 1;
    if (expert >= n)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' belongs to expert %u; config.json says there are %u",
                         tensor->name, expert, n);
    if (!*at) *at = arena_calloc(&s->import->arena, n, sizeof(struct tensor *));
    if (!*at) return no_memory(err);
    if ((*at)[expert])
        return error_set(err, HEARTH_ERROR_FORMAT, "tensors '%s' and '%s' are the same one",
                         (*at)[expert]->name, tensor->name);
    (*at)[expert] = tensor;
    return HEARTH_OK;
}

/* Layers past the last one are drafting heads (multi-token prediction). */
static hearth_status place_tensor(struct plan_state *s, const struct tensor *tensor,
                                  hearth_error *err) {
    const char *name = hf_name_strip(tensor->name);
    bool used = false;
    for (size_t i = 0; i < s->n_rules; i++) {
        uint32_t layer, expert;
        if (!hf_name_fits(s->rules[i]->from, name, &layer, &expert)) continue;
        used = true;
        if (layer < s->n_layer) RETURN_IF_ERROR(put(s, i, layer, expert, tensor, err));
    }
    if (used || fits_any(ignored_everywhere, name) || fits_any(s->import->family->ignored, name))
        return HEARTH_OK;
    uint32_t layer, expert;
    if (hf_name_fits("layers.#.*", name, &layer, &expert) && layer >= s->n_layer) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "tensor '%s' has no place in a '%s' model: this variant of the family is not "
                     "supported",
                     tensor->name, s->import->family->name);
}

/* ---- results ------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static hearth_status fail_shape(const struct hf_output *o, hearth_error *err) {
    const uint64_t *dims = o->sources[0].tensor->dims;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "tensor '%s' has the shape [%llu, %llu, %llu], which does not fit this model",
                     o->sources[0].tensor->name, (unsigned long long)dims[2],
                     (unsigned long long)dims[1], (unsigned long long)dims[0]);
}

/* Shapes of the result, checked so that every row and column it asks for exists. */
static hearth_status shape_output(const struct hf_import *import, struct hf_output *o,
                                  hearth_error *err) {
    const struct hf_rule *rule = o->rule;
    const struct hf_source *source = &o->sources[0];
    bool turned = rule->transpose == HF_TRANSPOSED;
    uint64_t in_rows = turned ? source->n_cols : source->n_rows;
    uint64_t in_cols = turned ? source->n_rows : source->n_cols;
    o->slice = (struct hf_slice){o->n_sources > 1 ? o->n_sources : source->n_matrices, in_rows,
                                 in_rows, 0, 1};
    if (rule->slice) rule->slice(&import->config, &o->slice);
    const struct hf_slice *s = &o->slice;
    uint64_t available = in_rows * (turned || o->n_sources > 1 ? 1 : source->n_matrices), last;
    if (s->n_rows == 0 || s->n_matrices == 0 ||
        __builtin_mul_overflow(s->n_rows - 1, s->stride, &last) ||
        s->first + last >= s->matrix_stride || s->matrix_stride > available ||
        (!turned && o->n_sources == 1 && s->n_matrices > available / s->matrix_stride))
        return fail_shape(o, err);
    o->n_cols = in_cols;
    uint64_t *dims = o->tensor.dims;
    dims[0] = in_cols;
    dims[1] = s->n_rows;
    if (rule->transpose == HF_SLICE_TRANSPOSED) {
        dims[0] = o->n_cols = s->n_rows;
        dims[1] = in_cols;
    }
    dims[2] = s->n_matrices;
    dims[3] = 1;
    for (uint64_t r = 0; rule->row && r < s->n_rows; r++)
        if (rule->row(&import->config, r) >= s->n_rows) return fail_shape(o, err);
    for (uint64_t c = 0; rule->column && c < o->n_cols; c++)
        if (rule->column(&import->config, c) >= o->n_cols) return fail_shape(o, err);
    return HEARTH_OK;
}

/* Vectors lie in one row of values after all; then what the family wants. */
static void finish_dims(const struct hf_import *import, struct hf_output *o, bool vector) {
    uint64_t *dims = o->tensor.dims;
    if (vector) {
        dims[0] = dims[1];
        dims[1] = dims[2];
        dims[2] = 1;
    }
    if (o->rule->reshape) o->rule->reshape(&import->config, dims);
    o->tensor.n_dims = 1;
    for (unsigned i = 1; i < TENSOR_MAX_DIMS; i++)
        if (dims[i] != 1) o->tensor.n_dims = i + 1;
}

static hearth_status open_sources(struct hf_import *import, struct hf_output *o,
                                  const struct tensor **tensors, hearth_error *err) {
    o->sources = arena_calloc(&import->arena, o->n_sources, sizeof *o->sources);
    if (!o->sources) return no_memory(err);
    for (uint32_t i = 0; i < o->n_sources; i++) {
        struct hf_source *source = &o->sources[i];
        RETURN_IF_ERROR(hf_source_open(source, import, tensors[i], err));
        const struct hf_source *first = &o->sources[0];
        if (source->type != first->type || source->n_cols != first->n_cols ||
            source->n_rows != first->n_rows || (o->n_sources > 1 && source->n_matrices != 1))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensors '%s' and '%s' should have one shape and type",
                             first->tensor->name, tensors[i]->name);
    }
    return HEARTH_OK;
}

/* A bias or another list of values: rows of one value each, so that what moves rows of
 * a matrix moves these too. */
static bool is_vector(const struct hf_output *o) {
    return o->sources[0].tensor->n_dims == 1 || ends_with(o->rule->to, ".bias");
}

static void view_vector(struct hf_source *source) {
    source->n_matrices *= source->n_rows;
    source->n_rows = source->n_cols;
    source->n_cols = 1;
}

static hearth_status add_output(struct plan_state *s, size_t rule, uint32_t layer,
                                const struct tensor **tensors, hearth_error *err) {
    struct hf_import *import = s->import;
    struct hf_output *o = &import->outputs[import->n_outputs];
    char name[NAME_BYTES];
    *o = (struct hf_output){.rule = s->rules[rule],
                            .n_sources = is_stacked(s->rules[rule]) ? s->n_expert : 1};
    name_result(o->rule->to, layer, name);
    o->tensor.name = arena_strndup(&import->arena, name, strlen(name));
    if (!o->tensor.name) return no_memory(err);
    RETURN_IF_ERROR(open_sources(import, o, tensors, err));
    bool vector = is_vector(o) && !o->sources[0].packed && !o->sources[0].scaled;
    for (uint32_t i = 0; vector && i < o->n_sources; i++)
        view_vector(&o->sources[i]);
    RETURN_IF_ERROR(shape_output(import, o, err));
    if (o->sources[0].packed && (o->rule->column || o->rule->value || o->rule->transpose))
        return fail_shape(o, err);
    finish_dims(import, o, vector);
    o->floats = o->rule->f32 || o->rule->value || vector || o->tensor.n_dims == 1 ||
                ends_with(o->rule->to, "norm.weight");
    o->tensor.type = o->floats ? ELEM_F32 : o->sources[0].type;
    RETURN_IF_ERROR(tensor_check_shape(&o->tensor, err));
    import->n_outputs++;
    return HEARTH_OK;
}

static hearth_status fail_missing(struct plan_state *s, size_t rule, uint32_t layer,
                                  uint32_t expert, hearth_error *err) {
    const char *at = s->rules[rule]->from;
    char name[NAME_BYTES];
    size_t n = 0;
    for (; *at && n + 12 < sizeof name; at++)
        if (*at == '#' || *at == '@')
            n += (size_t)snprintf(name + n, sizeof name - n, "%u", *at == '#' ? layer : expert);
        else
            name[n++] = *at;
    name[n] = '\0';
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "tensor '%s' is missing from '%s': the folder is incomplete; 'hearth pull' "
                     "fetches it",
                     name, s->import->folder.path);
}

static hearth_status add_outputs(struct plan_state *s, bool in_layers, uint32_t layer,
                                 hearth_error *err) {
    for (size_t rule = 0; rule < s->n_rules; rule++) {
        bool layered = strchr(s->rules[rule]->from, '#') != NULL;
        if (layered != in_layers) continue;
        const struct tensor **tensors = *place(s, rule, layer);
        if (!tensors && s->rules[rule]->needed) return fail_missing(s, rule, layer, 0, err);
        if (!tensors) continue;
        for (uint32_t e = 0; is_stacked(s->rules[rule]) && e < s->n_expert; e++)
            if (!tensors[e]) return fail_missing(s, rule, layer, e, err);
        RETURN_IF_ERROR(add_output(s, rule, layer, tensors, err));
    }
    return HEARTH_OK;
}

static hearth_status plan(struct plan_state *s, hearth_error *err) {
    struct hf_import *import = s->import;
    const struct directory *dir = &import->folder.tensors;
    for (size_t i = 0; i < dir->n_tensors; i++)
        RETURN_IF_ERROR(place_tensor(s, &dir->tensors[i], err));
    size_t most = 0;
    for (size_t i = 0; i < s->n_rules * s->n_layer; i++)
        most += s->places[i] != NULL;
    import->outputs = mem_calloc(most + HF_MAX_EXTRA, sizeof *import->outputs);
    if (!import->outputs) return no_memory(err);
    RETURN_IF_ERROR(add_outputs(s, false, 0, err));
    for (uint32_t layer = 0; layer < s->n_layer; layer++)
        RETURN_IF_ERROR(add_outputs(s, true, layer, err));
    return HEARTH_OK;
}

hearth_status hf_plan_tensors(struct hf_import *import, hearth_error *err) {
    struct plan_state s = {.import = import,
                           .n_layer = import->config.n_layer,
                           .n_expert = import->config.experts.n_expert};
    s.n_rules = hf_family_rules(import->family, s.rules);
    s.places = mem_calloc(s.n_rules * s.n_layer, sizeof *s.places);
    if (!s.places) return no_memory(err);
    hearth_status status = plan(&s, err);
    mem_free(s.places);
    return status;
}

/* ---- rotary factors --------------------------------------------------------------- */

static hearth_status add_factors(struct hf_import *import, const char *name, const float *values,
                                 uint64_t n, hearth_error *err) {
    struct hf_output *o = &import->outputs[import->n_outputs];
    float *copy = arena_calloc(&import->arena, (size_t)n, sizeof *copy);
    if (!copy) return no_memory(err);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    *o = (struct hf_output){.tensor = {.name = name,
                                       .type = ELEM_F32,
                                       .n_dims = 1,
                                       .dims = {n, 1, 1, 1},
                                       .data = (const uint8_t *)copy}};
    RETURN_IF_ERROR(tensor_check_shape(&o->tensor, err));
    import->n_outputs++;
    return HEARTH_OK;
}

static double number_of(const json_t *object, const char *key, double otherwise) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* Llama 3.1's scaling: low frequencies slowed by `factor`, high ones kept, a ramp
 * between, by how often a pair turns within the original context. */
static hearth_status add_llama3(struct hf_import *import, const json_t *rope, hearth_error *err) {
    const struct rope_config *config = &import->config.rope;
    float factors[CONFIG_MAX_HEADS];
    uint64_t n = config->n_rot / 2;
    double factor = number_of(rope, "factor", 8), low = number_of(rope, "low_freq_factor", 1);
    double high = number_of(rope, "high_freq_factor", 4);
    double context = number_of(rope, "original_max_position_embeddings", 8192);
    if (n > CONFIG_MAX_HEADS || !(factor > 0) || !(high > low) || !(context > 0))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "config.json: impossible llama3 rope scaling: factor %g, low %g, high %g",
                         factor, low, high);
    for (uint64_t i = 0; i < n; i++) {
        double frequency = pow((double)config->base, -2.0 * (double)i / config->n_rot);
        double turns = context * frequency / 6.283185307179586;
        double smooth = (turns - low) / (high - low);
        if (turns < low)
            factors[i] = (float)factor;
        else if (turns > high)
            factors[i] = 1.0f;
        else
            factors[i] = (float)(1.0 / ((1.0 - smooth) / factor + smooth));
    }
    return add_factors(import, "rope_freqs.weight", factors, n, err);
}

static hearth_status add_list(struct hf_import *import, const char *name, const json_t *list,
                              hearth_error *err) {
    float factors[CONFIG_MAX_HEADS];
    size_t n = json_array_size(list);
    if (n == 0 || n != import->config.rope.n_rot / 2 || n > CONFIG_MAX_HEADS)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "config.json: %zu longrope factors for %u rotary pairs", n,
                         import->config.rope.n_rot / 2);
    for (size_t i = 0; i < n; i++) {
        double value = json_number_value(json_array_get(list, i));
        if (!(value > 0) || !(value < 1e30))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "config.json: longrope factor %zu is not a positive number", i);
        factors[i] = (float)value;
    }
    return add_factors(import, name, factors, n, err);
}

hearth_status hf_plan_rope_factors(struct hf_import *import, struct hf_config *c,
                                   hearth_error *err) {
    const json_t *rope = hf_rope(c);
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    if (!type) type = json_string_value(json_object_get(rope, "type"));
    if (!type) return HEARTH_OK;
    if (strcmp(type, "llama3") == 0) return add_llama3(import, rope, err);
    const json_t *longer = json_object_get(rope, "long_factor");
    const json_t *shorter = json_object_get(rope, "short_factor");
    if (!json_is_array(longer) || !json_is_array(shorter)) return HEARTH_OK;
    RETURN_IF_ERROR(add_list(import, "rope_factors_long.weight", longer, err));
    return add_list(import, "rope_factors_short.weight", shorter, err);
}
