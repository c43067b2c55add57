#include "model/quant_recipe.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "kernels/quantize.h"

/* ---- recipes ------------------------------------------------------------------------ */

enum recipe_id {
    RECIPE_F32,
    RECIPE_F16,
    RECIPE_BF16,
    RECIPE_Q8_0,
    RECIPE_Q6_K,
    RECIPE_Q5_K_M,
    RECIPE_Q5_K_S,
    RECIPE_Q5_1,
    RECIPE_Q5_0,
    RECIPE_Q4_K_M,
    RECIPE_Q4_K_S,
    RECIPE_Q4_1,
    RECIPE_Q4_0,
    RECIPE_IQ4_NL,
    RECIPE_IQ4_XS,
    RECIPE_MXFP4,
    RECIPE_MXFP4_MOE,
    RECIPE_NVFP4,
    RECIPE_Q3_K_L,
    RECIPE_Q3_K_M,
    RECIPE_Q3_K_S,
    RECIPE_IQ3_M,
    RECIPE_IQ3_S,
    RECIPE_IQ3_XS,
    RECIPE_IQ3_XXS,
    RECIPE_Q2_K,
    RECIPE_Q2_K_S,
    RECIPE_IQ2_M,
    RECIPE_IQ2_S,
    RECIPE_IQ2_XS,
    RECIPE_IQ2_XXS,
    RECIPE_IQ1_M,
    RECIPE_IQ1_S,
    RECIPE_TQ2_0,
    RECIPE_TQ1_0,
    RECIPE_Q2_0,
    RECIPE_Q1_0,
    RECIPES
};

/* File types are numbered as llama.cpp's enum llama_ftype. */
static const struct quant_recipe recipes[RECIPES] = {
    [RECIPE_F32] = {"F32", ELEM_F32, 0, "32-bit floats, exact"},
    [RECIPE_F16] = {"F16", ELEM_F16, 1, "16-bit floats"},
    [RECIPE_BF16] = {"BF16", ELEM_BF16, 32, "16-bit floats of full range"},
    [RECIPE_Q8_0] = {"Q8_0", ELEM_Q8_0, 7, "8.5 bits, next to no loss"},
    [RECIPE_Q6_K] = {"Q6_K", ELEM_Q6_K, 18, "6.6 bits, very small loss"},
    [RECIPE_Q5_K_M] = {"Q5_K_M", ELEM_Q5_K, 17, "5.7 bits, small loss"},
    [RECIPE_Q5_K_S] = {"Q5_K_S", ELEM_Q5_K, 16, "5.5 bits"},
    [RECIPE_Q5_1] = {"Q5_1", ELEM_Q5_1, 9, "6 bits, older"},
    [RECIPE_Q5_0] = {"Q5_0", ELEM_Q5_0, 8, "5.5 bits, older"},
    [RECIPE_Q4_K_M] = {"Q4_K_M", ELEM_Q4_K, 15, "4.8 bits, the usual choice"},
    [RECIPE_Q4_K_S] = {"Q4_K_S", ELEM_Q4_K, 14, "4.6 bits"},
    [RECIPE_Q4_1] = {"Q4_1", ELEM_Q4_1, 3, "5 bits, older"},
    [RECIPE_Q4_0] = {"Q4_0", ELEM_Q4_0, 2, "4.5 bits, the fastest"},
    [RECIPE_IQ4_NL] = {"IQ4_NL", ELEM_IQ4_NL, 25, "4.5 bits, uneven levels"},
    [RECIPE_IQ4_XS] = {"IQ4_XS", ELEM_IQ4_XS, 30, "4.3 bits, uneven levels"},
    [RECIPE_MXFP4] = {"MXFP4", ELEM_MXFP4, 38, "4.3 bits, OCP microscaling floats"},
    [RECIPE_MXFP4_MOE] = {"MXFP4_MOE", ELEM_MXFP4, 38, "experts in MXFP4, the rest in Q8_0"},
    [RECIPE_NVFP4] = {"NVFP4", ELEM_NVFP4, 39, "4.5 bits, NVIDIA's floats"},
    [RECIPE_Q3_K_L] = {"Q3_K_L", ELEM_Q3_K, 13, "4.3 bits"},
    [RECIPE_Q3_K_M] = {"Q3_K_M", ELEM_Q3_K, 12, "3.9 bits, noticeable loss"},
    [RECIPE_Q3_K_S] = {"Q3_K_S", ELEM_Q3_K, 11, "3.5 bits"},
    [RECIPE_IQ3_M] = {"IQ3_M", ELEM_IQ3_S, 27, "3.7 bits, code book"},
    [RECIPE_IQ3_S] = {"IQ3_S", ELEM_IQ3_S, 26, "3.4 bits, code book"},
    [RECIPE_IQ3_XS] = {"IQ3_XS", ELEM_IQ3_S, 22, "3.3 bits, code book; needs importance"},
    [RECIPE_IQ3_XXS] = {"IQ3_XXS", ELEM_IQ3_XXS, 23, "3.1 bits, code book; needs importance"},
    [RECIPE_Q2_K] = {"Q2_K", ELEM_Q2_K, 10, "3.2 bits, large loss"},
    [RECIPE_Q2_K_S] = {"Q2_K_S", ELEM_Q2_K, 21, "2.9 bits, needs importance"},
    [RECIPE_IQ2_M] = {"IQ2_M", ELEM_IQ2_S, 29, "2.7 bits, code book; needs importance"},
    [RECIPE_IQ2_S] = {"IQ2_S", ELEM_IQ2_XS, 28, "2.5 bits, code book; needs importance"},
    [RECIPE_IQ2_XS] = {"IQ2_XS", ELEM_IQ2_XS, 20, "2.3 bits, code book; needs importance"},
    [RECIPE_IQ2_XXS] = {"IQ2_XXS", ELEM_IQ2_XXS, 19, "2.1 bits, code book; needs importance"},
    [RECIPE_IQ1_M] = {"IQ1_M", ELEM_IQ1_M, 31, "1.8 bits, code book; needs importance"},
    [RECIPE_IQ1_S] = {"IQ1_S", ELEM_IQ1_S, 24, "1.6 bits, code book; needs importance"},
    [RECIPE_TQ2_0] = {"TQ2_0", ELEM_TQ2_0, 37, "2.1 bits, for ternary models"},
    [RECIPE_TQ1_0] = {"TQ1_0", ELEM_TQ1_0, 36, "1.7 bits, for ternary models"},
    [RECIPE_Q2_0] = {"Q2_0", ELEM_Q2_0, 41, "2.3 bits, for ternary models"},
    [RECIPE_Q1_0] = {"Q1_0", ELEM_Q1_0, 40, "1.1 bits, for binary models"},
};

