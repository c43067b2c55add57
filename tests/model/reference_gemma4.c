#include "reference_gemma4.h"

#include <math.h>
#include <string.h>

#include "reference.h"

struct gemma4 {
    const struct directory *dir;
    const int32_t *tokens;
    size_t T, n; /* tokens, width */
    uint32_t n_layer, n_head, n_shared, n_each, window;
    double eps;
    double *x;            /* [T][n] */
    double *layer_inputs; /* [T][n_layer][n_each] */
    double **k, **v;      /* of every layer that makes them */
};

static bool is_sliding(const struct gemma4 *g, uint32_t layer) {
    return reference_u32_at(g->dir, "attention.sliding_window_pattern", layer, 0) != 0;
}

static uint32_t head_dim(const struct gemma4 *g, uint32_t layer) {
    return reference_u32(
        g->dir, is_sliding(g, layer) ? "attention.key_length_swa" : "attention.key_length", 0);
}

static const double *layer_tensor(const struct gemma4 *g, uint32_t layer, const char *name) {
    return reference_tensor(g->dir, "blk.%u.%s", layer, name);
}

/* embed_tokens (scaled), get_per_layer_inputs and project_per_layer_inputs. */
static void embed(struct gemma4 *g) {
    const double *table = reference_tensor(g->dir, "token_embd.weight");
    g->x = reference_alloc(g->T * g->n);
    for (size_t t = 0; t < g->T; t++)
        for (size_t i = 0; i < g->n; i++)
            g->x[t * g->n + i] = table[(size_t)g->tokens[t] * g->n + i] * sqrt((double)g->n);
    if (g->n_each == 0) return;
    size_t width = (size_t)g->n_layer * g->n_each;
    const double *own = reference_tensor(g->dir, "per_layer_token_embd.weight");
    const double *projection = reference_tensor(g->dir, "per_layer_model_proj.weight");
    const double *norm = reference_tensor(g->dir, "per_layer_proj_norm.weight");
    g->layer_inputs = reference_alloc(g->T * width);
    double *projected = reference_alloc(width);
    for (size_t t = 0; t < g->T; t++) {
        reference_linear(projected, g->x + t * g->n, projection, NULL, g->n, width);
        for (size_t i = 0; i < width; i++)
            projected[i] *= pow((double)g->n, -0.5);
        for (uint32_t l = 0; l < g->n_layer; l++) {
            double *part = projected + (size_t)l * g->n_each;
            reference_rms_norm(part, part, norm, g->n_each, g->eps);
        }
        for (size_t i = 0; i < width; i++) {
            double embedded = own[(size_t)g->tokens[t] * width + i] * sqrt((double)g->n_each);
            g->layer_inputs[t * width + i] = (projected[i] + embedded) * pow(2.0, -0.5);
        }
    }
}

/* "Proportional" rotation of global heads: rope_freqs holds 1 for the pairs that turn and
 * a huge number for those that stay; pairs are those of the whole head. */
static void rotate(const struct gemma4 *g, uint32_t layer, double *head, uint32_t position) {
    bool sliding = is_sliding(g, layer);
    const double *factors = sliding ? NULL : reference_tensor(g->dir, "rope_freqs.weight");
    double base = sliding ? reference_f32(g->dir, "rope.freq_base_swa", 10000)
                          : reference_f32(g->dir, "rope.freq_base", 1000000);
    reference_rotate(head, head_dim(g, layer), position, base, factors, true);
}

static void project_heads(const struct gemma4 *g, uint32_t layer, const double *in,
                          const char *weight, uint32_t n_head, double *out) {
    size_t width = (size_t)n_head * head_dim(g, layer);
    const double *w = layer_tensor(g, layer, weight);
    for (size_t t = 0; t < g->T; t++)
        reference_linear(out + t * width, in + t * g->n, w, NULL, g->n, width);
}

