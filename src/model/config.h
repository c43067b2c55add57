/* config.h - what a family's recipe needs to know about a model, read once from its
 * metadata and immutable afterwards.
 *
 * Every layer is a mixer (something that looks across positions) and a
 * feed-forward part, each with its norms and a residual connection. A family sets
 * the fields in which it differs from a plain pre-norm transformer (arch_*.c). */
#ifndef HEARTH_MODEL_CONFIG_H
#define HEARTH_MODEL_CONFIG_H

#include "device/plan.h"
#include "format/metadata.h"

enum {
    CONFIG_MAX_LAYERS = 1024,
    CONFIG_MAX_WIDTH = 1 << 20,
    CONFIG_MAX_HEADS = 4096,
    CONFIG_MAX_EXPERTS = 4096
};

enum mixer_kind {
    MIXER_NONE,
    MIXER_ATTENTION,
    MIXER_LATENT_ATTENTION, /* MLA: keys and values from one compressed vector */
    MIXER_DELTA_NET,
    MIXER_MAMBA2,
    MIXER_SHORT_CONV
};

enum ffn_kind {
    FFN_NONE,
    FFN_GATED, /* down(act(gate x) * up x) */
    FFN_PLAIN, /* down(act(up x)) */
    FFN_EXPERTS,
    FFN_GATED_AND_EXPERTS /* both beside each other, each with its own norms (Gemma 4) */
};

enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LONGROPE
};

struct rope_config {
    float base, factor; /* factor: context extension, 1 = none */
    enum rope_scaling scaling;
    uint32_t n_rot, original_context;
    float beta_fast, beta_slow, magnitude; /* magnitude: of cos and sin, before YaRN's own */
    float log_multiplier;                  /* YaRN: mscale_all_dim; 0: absent */
    bool use_factors;                      /* divide by rope_freqs / rope_factors_* tensors */
};

struct layer_config {
    enum mixer_kind mixer;
    enum ffn_kind ffn;
    uint32_t n_head, n_head_kv, d_k, d_v;
    uint32_t window;   /* 0: sees everything */
    uint32_t kv_layer; /* whose cache holds its keys and values; normally its own */
    bool reads_kv;     /* makes none: attends to what kv_layer has written */
    bool rope;
    bool local_rope; /* takes config.rope_local */
};

struct expert_config {
    uint32_t n_expert, n_used, n_group, n_group_used;
    enum gating gating;
    bool normalise;
    float scale;
    bool gated_shared; /* shared expert weighed by sigmoid(ffn_gate_inp_shexp) */
};

#define NORM_WITHOUT_WEIGHT ""

struct config {
    const char *family;
    uint32_t n_layer, n_embd, n_vocab, n_ctx_train;
    uint32_t n_next; /* layers behind those that only predict further tokens; the first is used */
    struct layer_config *layers; /* [n_layer], and one more where n_next > 0; owned */

    enum norm_kind norm;
    float norm_eps;
    /* Tensor name stems of norms; NULL: that norm does not exist; NORM_WITHOUT_WEIGHT. */
    const char *mixer_norm, *mixer_post_norm, *ffn_norm, *ffn_post_norm;
    const char *output_norm;    /* stem of the last norm */
    const char *embedding_norm; /* stem of a norm right after the embedding, or NULL */
    bool norm_after_residual;   /* post norms apply to the sum (BERT) */
    bool parallel;              /* x + mixer(norm x) + feed_forward(norm x) */

    bool rope_neox;
    struct rope_config rope, rope_local;
    bool learned_positions;
    bool qk_norm;          /* attn_q_norm, attn_k_norm: per head or whole, by their size */
    bool qk_norm_last;     /* after the rotation */
    bool v_norm;           /* every head of V, without weight */
    bool v_may_be_k;       /* a layer without attn_v takes K, before its norm, for V */
    bool gated_attention;  /* attn_q gives q and a gate for every head */
    bool causal;           /* false: a text is computed in one batch, nothing is kept */
    float attention_scale; /* 0: 1 / sqrt(d_k) */
    float attention_softcap, logit_softcap;
    float temperature_scale; /* attention temperature growing with position; 0: none */
    uint32_t temperature_period;

    enum activation activation;
    struct expert_config experts;

    float embedding_scale, residual_scale, logit_scale; /* logits are multiplied */
    uint32_t n_layer_input;   /* width of the embedding each layer has for itself; 0: none */
    uint32_t kv_rank, q_rank; /* latent attention */
    struct {
        uint32_t n_head_k, n_head_v, d_k, d_v, conv_kernel;
        bool grouped; /* value heads of one key head are neighbours, else n_head_k apart */
    } delta;
    struct {
        uint32_t n_head, d_head, n_group, d_state, conv_kernel;
    } mamba;
    uint32_t short_conv_kernel;
    bool embeds; /* an encoder: its output is an embedding, there are no logits */
    bool ranks;  /* judges a pair of texts; its output is neither */
    enum pool_kind pool;
};

/* Reads metadata's general.architecture and everything else; errors name the key. */
hearth_status config_read(struct config *config, const struct metadata *metadata,
                          hearth_error *err);
/* Refuses numbers that are not finite and widths whose products are 0 or absurd. */
hearth_status config_check(const struct config *config, hearth_error *err);
void config_release(struct config *config);
bool config_is_recurrent(const struct config *config); /* any layer keeps a state */

/* For families. Keys are given without the architecture: "rope.freq_base". They
 * leave *out alone when the key is absent and return whether it was there. */
struct config_source {
    const struct metadata *metadata;
    const char *family;
};
bool config_u32(const struct config_source *source, const char *key, uint32_t *out);
bool config_f32(const struct config_source *source, const char *key, float *out);
bool config_flag(const struct config_source *source, const char *key, bool *out);
const struct meta_array *config_array(const struct config_source *source, const char *key);
/* Element `layer` of an array key, or the value of a scalar key. */
bool config_layer_u32(const struct config_source *source, const char *key, uint32_t layer,
                      uint32_t *out);

/* Marks layers as sliding-window: from the pattern key if present, else every layer
 * except each `period`-th (last of the period full). period 0: every layer. */
void config_set_windows(struct config *config, const struct config_source *source, uint32_t period);

#endif