static const struct {
    const char *name;
    enum recipe_id id;
} aliases[] = {{"Q3_K", RECIPE_Q3_K_M}, {"Q4_K", RECIPE_Q4_K_M}, {"Q5_K", RECIPE_Q5_K_M}};
enum { N_ALIASES = sizeof aliases / sizeof aliases[0] };

size_t quant_recipe_count(void) {
    return RECIPES;
}

const struct quant_recipe *quant_recipe_at(size_t i) {
    return i < RECIPES ? &recipes[i] : NULL;
}

hearth_status quant_recipe_find(const struct quant_recipe **recipe, const char *name,
                                hearth_error *err) {
    const char *names[RECIPES];
    for (size_t i = 0; i < N_ALIASES; i++)
        if (strcasecmp(name, aliases[i].name) == 0) {
            *recipe = &recipes[aliases[i].id];
            return HEARTH_OK;
        }
    for (size_t i = 0; i < RECIPES; i++) {
        names[i] = recipes[i].name;
        if (strcasecmp(name, names[i]) != 0) continue;
        *recipe = &recipes[i];
        return HEARTH_OK;
    }
    const char *nearest = nearest_name(name, names, RECIPES);
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "no quantisation type '%.40s'; %s%s%s lists the types", name,
                     nearest ? "did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'? 'hearth quantize --help'" : "'hearth quantize --help'");
}

bool quant_recipe_needs_importance(const struct quant_recipe *recipe, const char *name,
                                   enum elem type) {
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "output.weight") == 0) return false;
    return quantize_needs_importance(type) || type == ELEM_IQ3_XXS ||
           (type == ELEM_Q2_K && recipe == &recipes[RECIPE_Q2_K_S]);
}

hearth_status quant_recipe_describe(const struct quant_recipe *recipe, struct metadata *m,
                                    hearth_error *err) {
    enum { QUANTIZATION_VERSION = 2 }; /* of the block formats, GGUF specification */
    RETURN_IF_ERROR(
        metadata_set_uint(m, "general.quantization_version", META_U32, QUANTIZATION_VERSION, err));
    return metadata_set_uint(m, "general.file_type", META_U32, recipe->file_type, err);
}