static void norm_heads(const struct gemma4 *g, uint32_t layer, const double *weight,
                       uint32_t n_head, double *x) {
    uint32_t d = head_dim(g, layer);
    for (size_t i = 0; i < g->T * n_head; i++)
        reference_rms_norm(x + i * d, x + i * d, weight, d, g->eps);
}

static void rotate_heads(const struct gemma4 *g, uint32_t layer, uint32_t n_head, double *x) {
    uint32_t d = head_dim(g, layer);
    for (size_t t = 0; t < g->T; t++)
        for (uint32_t h = 0; h < n_head; h++)
            rotate(g, layer, x + (t * n_head + h) * d, (uint32_t)t);
}

static void make_kv(struct gemma4 *g, uint32_t layer, const double *in, uint32_t n_kv) {
    size_t size = g->T * n_kv * head_dim(g, layer);
    g->k[layer] = reference_alloc(size);
    g->v[layer] = reference_alloc(size);
    project_heads(g, layer, in, "attn_k.weight", n_kv, g->k[layer]);
    if (layer_tensor(g, layer, "attn_v.weight"))
        project_heads(g, layer, in, "attn_v.weight", n_kv, g->v[layer]);
    else
        memcpy(g->v[layer], g->k[layer], size * sizeof(double));
    norm_heads(g, layer, layer_tensor(g, layer, "attn_k_norm.weight"), n_kv, g->k[layer]);
    rotate_heads(g, layer, n_kv, g->k[layer]);
    norm_heads(g, layer, NULL, n_kv, g->v[layer]);
}

/* The last layer of the same kind before the sharing ones. */
static uint32_t kv_source(const struct gemma4 *g, uint32_t layer) {
    uint32_t first = g->n_layer - g->n_shared, source = layer;
    if (layer < first) return layer;
    for (uint32_t i = 0; i < first; i++)
        if (is_sliding(g, i) == is_sliding(g, layer)) source = i;
    return source;
}

/* self_attn with scaling 1; [T][n] -> [T][n]. */
static double *attention(struct gemma4 *g, uint32_t layer, const double *in) {
    uint32_t d = head_dim(g, layer), from = kv_source(g, layer);
    uint32_t n_kv = reference_u32_at(g->dir, "attention.head_count_kv", layer, g->n_head);
    if (from == layer) make_kv(g, layer, in, n_kv);
    size_t width = (size_t)g->n_head * d;
    double *q = reference_alloc(g->T * width), *mixed = reference_alloc(width);
    double *out = reference_alloc(g->T * g->n);
    const double *w_out = layer_tensor(g, layer, "attn_output.weight");
    project_heads(g, layer, in, "attn_q.weight", g->n_head, q);
    norm_heads(g, layer, layer_tensor(g, layer, "attn_q_norm.weight"), g->n_head, q);
    rotate_heads(g, layer, g->n_head, q);
    for (size_t t = 0; t < g->T; t++) {
        bool cut = is_sliding(g, layer) && t + 1 > g->window;
        for (uint32_t h = 0; h < g->n_head; h++) {
            size_t at = (size_t)(h / (g->n_head / n_kv)) * d, stride = (size_t)n_kv * d;
            struct reference_attention a = {.k = g->k[from] + at,
                                            .v = g->v[from] + at,
                                            .k_stride = stride,
                                            .v_stride = stride,
                                            .d_k = d,
                                            .d_v = d,
                                            .begin = cut ? t + 1 - g->window : 0,
                                            .end = t + 1,
                                            .scale = 1.0};
            reference_attend(mixed + h * d, q + t * width + h * d, &a);
        }
        reference_linear(out + t * g->n, mixed, w_out, NULL, width, g->n);
    }
    return out;
}

/* down(gelu(gate x) * up x) for one row. */
static void mlp(double *out, const double *in, const double *gate, const double *up,
                const double *down, size_t n, size_t n_ff) {
    double *a = reference_alloc(n_ff), *b = reference_alloc(n_ff);
    reference_linear(a, in, gate, NULL, n, n_ff);
    reference_linear(b, in, up, NULL, n, n_ff);
    for (size_t i = 0; i < n_ff; i++)
        a[i] = reference_gelu(a[i]) * b[i];
    reference_linear(out, a, down, NULL, n_ff, n);
}

