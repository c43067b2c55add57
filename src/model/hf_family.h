/* hf_family.h - how Hugging Face folders write a family: its architecture names, the
 * keys of its config.json, the names of its tensors and what happens to their values
 * on the way to the GGUF layout that the recipe reads.
 *
 * Declared once for each family (at the end of its arch_*.c) and used by opening a
 * folder, by converting it and by PEFT adapters.
 *
 * Tensor names are matched after prefixes that only say where the text model sits
 * ("model.", "language_model.", "transformer." ...) are taken off. In a pattern '#'
 * stands for the layer and '@' for the number of an expert; a rule with '@' stacks the
 * matrices of all experts into one tensor.
 *
 * A rule's result is found backwards: row r of matrix m of the result is row
 * `row(r)` of the slice of matrix m of the source. */
#ifndef HEARTH_MODEL_HF_FAMILY_H
#define HEARTH_MODEL_HF_FAMILY_H

#include "format/hf_folder.h"
#include "model/config.h"

/* ---- config.json ------------------------------------------------------------ */

enum hf_key_type { HF_UINT, HF_FLOAT, HF_FLAG };

struct hf_key {
    const char *from; /* one name or several, separated by '|': the first that is there */
    const char *to;   /* metadata key without the architecture */
    enum hf_key_type type;
};

/* config.json on its way to metadata. The first failure sticks in `status`. */
struct hf_config {
    const json_t *root, *text; /* text: the part that describes the language model */
    const char *path;          /* of the folder, for messages */
    const char *family;        /* general.architecture */
    struct metadata *metadata;
    hearth_status status;
    hearth_error *err;
};

/* Reading: false when the key is absent or null; a value of another kind or out of
 * range fails. `key` as in struct hf_key. */
bool hf_get_u32(struct hf_config *c, const char *key, uint32_t *out);
bool hf_get_f64(struct hf_config *c, const char *key, double *out);
bool hf_get_flag(struct hf_config *c, const char *key, bool *out);
const char *hf_get_string(struct hf_config *c, const char *key); /* or NULL */
const json_t *hf_get_list(struct hf_config *c, const char *key); /* or NULL */
uint32_t hf_need_u32(struct hf_config *c, const char *key);
double hf_need_f64(struct hf_config *c, const char *key);
/* rope_parameters or rope_scaling, of full attention where there are two; or NULL. */
const json_t *hf_rope(const struct hf_config *c);

void hf_set_u32(struct hf_config *c, const char *key, uint32_t value);
void hf_set_f64(struct hf_config *c, const char *key, double value);
void hf_set_flag(struct hf_config *c, const char *key, bool value);
void hf_set_string(struct hf_config *c, const char *key, const char *value);
/* One value for each layer. */
void hf_set_layers(struct hf_config *c, const char *key, const uint32_t *values, uint32_t n_layer);
void hf_set_layer_flags(struct hf_config *c, const char *key, const bool *values, uint32_t n_layer);
bool hf_has_key(const struct hf_config *c, const char *key); /* set before? */
void hf_fail(struct hf_config *c, hearth_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Calls `kind_of` for the string of each layer in list `key` ("layer_types"). A list of
 * another length than the number of layers fails. False when the list is absent. */
bool hf_layer_kinds(struct hf_config *c, const char *key, const char *kind, bool *out,
                    uint32_t n_layer);

/* ---- tensors ------------------------------------------------------------------ */

/* Row r of matrix m lies in source row m * matrix_stride + first + r * stride. */
struct hf_slice {
    uint64_t n_matrices, n_rows, matrix_stride, first, stride;
};

enum hf_transpose {
    HF_AS_IS,
    HF_TRANSPOSED,      /* the source holds [in, out]; slice and row count after turning */
    HF_SLICE_TRANSPOSED /* each matrix of the slice is turned */
};

struct hf_rule {
    const char *from, *to;
    void (*slice)(const struct config *config, struct hf_slice *slice);
    uint64_t (*row)(const struct config *config, uint64_t row);
    uint64_t (*column)(const struct config *config, uint64_t column);
    float (*value)(float value); /* implies f32 */
    void (*reshape)(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]);
    enum hf_transpose transpose;
    bool f32;    /* read as plain floats: the result is F32 whatever the source is */
    bool needed; /* every layer has it */
};