/* ---- what a tensor is ---------------------------------------------------------------- */

enum role {
    ROLE_OTHER,
    ROLE_EMBEDDING,
    ROLE_OUTPUT,
    ROLE_VALUES,
    ROLE_KEYS,
    ROLE_QUERIES,
    ROLE_MIXED, /* what attention found, back into the stream */
    ROLE_GATE_UP,
    ROLE_DOWN
};

static enum role role_of(const char *name) {
    static const struct {
        const char *part;
        enum role role;
    } parts[] = {{"attn_qkv.weight", ROLE_VALUES}, {"attn_kv_b.weight", ROLE_VALUES},
                 {"attn_v.weight", ROLE_VALUES},   {"attn_k.weight", ROLE_KEYS},
                 {"attn_q.weight", ROLE_QUERIES},  {"attn_output.weight", ROLE_MIXED},
                 {"ffn_up", ROLE_GATE_UP},         {"ffn_gate", ROLE_GATE_UP},
                 {"ffn_down", ROLE_DOWN}};
    if (strcmp(name, "output.weight") == 0) return ROLE_OUTPUT;
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "per_layer_token_embd.weight") == 0)
        return ROLE_EMBEDDING;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(name, parts[i].part)) return parts[i].role;
    return ROLE_OTHER;
}

static bool holds_weights(enum elem type) {
    return elem_table[type].block_values > 1 || type == ELEM_F32 || type == ELEM_F16 ||
           type == ELEM_BF16;
}

static bool is_quantizable(const struct tensor *tensor) {
    static const char *const kept[] = {"_norm.weight",
                                       "ffn_gate_inp.weight",
                                       "ffn_gate_tid2eid.weight",
                                       "altup",
                                       "laurel",
                                       "per_layer_model_proj",
                                       "position_embd",
                                       "token_types",
                                       "ssm_conv1d",
                                       "shortconv.conv.weight",
                                       "attn_rel_b.weight",
                                       "indexer.k_proj.weight",
                                       "indexer.q_proj.weight"};
    size_t length = strlen(tensor->name);
    if (!holds_weights(tensor->type) || length < 6 ||
        tensor->dims[1] * tensor->dims[2] * tensor->dims[3] == 1 ||
        strcmp(tensor->name + length - 6, "weight") != 0)
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strstr(tensor->name, kept[i])) return false;
    return true;
}

static long layer_of(const char *name) {
    return strncmp(name, "blk.", 4) == 0 ? strtol(name + 4, NULL, 10) : -1;
}

/* ---- the choice ------------------------------------------------------------------------ */

struct assignment {
    const struct quant_choice *choice;
    enum recipe_id recipe;
    uint64_t n_layer, n_expert, heads_per_kv;
    bool tied;
    long n_values, next_value, next_down;
};

