#include "reference_decoder.h"

#include <math.h>
#include <string.h>

#include "reference.h"

struct decoder {
    const struct directory *dir;
    const struct reference_family *f;
    size_t T, n, d;
    uint32_t n_head, n_layer;
    double eps;
    double *x; /* [T][n] */
};

static const double *part(const struct decoder *m, uint32_t layer, const char *stem,
                          const char *suffix) {
    return reference_tensor(m->dir, "blk.%u.%s.%s", layer, stem, suffix);
}

static void norm(const struct decoder *m, double *y, const double *x, const double *w,
                 const double *bias, size_t n) {
    if (m->f->layer_norm)
        reference_layer_norm(y, x, w, bias, n, m->eps);
    else
        reference_rms_norm(y, x, w, n, m->eps);
}

/* [T][n] -> [T][n] under the named norm of a layer. */
static void norm_rows(const struct decoder *m, uint32_t layer, const char *stem, const double *in,
                      double *out) {
    const double *w = m->f->no_norm_weight ? NULL : part(m, layer, stem, "weight");
    const double *bias = m->f->no_norm_weight ? NULL : part(m, layer, stem, "bias");
    for (size_t t = 0; t < m->T; t++)
        norm(m, out + t * m->n, in + t * m->n, w, bias, m->n);
}

static bool is_local(const struct decoder *m, uint32_t layer) {
    return m->f->window != 0 && (layer + 1) % m->f->period != 0;
}

static void norm_head(const struct decoder *m, const double *w, size_t head, double *x) {
    if (m->f->qk_norm == QK_NONE) return;
    norm(m, x, x, w + (m->f->qk_norm == QK_OWN ? head * m->d : 0), NULL, m->d);
}

/* Q, K or V with all that happens to their heads; rows of `fused` from `first` on. */
static double *heads(const struct decoder *m, uint32_t layer, const char *stem, size_t first,
                     uint32_t n_head, const double *in) {
    const struct reference_family *f = m->f;
    char norm_stem[32];
    size_t width = n_head * m->d;
    const double *w = part(m, layer, f->fused_qkv ? "attn_qkv" : stem, "weight");
    const double *bias = part(m, layer, f->fused_qkv ? "attn_qkv" : stem, "bias");
    if (f->fused_qkv) w += first * m->n;
    if (f->fused_qkv && bias) bias += first;
    snprintf(norm_stem, sizeof norm_stem, "%s_norm", stem);
    const double *norm_w = part(m, layer, norm_stem, "weight");
    bool is_value = strcmp(stem, "attn_v") == 0;
    bool turns = !f->global_unrotated || is_local(m, layer);
    double base = reference_f32(m->dir, "rope.freq_base", 10000);
    if (f->local_base > 0 && is_local(m, layer)) base = f->local_base;
    double *out = reference_alloc(m->T * width);
    for (size_t t = 0; t < m->T; t++) {
        reference_linear(out + t * width, in + t * m->n, w, bias, m->n, width);
        for (size_t h = 0; h < n_head && !is_value; h++) {
            double *head = out + t * width + h * m->d;
            if (!f->qk_norm_last) norm_head(m, norm_w, h, head);
            if (turns)
                reference_rotate(head, f->n_rot ? f->n_rot : (uint32_t)m->d, (uint32_t)t, base,
                                 NULL, f->halves);
            if (f->qk_norm_last) norm_head(m, norm_w, h, head);
        }
    }
    return out;
}

static void visible(const struct decoder *m, uint32_t layer, size_t t,
                    struct reference_attention *a) {
    size_t window = is_local(m, layer) ? m->f->window : 0, half = window / 2;
    a->begin = window && t + 1 > window ? t + 1 - window : 0;
    a->end = t + 1;
    if (!m->f->both_ways) return;
    a->begin = window && t > half ? t - half : 0;
    a->end = window && t + half + 1 < m->T ? t + half + 1 : m->T;
}

