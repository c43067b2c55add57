/* reference_decoder.h - decoders that vary the plain transformer, computed straight from a
 * table that says what each family's paper or published code does. */
#ifndef HEARTH_TESTS_MODEL_REFERENCE_DECODER_H
#define HEARTH_TESTS_MODEL_REFERENCE_DECODER_H

#include <stdbool.h>

#include "format/directory.h"

enum reference_activation { SILU, GELU_TANH, GELU_ERF };
enum reference_qk_norm { QK_NONE, QK_SHARED, QK_OWN /* each head has a weight of its own */ };
enum reference_router { ROUTER_SOFTMAX, ROUTER_SIGMOID };

struct reference_family {
    const char *title, *family;
    /* norms */
    bool layer_norm, norm_bias, no_norm_weight;
    const char *mixer_norm, *mixer_norm_2, *mixer_post, *ffn_norm, *ffn_post; /* NULL: none */
    bool parallel; /* x + attention(norm x) + ffn(norm x) */
    enum reference_qk_norm qk_norm;
    bool qk_norm_last; /* after the rotation */
    /* attention */
    bool fused_qkv, qkv_bias, out_bias;
    bool halves; /* rotary pairs (i, i + n_rot / 2) */
    uint32_t n_rot, n_kv;
    uint32_t window, period; /* every period-th layer sees everything */
    bool global_unrotated;   /* those are not rotated */
    bool both_ways;          /* no causal mask; the window is half to either side */
    double local_base;       /* rotary base of local layers; 0: the same */
    /* feed-forward */
    enum reference_activation activation;
    bool plain, fused_ffn, ffn_bias;
    uint32_t n_expert, n_dense, moe_step, n_shared;
    enum reference_router router;
    bool normalise, selection_bias, gated_shared;
    double expert_scale; /* 0: 1 */
    /* ends */
    bool scaled_embedding; /* by sqrt(n) */
    bool own_output, output_bias, two_projections;
    double logit_multiplier; /* 0: 1 */
    uint32_t n_layer;        /* 0: 4 */
    uint32_t n_draft;        /* further layers, which belong to the heads of other tokens */
};

/* Writes logits [n_tokens][n_vocab], or the mean embedding [n] with both_ways. */
void reference_decoder(const struct directory *dir, const struct reference_family *f,
                       const int32_t *tokens, size_t n_tokens, double *out);

/* What the head in the layer behind the others predicts after each token, given the model's
 * hidden rows before it; from token `own` on, its own (arXiv 2412.19437, section 2.2). */
void reference_next_token(const struct directory *dir, const struct reference_family *f,
                          const int32_t *tokens, size_t n_tokens, size_t own, double *out);

#endif