static bool more_bits(long i, long n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static bool is_low(enum recipe_id recipe) {
    return recipe >= RECIPE_IQ2_M && recipe <= RECIPE_IQ1_S;
}

/* Type for an output matrix; a tied embedding is one. */
static enum elem output_type(const struct assignment *a, uint64_t n_cols) {
    enum elem base = a->choice->recipe->base;
    if (a->choice->output_type != ELEM_TYPES) return a->choice->output_type;
    if (a->recipe == RECIPE_MXFP4_MOE || a->recipe == RECIPE_MXFP4 || base == ELEM_Q8_0 ||
        n_cols % elem_table[base].block_values != 0)
        return ELEM_Q8_0;
    bool low = (is_low(a->recipe) || a->recipe == RECIPE_IQ3_XXS);
    return low ? ELEM_Q5_K : ELEM_Q6_K;
}

static enum elem embedding_type(const struct assignment *a) {
    enum elem base = a->choice->recipe->base;
    switch (a->recipe) {
    case RECIPE_MXFP4: return ELEM_Q8_0;
    case RECIPE_TQ1_0:
    case RECIPE_TQ2_0:
    case RECIPE_Q2_0: return ELEM_Q4_K;
    case RECIPE_IQ3_XXS:
    case RECIPE_IQ2_M:
    case RECIPE_IQ2_S: return ELEM_IQ3_S;
    case RECIPE_IQ2_XS:
    case RECIPE_IQ2_XXS:
    case RECIPE_IQ1_M:
    case RECIPE_IQ1_S: return ELEM_Q2_K;
    default: return base;
    }
}

static enum elem value_type_by_recipe(const struct assignment *a, long i) {
    enum elem type = a->choice->recipe->base;
    bool grouped = a->heads_per_kv >= 4;
    switch (a->recipe) {
    case RECIPE_Q2_K: return grouped ? ELEM_Q4_K : ELEM_Q3_K;
    case RECIPE_Q2_K_S:
    case RECIPE_IQ3_XS:
    case RECIPE_IQ3_S: return grouped ? ELEM_Q4_K : type;
    case RECIPE_IQ3_XXS:
        if (grouped) return ELEM_Q4_K;
        return a->choice->has_importance ? ELEM_IQ3_XXS : ELEM_IQ3_S;
    case RECIPE_IQ3_M: return ELEM_Q4_K;
    case RECIPE_Q3_K_M: return i < 2 ? ELEM_Q5_K : ELEM_Q4_K;
    case RECIPE_Q3_K_L: return ELEM_Q5_K;
    case RECIPE_IQ4_NL:
    case RECIPE_IQ4_XS: return grouped ? ELEM_Q5_K : type;
    case RECIPE_Q4_K_M:
    case RECIPE_Q5_K_M: return more_bits(i, a->n_values) ? ELEM_Q6_K : type;
    case RECIPE_Q4_K_S: return i < 4 ? ELEM_Q5_K : type;
    default: return type;
    }
}

static enum elem value_type(struct assignment *a) {
    enum elem type = value_type_by_recipe(a, a->next_value++);
    /* 70B models of 80 layers: their values are an eighth of the queries. */
    if (a->n_layer == 80 && a->heads_per_kv > 1 && (type == ELEM_Q3_K || type == ELEM_Q4_K))
        type = ELEM_Q5_K;
    return a->n_expert == 8 ? ELEM_Q8_0 : type;
}

static enum elem down_type(struct assignment *a, const char *name) {
    enum elem type = a->choice->recipe->base;
    long n = (long)a->n_layer, i = a->next_down++;
    if (a->n_expert > 1) i = layer_of(name);
    bool first = i < n / 8, importance = a->choice->has_importance;
    switch (a->recipe) {
    case RECIPE_Q2_K: return ELEM_Q3_K;
    case RECIPE_Q2_K_S: return first ? ELEM_Q4_K : type;
    case RECIPE_IQ3_XXS:
        if (importance) return type;
        return first ? ELEM_Q4_K : ELEM_Q3_K;
    case RECIPE_IQ3_M: return first || (a->n_expert == 8 && more_bits(i, n)) ? ELEM_Q4_K : type;
    case RECIPE_Q3_K_M: return i < n / 16 ? ELEM_Q5_K : ELEM_Q4_K;
    case RECIPE_Q3_K_L: return ELEM_Q5_K;
    case RECIPE_Q4_K_M:
    case RECIPE_Q5_K_M: return more_bits(i, n) ? ELEM_Q6_K : type;
    case RECIPE_IQ4_NL:
    case RECIPE_IQ4_XS: return first && !importance ? ELEM_Q5_K : type;
    case RECIPE_Q4_K_S: return first ? ELEM_Q5_K : type;
    case RECIPE_Q4_0: return first && importance ? ELEM_Q4_1 : type;
    case RECIPE_Q5_0: return first && importance ? ELEM_Q5_1 : type;
    default: return type;
    }
}

static enum elem attention_output_type(const struct assignment *a) {
    enum elem type = a->choice->recipe->base;
    bool eight = a->n_expert == 8;
    switch (a->recipe) {
    case RECIPE_Q2_K: return eight ? ELEM_Q5_K : ELEM_Q3_K;
    case RECIPE_Q3_K_M:
    case RECIPE_IQ3_M: return eight ? ELEM_Q5_K : ELEM_Q4_K;
    case RECIPE_IQ3_XXS: return eight ? ELEM_Q5_K : ELEM_IQ3_S;
    case RECIPE_Q3_K_L: return eight ? type : ELEM_Q5_K;
    case RECIPE_Q3_K_S:
    case RECIPE_IQ3_XS:
    case RECIPE_IQ3_S:
    case RECIPE_IQ4_NL:
    case RECIPE_IQ4_XS:
    case RECIPE_Q4_K_S:
    case RECIPE_Q4_K_M: return eight ? ELEM_Q5_K : type;
    default: return type;
    }
}

/* The recipes of about two bits and less. */
static enum elem low_type(struct assignment *a, enum role role) {
    enum elem type = a->choice->recipe->base;
    bool upper = a->recipe == RECIPE_IQ2_M || a->recipe == RECIPE_IQ2_S;
    bool one_bit = a->recipe == RECIPE_IQ1_M || a->recipe == RECIPE_IQ1_S;
    enum elem better = upper ? ELEM_IQ3_S : ELEM_Q2_K;
    switch (role) {
    case ROLE_VALUES:
        a->next_value++;
        return a->heads_per_kv >= 4 || a->n_expert >= 4 ? ELEM_Q4_K : better;
    case ROLE_KEYS: return a->n_expert == 8 ? ELEM_Q4_K : type;
    case ROLE_DOWN: return a->next_down++ < (long)a->n_layer / 8 ? better : type;
    case ROLE_MIXED:
        if (a->n_expert == 8) return ELEM_Q5_K;
        return one_bit ? ELEM_IQ2_XXS : upper ? ELEM_IQ3_S : type;
    default: return type;
    }
}

/* Queries, keys, gate and up: only two recipes treat them differently. */
static enum elem plain_type(struct assignment *a, const struct tensor *tensor, enum role role) {
    enum elem type = a->choice->recipe->base;
    long i = layer_of(tensor->name), n = (long)a->n_layer;
    if (role == ROLE_KEYS && a->n_expert == 8) return ELEM_Q8_0;
    if (role == ROLE_GATE_UP)
        return a->recipe == RECIPE_IQ3_XS && i >= n / 8 && i < 7 * n / 8 ? ELEM_IQ3_XXS : type;
    if (a->recipe == RECIPE_IQ3_XS) return ELEM_IQ3_XXS;
    return a->recipe == RECIPE_IQ3_XXS ? ELEM_IQ2_S : type;
}

static enum elem recipe_type(struct assignment *a, const struct tensor *tensor, enum role role) {
    if (role == ROLE_OUTPUT || (role == ROLE_EMBEDDING && a->tied))
        return output_type(a, tensor->dims[0]);
    if (a->recipe == RECIPE_MXFP4_MOE) return tensor->dims[2] > 1 ? ELEM_MXFP4 : ELEM_Q8_0;
    if (role == ROLE_EMBEDDING) return embedding_type(a);
    if (is_low(a->recipe)) return low_type(a, role);
    switch (role) {
    case ROLE_VALUES: return value_type(a);
    case ROLE_DOWN: return down_type(a, tensor->name);
    case ROLE_MIXED: return attention_output_type(a);
    case ROLE_QUERIES:
    case ROLE_KEYS:
    case ROLE_GATE_UP: return plain_type(a, tensor, role);
    default: return a->choice->recipe->base;
    }
}

enum elem quant_fallback(enum elem type, uint64_t n_cols) {
    if (n_cols % elem_table[type].block_values == 0) return type;
    switch (type) {
    case ELEM_IQ1_S:
    case ELEM_IQ1_M:
    case ELEM_IQ2_XXS:
    case ELEM_IQ2_XS:
    case ELEM_IQ2_S:
    case ELEM_IQ3_XXS:
    case ELEM_IQ3_S:
    case ELEM_IQ4_XS: type = ELEM_IQ4_NL; break;
    case ELEM_Q4_K: type = ELEM_Q5_0; break;
    case ELEM_Q5_K: type = ELEM_Q5_1; break;
    case ELEM_Q6_K: type = ELEM_Q8_0; break;
    case ELEM_NVFP4: type = ELEM_MXFP4; break;
    default: type = ELEM_Q4_0; break;
    }
    return n_cols % elem_table[type].block_values == 0 ? type : ELEM_F16;
}

static enum elem choose(struct assignment *a, const struct tensor *tensor, const regex_t *rules) {
    const struct quant_choice *choice = a->choice;
    enum role role = role_of(tensor->name);
    enum elem type = choice->recipe->base;
    if (!is_quantizable(tensor)) return tensor->type;
    if (role == ROLE_EMBEDDING && choice->embedding_type != ELEM_TYPES)
        return quant_fallback(choice->embedding_type, tensor->dims[0]);
    if (role == ROLE_OUTPUT && choice->output_type != ELEM_TYPES)
        return quant_fallback(choice->output_type, tensor->dims[0]);
    for (size_t i = 0; i < choice->n_rules; i++)
        if (regexec(&rules[i], tensor->name, 0, NULL, 0) == 0)
            return quant_fallback(choice->rules[i].type, tensor->dims[0]);
    if (!choice->pure && elem_table[type].block_values > 1) type = recipe_type(a, tensor, role);
    return quant_fallback(type, tensor->dims[0]);
}

/* ---- in order of the layers --------------------------------------------------------------- */

static int compare_tensors(const void *a, const void *b) {
    const struct tensor *s = *(const struct tensor *const *)a,
                        *t = *(const struct tensor *const *)b;
    long p = layer_of(s->name), q = layer_of(t->name);
    return p != q ? (p > q) - (p < q) : strcmp(s->name, t->name);
}

/* The family's key as a number, or the first element of it. */
static uint64_t family_number(const struct metadata *m, const char *key) {
    char name[256];
    uint64_t value = 0;
    struct text family = {"", 0};
    metadata_string(m, "general.architecture", &family);
    snprintf(name, sizeof name, "%.*s.%s", (int)(family.length < 100 ? family.length : 100),
             family.data, key);
    const struct meta_array *array = metadata_array(m, name);
    if (array) return meta_array_int(array, 0) > 0 ? (uint64_t)meta_array_int(array, 0) : 0;
    metadata_u64(m, name, &value);
    return value;
}

static hearth_status compile_rules(const struct quant_choice *choice, regex_t *compiled,
                                   size_t *n_compiled, hearth_error *err) {
    char reason[128];
    for (size_t i = 0; i < choice->n_rules; i++, ++*n_compiled) {
        int code =
            regcomp(&compiled[i], choice->rules[i].pattern, REG_EXTENDED | REG_NOSUB | REG_ICASE);
        if (code == 0) continue;
        regerror(code, &compiled[i], reason, sizeof reason);
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%.60s' is not a regular expression of tensor names: %s",
                         choice->rules[i].pattern, reason);
    }
    return HEARTH_OK;
}