static void attention(const struct decoder *m, uint32_t layer, const double *in, double *out) {
    size_t d = m->d, n_q = m->n_head * d, n_kv = m->f->n_kv * d;
    const double *q = heads(m, layer, "attn_q", 0, m->n_head, in);
    const double *k = heads(m, layer, "attn_k", n_q, m->f->n_kv, in);
    const double *v = heads(m, layer, "attn_v", n_q + n_kv, m->f->n_kv, in);
    const double *w = part(m, layer, "attn_output", "weight");
    const double *bias = part(m, layer, "attn_output", "bias");
    double *mixed = reference_alloc(n_q);
    for (size_t t = 0; t < m->T; t++) {
        for (size_t h = 0; h < m->n_head; h++) {
            size_t at = h / (m->n_head / m->f->n_kv) * d;
            struct reference_attention a = {.k = k + at,
                                            .v = v + at,
                                            .k_stride = n_kv,
                                            .v_stride = n_kv,
                                            .d_k = d,
                                            .d_v = d,
                                            .scale = 1.0 / sqrt((double)d)};
            visible(m, layer, t, &a);
            reference_attend(mixed + h * d, q + t * n_q + h * d, &a);
        }
        reference_linear(out + t * m->n, mixed, w, bias, n_q, m->n);
    }
}

static double activate(const struct decoder *m, double x) {
    if (m->f->activation == GELU_TANH) return reference_gelu(x);
    return m->f->activation == GELU_ERF ? reference_gelu_erf(x) : reference_silu(x);
}

struct mlp {
    const double *gate, *up, *down, *up_bias, *down_bias; /* gate NULL: plain */
    size_t n_ff;
};

static void run_mlp(const struct decoder *m, const struct mlp *w, const double *in, double *out) {
    double *gate = reference_alloc(w->n_ff), *up = reference_alloc(w->n_ff);
    reference_linear(up, in, w->up, w->up_bias, m->n, w->n_ff);
    if (w->gate) reference_linear(gate, in, w->gate, NULL, m->n, w->n_ff);
    for (size_t i = 0; i < w->n_ff; i++)
        up[i] = w->gate ? activate(m, gate[i]) * up[i] : activate(m, up[i]);
    reference_linear(out, up, w->down, w->down_bias, w->n_ff, m->n);
}

static struct mlp dense_weights(const struct decoder *m, uint32_t layer) {
    struct mlp w = {.gate = part(m, layer, "ffn_gate", "weight"),
                    .up = part(m, layer, "ffn_up", "weight"),
                    .down = part(m, layer, "ffn_down", "weight"),
                    .up_bias = part(m, layer, "ffn_up", "bias"),
                    .down_bias = part(m, layer, "ffn_down", "bias"),
                    .n_ff = reference_u32(m->dir, "feed_forward_length", 0)};
    if (m->f->fused_ffn) { /* the gate's rows come first */
        w.gate = w.up;
        w.up += w.n_ff * m->n;
    }
    return w;
}

static void add_shared(const struct decoder *m, uint32_t layer, const double *in, double *out) {
    struct mlp w = {.gate = part(m, layer, "ffn_gate_shexp", "weight"),
                    .up = part(m, layer, "ffn_up_shexp", "weight"),
                    .down = part(m, layer, "ffn_down_shexp", "weight"),
                    .n_ff = reference_u32(m->dir, "expert_shared_feed_forward_length", 0)};
    double *one = reference_alloc(m->n), weight = 1.0;
    run_mlp(m, &w, in, one);
    if (m->f->gated_shared) {
        double score;
        reference_linear(&score, in, part(m, layer, "ffn_gate_inp_shexp", "weight"), NULL, m->n, 1);
        weight = 1.0 / (1.0 + exp(-score));
    }
    for (size_t i = 0; i < m->n; i++)
        out[i] += weight * one[i];
}

static void experts(const struct decoder *m, uint32_t layer, const double *in, double *out) {
    const struct reference_family *f = m->f;
    uint32_t n_used = reference_u32(m->dir, "expert_used_count", 0), chosen[64];
    size_t n_ff = reference_u32(m->dir, "expert_feed_forward_length", 0), size = n_ff * m->n;
    const double *gate = part(m, layer, "ffn_gate_exps", "weight");
    const double *up = part(m, layer, "ffn_up_exps", "weight");
    const double *down = part(m, layer, "ffn_down_exps", "weight");
    const double *bias = part(m, layer, "exp_probs_b", "bias");
    double *scores = reference_alloc(f->n_expert), *select = reference_alloc(f->n_expert);
    double *one = reference_alloc(m->n), sum = 0;
    reference_linear(scores, in, part(m, layer, "ffn_gate_inp", "weight"), NULL, m->n, f->n_expert);
    if (f->router == ROUTER_SOFTMAX) reference_softmax(scores, f->n_expert);
    for (uint32_t e = 0; e < f->n_expert; e++) {
        if (f->router == ROUTER_SIGMOID) scores[e] = 1.0 / (1.0 + exp(-scores[e]));
        select[e] = scores[e] + (bias ? bias[e] : 0);
    }
    for (uint32_t j = 0; j < n_used; j++) {
        chosen[j] = 0;
        for (uint32_t e = 1; e < f->n_expert; e++)
            if (select[e] > select[chosen[j]]) chosen[j] = e;
        select[chosen[j]] = -INFINITY;
        sum += scores[chosen[j]];
    }
    memset(out, 0, m->n * sizeof *out);
    for (uint32_t j = 0; j < n_used; j++) {
        size_t e = chosen[j];
        struct mlp w = {gate + e * size, up + e * size, down + e * size, NULL, NULL, n_ff};
        run_mlp(m, &w, in, one);
        double weight = scores[e] / (f->normalise ? sum : 1.0);
        if (f->expert_scale > 0) weight *= f->expert_scale;
        for (size_t i = 0; i < m->n; i++)
            out[i] += weight * one[i];
    }
    if (f->n_shared) add_shared(m, layer, in, out);
}