/* A list of rules ends with from == NULL. */
enum { HF_MAX_GROUPS = 6 };

struct hf_family {
    const char *name;          /* the GGUF architecture */
    const char *architectures; /* separated by spaces */
    const char *model_types;   /* model_type, for folders without architectures */
    const struct hf_key *keys; /* besides the common ones; ends with from == NULL */
    const struct hf_rule *rules[HF_MAX_GROUPS];
    const char *ignored; /* patterns of tensors without use, separated by spaces */
    /* What tables cannot say; may be NULL. */
    void (*metadata)(struct hf_config *c);
    /* When one architecture stands for several families: whether it is this one. */
    bool (*is)(struct hf_config *c);
};

const struct hf_family *hf_family_of(struct hf_config *c); /* fails by name with the nearest */
const struct hf_family *hf_family_named(const char *name, bool has_experts); /* by GGUF name */

/* ---- shared by families -------------------------------------------------------- */

extern const struct hf_rule hf_embedding_rules[]; /* embed_tokens, norm, lm_head */
extern const struct hf_rule hf_norm_rules[];      /* input_layernorm, post_attention_layernorm */
extern const struct hf_rule hf_attention_rules[]; /* self_attn.{q,k,v,o}_proj, half-split RoPE */
extern const struct hf_rule hf_interleaved_attention_rules[]; /* interleaved pairs (llama) */
extern const struct hf_rule hf_qk_norm_rules[];               /* self_attn.{q,k}_norm */
extern const struct hf_rule hf_mlp_rules[];                   /* mlp.{gate,up,down}_proj */
extern const struct hf_rule hf_experts_rules[];               /* mlp.gate, mlp.experts.@ */
extern const struct hf_rule hf_mamba2_rules[];                /* mamba.* (granite) */

float hf_plus_one(float x);
float hf_minus_exp(float x);
uint64_t hf_rotary_row(const struct config *config, uint64_t row);
void hf_first_half(const struct config *config, struct hf_slice *slice);
void hf_second_half(const struct config *config, struct hf_slice *slice);
void hf_even_rows(const struct config *config, struct hf_slice *slice);
void hf_odd_rows(const struct config *config, struct hf_slice *slice);
void hf_squeeze(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]);
void hf_column_vector(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]);
void hf_mamba_groups(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]);

/* Attention sees both ways; pooling as sentence-transformers declares it. */
void hf_encoder_metadata(struct hf_config *c);

#define HF_FAMILY(family) extern const struct hf_family family##_hf
HF_FAMILY(bert);
HF_FAMILY(deepseek2);
HF_FAMILY(gemma2);
HF_FAMILY(gemma3);
HF_FAMILY(gpt2);
HF_FAMILY(gpt_oss);
HF_FAMILY(granite);
HF_FAMILY(granite_moe);
HF_FAMILY(granite_hybrid);
HF_FAMILY(granite_hybrid_moe);
HF_FAMILY(lfm2);
HF_FAMILY(lfm2_moe);
HF_FAMILY(llama);
HF_FAMILY(minicpm);
HF_FAMILY(mistral3);
HF_FAMILY(nemotron_h);
HF_FAMILY(nemotron_h_moe);
HF_FAMILY(nomic_bert);
HF_FAMILY(olmo2);
HF_FAMILY(olmoe);
HF_FAMILY(phi3);
HF_FAMILY(qwen2);
HF_FAMILY(qwen3);
HF_FAMILY(qwen3_moe);
HF_FAMILY(qwen35);
HF_FAMILY(qwen35_moe);
HF_FAMILY(smollm3);

#endif