static void assign_sorted(struct assignment *a, const struct tensor *tensors,
                          const struct tensor **sorted, size_t n_tensors, const regex_t *rules,
                          enum elem *types) {
    for (size_t i = 0; i < n_tensors; i++) {
        sorted[i] = &tensors[i];
        enum role role = role_of(tensors[i].name);
        if (role == ROLE_VALUES) a->n_values++;
        if (role == ROLE_OUTPUT) a->tied = false;
    }
    qsort(sorted, n_tensors, sizeof(struct tensor *), compare_tensors);
    for (size_t i = 0; i < n_tensors; i++)
        types[sorted[i] - tensors] = choose(a, sorted[i], rules);
}

hearth_status quant_recipe_assign(const struct quant_choice *choice, const struct metadata *m,
                                  const struct tensor *tensors, size_t n_tensors, enum elem *types,
                                  hearth_error *err) {
    uint64_t n_head = family_number(m, "attention.head_count");
    uint64_t n_head_kv = family_number(m, "attention.head_count_kv");
    struct assignment a = {.choice = choice,
                           .recipe = (enum recipe_id)(choice->recipe - recipes),
                           .n_layer = family_number(m, "block_count"),
                           .n_expert = family_number(m, "expert_count"),
                           .heads_per_kv = n_head_kv ? n_head / n_head_kv : 0,
                           .tied = true};
    if (a.n_layer > INT32_MAX)
        return error_set(err, HEARTH_ERROR_FORMAT, "%llu layers are too many",
                         (unsigned long long)a.n_layer);
    const struct tensor **sorted = mem_calloc(n_tensors, sizeof(struct tensor *));
    regex_t *rules = mem_calloc(choice->n_rules + 1, sizeof *rules);
    size_t n_compiled = 0;
    hearth_status status = HEARTH_OK;
    if (!sorted || !rules)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to plan %zu tensors", n_tensors);
    if (status == HEARTH_OK) status = compile_rules(choice, rules, &n_compiled, err);
    if (status == HEARTH_OK) assign_sorted(&a, tensors, sorted, n_tensors, rules, types);
    for (size_t i = 0; i < n_compiled; i++)
        regfree(&rules[i]);
    mem_free(rules);
    mem_free(sorted);
    return status;
}