static void feed_forward(const struct decoder *m, uint32_t layer, const double *in, double *out) {
    uint32_t step = m->f->moe_step ? m->f->moe_step : 1;
    bool routed = m->f->n_expert && layer >= m->f->n_dense && (layer + 1) % step == 0;
    struct mlp w = dense_weights(m, layer);
    for (size_t t = 0; t < m->T; t++) {
        if (routed)
            experts(m, layer, in + t * m->n, out + t * m->n);
        else
            run_mlp(m, &w, in + t * m->n, out + t * m->n);
    }
}

static void add(const struct decoder *m, const double *y) {
    for (size_t i = 0; i < m->T * m->n; i++)
        m->x[i] += y[i];
}

static void decoder_layer(const struct decoder *m, uint32_t layer) {
    const struct reference_family *f = m->f;
    size_t size = m->T * m->n;
    double *in = reference_alloc(size), *mixed = reference_alloc(size),
           *fed = reference_alloc(size);
    memcpy(in, m->x, size * sizeof *in);
    if (f->mixer_norm) norm_rows(m, layer, f->mixer_norm, m->x, in);
    if (f->mixer_norm_2) {
        double *other = reference_alloc(size);
        norm_rows(m, layer, f->mixer_norm_2, m->x, other);
        attention(m, layer, other, mixed);
    } else
        attention(m, layer, in, mixed);
    if (f->parallel) {
        feed_forward(m, layer, in, fed);
        add(m, mixed);
        add(m, fed);
        return;
    }
    if (f->mixer_post) norm_rows(m, layer, f->mixer_post, mixed, mixed);
    add(m, mixed);
    memcpy(in, m->x, size * sizeof *in);
    if (f->ffn_norm) norm_rows(m, layer, f->ffn_norm, m->x, in);
    feed_forward(m, layer, in, fed);
    if (f->ffn_post) norm_rows(m, layer, f->ffn_post, fed, fed);
    add(m, fed);
}

static void logits_of(const struct decoder *m, const double *last, double *out) {
    uint32_t n_vocab = reference_u32(m->dir, "vocab_size", 0);
    const double *w =
        reference_tensor(m->dir, m->f->own_output ? "output.weight" : "token_embd.weight");
    const double *bias = reference_tensor(m->dir, "output.bias");
    double multiplier = m->f->logit_multiplier != 0 ? m->f->logit_multiplier : 1.0;
    for (size_t t = 0; t < m->T; t++) {
        reference_linear(out + t * n_vocab, last + t * m->n, w, bias, m->n, n_vocab);
        for (uint32_t i = 0; i < n_vocab; i++)
            out[t * n_vocab + i] *= multiplier;
    }
}

/* Mean over the rows, the two linear layers, length 1. */
static void embedding_of(const struct decoder *m, const double *last, double *out) {
    size_t n = m->n, middle = reference_u32(m->dir, "dense_2_feat_out", 0);
    double *wide = reference_alloc(middle), length = 0;
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < m->T * n; i++)
        out[i % n] += last[i] / (double)m->T;
    if (m->f->two_projections) {
        reference_linear(wide, out, reference_tensor(m->dir, "dense_2.weight"), NULL, n, middle);
        reference_linear(out, wide, reference_tensor(m->dir, "dense_3.weight"), NULL, middle, n);
    }
    for (size_t i = 0; i < n; i++)
        length += out[i] * out[i];
    for (size_t i = 0; i < n; i++)
        out[i] /= sqrt(length);
}