/* Gemma4TextRouter and Gemma4TextExperts for one row of the residual stream. */
static void experts(const struct gemma4 *g, uint32_t layer, const double *x, double *out) {
    uint32_t n_expert = reference_u32(g->dir, "expert_count", 0);
    uint32_t n_used = reference_u32(g->dir, "expert_used_count", 0);
    size_t n = g->n, n_ff = reference_u32(g->dir, "expert_feed_forward_length", 0);
    const double *scale = layer_tensor(g, layer, "ffn_gate_inp.scale");
    const double *per_expert = layer_tensor(g, layer, "ffn_down_exps.scale");
    const double *gate_up = layer_tensor(g, layer, "ffn_gate_up_exps.weight");
    const double *down = layer_tensor(g, layer, "ffn_down_exps.weight");
    double *routed = reference_alloc(n), *in = reference_alloc(n), *one = reference_alloc(n);
    double *scores = reference_alloc(n_expert);
    reference_rms_norm(routed, x, NULL, n, g->eps);
    for (size_t i = 0; i < n; i++)
        routed[i] *= scale[i] * pow((double)n, -0.5);
    reference_linear(scores, routed, layer_tensor(g, layer, "ffn_gate_inp.weight"), NULL, n,
                     n_expert);
    reference_softmax(scores, n_expert);
    reference_rms_norm(in, x, layer_tensor(g, layer, "pre_ffw_norm_2.weight"), n, g->eps);
    uint32_t chosen[64];
    double sum = 0;
    for (uint32_t j = 0; j < n_used; j++) {
        chosen[j] = 0;
        for (uint32_t e = 1; e < n_expert; e++) {
            bool taken = false;
            for (uint32_t i = 0; i < j; i++)
                taken = taken || chosen[i] == e;
            bool first_taken = false;
            for (uint32_t i = 0; i < j; i++)
                first_taken = first_taken || chosen[i] == chosen[j];
            if (!taken && (first_taken || scores[e] > scores[chosen[j]])) chosen[j] = e;
        }
        sum += scores[chosen[j]];
    }
    memset(out, 0, n * sizeof *out);
    for (uint32_t j = 0; j < n_used; j++) {
        size_t e = chosen[j];
        const double *gate = gate_up + e * 2 * n_ff * n;
        mlp(one, in, gate, gate + n_ff * n, down + e * n * n_ff, n, n_ff);
        for (size_t i = 0; i < n; i++)
            out[i] += one[i] * scores[e] / sum * per_expert[e];
    }
}

static void feed_forward(const struct gemma4 *g, uint32_t layer) {
    size_t n = g->n, n_ff = reference_u32_at(g->dir, "feed_forward_length", layer, 0);
    const double *gate = layer_tensor(g, layer, "ffn_gate.weight");
    const double *up = layer_tensor(g, layer, "ffn_up.weight");
    const double *down = layer_tensor(g, layer, "ffn_down.weight");
    const double *before = layer_tensor(g, layer, "ffn_norm.weight");
    const double *after = layer_tensor(g, layer, "post_ffw_norm.weight");
    double *in = reference_alloc(n), *out = reference_alloc(n), *moe = reference_alloc(n);
    for (size_t t = 0; t < g->T; t++) {
        double *x = g->x + t * n;
        reference_rms_norm(in, x, before, n, g->eps);
        mlp(out, in, gate, up, down, n, n_ff);
        if (reference_u32(g->dir, "expert_count", 0) > 0) {
            reference_rms_norm(out, out, layer_tensor(g, layer, "post_ffw_norm_1.weight"), n,
                               g->eps);
            experts(g, layer, x, moe);
            reference_rms_norm(moe, moe, layer_tensor(g, layer, "post_ffw_norm_2.weight"), n,
                               g->eps);
            for (size_t i = 0; i < n; i++)
                out[i] += moe[i];
        }
        reference_rms_norm(out, out, after, n, g->eps);
        for (size_t i = 0; i < n; i++)
            x[i] += out[i];
    }
}