static struct decoder open_decoder(const struct directory *dir, const struct reference_family *f,
                                   size_t n_tokens) {
    struct decoder m = {.dir = dir, .f = f, .T = n_tokens};
    m.n = reference_u32(dir, "embedding_length", 0);
    m.n_head = reference_u32(dir, "attention.head_count", 0);
    m.d = reference_u32(dir, "attention.key_length", (uint32_t)m.n / m.n_head);
    m.n_layer = reference_u32(dir, "block_count", 0) - f->n_draft;
    m.eps = reference_f32(
        dir, f->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
        0);
    m.x = reference_alloc(n_tokens * m.n);
    return m;
}

/* The rows behind the last norm. */
static double *last_rows(const struct decoder *m, const int32_t *tokens) {
    const double *table = reference_tensor(m->dir, "token_embd.weight");
    for (size_t i = 0; i < m->T * m->n; i++)
        m->x[i] = table[(size_t)tokens[i / m->n] * m->n + i % m->n] *
                  (m->f->scaled_embedding ? sqrt((double)m->n) : 1.0);
    for (uint32_t layer = 0; layer < m->n_layer; layer++)
        decoder_layer(m, layer);
    double *last = reference_alloc(m->T * m->n);
    const double *w = reference_tensor(m->dir, "output_norm.weight");
    const double *bias = reference_tensor(m->dir, "output_norm.bias");
    for (size_t t = 0; t < m->T; t++)
        norm(m, last + t * m->n, m->x + t * m->n, w, bias, m->n);
    return last;
}

void reference_decoder(const struct directory *dir, const struct reference_family *f,
                       const int32_t *tokens, size_t n_tokens, double *out) {
    struct decoder m = open_decoder(dir, f, n_tokens);
    const double *last = last_rows(&m, tokens);
    if (f->both_ways)
        embedding_of(&m, last, out);
    else
        logits_of(&m, last, out);
    reference_release();
}

/* The head's normed rows for hidden rows [T] of the positions before. */
static void head_rows(const struct decoder *m, const int32_t *tokens, const double *hidden,
                      double *out) {
    const double *table = part(m, m->n_layer, "nextn.embed_tokens", "weight");
    const double *w = part(m, m->n_layer, "nextn.shared_head_norm", "weight");
    double *both = reference_alloc(2 * m->n);
    if (!table) table = reference_tensor(m->dir, "token_embd.weight");
    if (!w) w = reference_tensor(m->dir, "output_norm.weight");
    for (size_t t = 0; t < m->T; t++) {
        norm(m, both, table + (size_t)tokens[t] * m->n,
             part(m, m->n_layer, "nextn.enorm", "weight"), NULL, m->n);
        memset(both + m->n, 0, m->n * sizeof *both);
        if (t > 0)
            norm(m, both + m->n, hidden + (t - 1) * m->n,
                 part(m, m->n_layer, "nextn.hnorm", "weight"), NULL, m->n);
        reference_linear(m->x + t * m->n, both, part(m, m->n_layer, "nextn.eh_proj", "weight"),
                         NULL, 2 * m->n, m->n);
    }
    decoder_layer(m, m->n_layer);
    for (size_t t = 0; t < m->T; t++)
        norm(m, out + t * m->n, m->x + t * m->n, w, NULL, m->n);
}

void reference_next_token(const struct directory *dir, const struct reference_family *f,
                          const int32_t *tokens, size_t n_tokens, size_t own, double *out) {
    struct decoder m = open_decoder(dir, f, n_tokens);
    double *hidden = last_rows(&m, tokens), *rows = reference_alloc(n_tokens * m.n);
    for (m.T = own < n_tokens ? own + 1 : n_tokens; m.T <= n_tokens; m.T++) {
        head_rows(&m, tokens, hidden, rows);
        if (m.T > own) memcpy(hidden + (m.T - 1) * m.n, rows + (m.T - 1) * m.n, m.n * sizeof *rows);
    }
    m.T = n_tokens;
    uint32_t n_vocab = reference_u32(dir, "vocab_size", 0);
    const double *w = part(&m, m.n_layer, "nextn.shared_head_head", "weight");
    if (w)
        for (size_t t = 0; t < n_tokens; t++)
            reference_linear(out + t * n_vocab, rows + t * m.n, w, NULL, m.n, n_vocab);
    else
        logits_of(&m, rows, out);
    reference_release();
}