static void take_layer_input(const struct gemma4 *g, uint32_t layer) {
    size_t n = g->n, n_each = g->n_each;
    const double *gate = layer_tensor(g, layer, "inp_gate.weight");
    const double *projection = layer_tensor(g, layer, "proj.weight");
    const double *norm = layer_tensor(g, layer, "post_norm.weight");
    double *a = reference_alloc(n_each), *out = reference_alloc(n);
    for (size_t t = 0; t < g->T; t++) {
        double *x = g->x + t * n;
        const double *own = g->layer_inputs + (t * g->n_layer + layer) * n_each;
        reference_linear(a, x, gate, NULL, n, n_each);
        for (size_t i = 0; i < n_each; i++)
            a[i] = reference_gelu(a[i]) * own[i];
        reference_linear(out, a, projection, NULL, n_each, n);
        reference_rms_norm(out, out, norm, n, g->eps);
        for (size_t i = 0; i < n; i++)
            x[i] += out[i];
    }
}

/* Gemma4TextDecoderLayer.forward */
static void decoder_layer(struct gemma4 *g, uint32_t layer) {
    size_t n = g->n;
    const double *before = layer_tensor(g, layer, "attn_norm.weight");
    const double *after = layer_tensor(g, layer, "post_attention_norm.weight");
    const double *scalar = layer_tensor(g, layer, "layer_output_scale.weight");
    double *in = reference_alloc(g->T * n);
    for (size_t t = 0; t < g->T; t++)
        reference_rms_norm(in + t * n, g->x + t * n, before, n, g->eps);
    double *mixed = attention(g, layer, in);
    for (size_t t = 0; t < g->T; t++) {
        reference_rms_norm(mixed + t * n, mixed + t * n, after, n, g->eps);
        for (size_t i = 0; i < n; i++)
            g->x[t * n + i] += mixed[t * n + i];
    }
    feed_forward(g, layer);
    if (g->n_each) take_layer_input(g, layer);
    for (size_t i = 0; scalar && i < g->T * n; i++)
        g->x[i] *= scalar[0];
}

void reference_gemma4(const struct directory *dir, const int32_t *tokens, size_t n_tokens,
                      double *logits) {
    struct gemma4 g = {.dir = dir, .tokens = tokens, .T = n_tokens};
    g.n = reference_u32(dir, "embedding_length", 0);
    g.n_layer = reference_u32(dir, "block_count", 0);
    g.n_head = reference_u32(dir, "attention.head_count", 0);
    g.n_shared = reference_u32(dir, "attention.shared_kv_layers", 0);
    g.n_each = reference_u32(dir, "embedding_length_per_layer_input", 0);
    g.window = reference_u32(dir, "attention.sliding_window", 0);
    g.eps = reference_f32(dir, "attention.layer_norm_rms_epsilon", 1e-6);
    uint32_t n_vocab = reference_u32(dir, "vocab_size", 0);
    double cap = reference_f32(dir, "final_logit_softcapping", 0);
    double *k[256] = {0}, *v[256] = {0}, *last = reference_alloc(g.n);
    g.k = k;
    g.v = v;
    embed(&g);
    for (uint32_t l = 0; l < g.n_layer; l++)
        decoder_layer(&g, l);
    const double *norm = reference_tensor(dir, "output_norm.weight");
    const double *table = reference_tensor(dir, "token_embd.weight"); /* tied */
    for (size_t t = 0; t < n_tokens; t++) {
        reference_rms_norm(last, g.x + t * g.n, norm, g.n, g.eps);
        reference_linear(logits + t * n_vocab, last, table, NULL, g.n, n_vocab);
        for (uint32_t i = 0; cap > 0 && i < n_vocab; i++)
            logits[t * n_vocab + i] = cap * tanh(logits[t * n_vocab + i] / cap);
    }
    reference_release();
}
