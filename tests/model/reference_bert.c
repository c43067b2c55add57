#include "reference_bert.h"

#include <math.h>
#include <string.h>

#include "reference.h"

struct bert {
    const struct directory *dir;
    size_t T, n;
    uint32_t n_head;
    double eps;
    double *x; /* [T][n] */
};

static bool is_family(const struct bert *b, const char *name) {
    struct text family = {"", 0};
    metadata_string(&b->dir->metadata, "general.architecture", &family);
    return text_equal(family, name);
}

static const double *part(const struct bert *b, uint32_t layer, const char *name) {
    return reference_tensor(b->dir, "blk.%u.%s", layer, name);
}

/* Token, segment 0 and (BERT) position, then LayerNorm. */
static void embed(struct bert *b, const int32_t *tokens) {
    const double *table = reference_tensor(b->dir, "token_embd.weight");
    const double *segments = reference_tensor(b->dir, "token_types.weight");
    const double *positions = reference_tensor(b->dir, "position_embd.weight");
    const double *w = reference_tensor(b->dir, "token_embd_norm.weight");
    const double *bias = reference_tensor(b->dir, "token_embd_norm.bias");
    b->x = reference_alloc(b->T * b->n);
    for (size_t t = 0; t < b->T; t++) {
        double *x = b->x + t * b->n;
        for (size_t i = 0; i < b->n; i++)
            x[i] = table[(size_t)tokens[t] * b->n + i] + (segments ? segments[i] : 0) +
                   (positions ? positions[t * b->n + i] : 0);
        reference_layer_norm(x, x, w, bias, b->n, b->eps);
    }
}

/* Q (which = 0), K or V of every row, from one fused matrix or three. */
static double *project(const struct bert *b, uint32_t layer, int which) {
    static const char *const names[] = {"attn_q", "attn_k", "attn_v"};
    size_t n = b->n;
    const double *w = part(b, layer, "attn_qkv.weight"), *bias = part(b, layer, "attn_qkv.bias");
    if (w) {
        w += (size_t)which * n * n;
        if (bias) bias += (size_t)which * n;
    } else {
        w = reference_tensor(b->dir, "blk.%u.%s.weight", layer, names[which]);
        bias = reference_tensor(b->dir, "blk.%u.%s.bias", layer, names[which]);
    }
    double *out = reference_alloc(b->T * n);
    for (size_t t = 0; t < b->T; t++)
        reference_linear(out + t * n, b->x + t * n, w, bias, n, n);
    if (which == 2 || is_family(b, "bert")) return out;
    size_t d = n / b->n_head;
    double base = reference_f32(b->dir, "rope.freq_base", 10000);
    for (size_t t = 0; t < b->T; t++)
        for (uint32_t h = 0; h < b->n_head; h++)
            reference_rotate(out + t * n + h * d, (uint32_t)d, (uint32_t)t, base, NULL, true);
    return out;
}

static void attention(const struct bert *b, uint32_t layer, double *out) {
    size_t n = b->n, d = n / b->n_head;
    const double *q = project(b, layer, 0), *k = project(b, layer, 1), *v = project(b, layer, 2);
    const double *w = part(b, layer, "attn_output.weight");
    const double *bias = part(b, layer, "attn_output.bias");
    double *mixed = reference_alloc(n);
    for (size_t t = 0; t < b->T; t++) {
        for (uint32_t h = 0; h < b->n_head; h++) {
            struct reference_attention a = {.k = k + h * d,
                                            .v = v + h * d,
                                            .k_stride = n,
                                            .v_stride = n,
                                            .d_k = d,
                                            .d_v = d,
                                            .end = b->T,
                                            .scale = 1.0 / sqrt((double)d)};
            reference_attend(mixed + h * d, q + t * n + h * d, &a);
        }
        reference_linear(out + t * n, mixed, w, bias, n, n);
    }
}

/* BERT: down(gelu(up x)); Nomic: down(silu(gate x) * up x), without biases. */
static void dense(const struct bert *b, uint32_t layer, const double *in, double *out) {
    size_t n = b->n, n_ff = reference_u32(b->dir, "feed_forward_length", 0);
    const double *gate_w = part(b, layer, "ffn_gate.weight");
    double *hidden = reference_alloc(n_ff), *gate = reference_alloc(n_ff);
    reference_linear(hidden, in, part(b, layer, "ffn_up.weight"), part(b, layer, "ffn_up.bias"), n,
                     n_ff);
    if (gate_w) reference_linear(gate, in, gate_w, NULL, n, n_ff);
    for (size_t i = 0; i < n_ff; i++)
        hidden[i] = gate_w ? reference_silu(gate[i]) * hidden[i] : reference_gelu_erf(hidden[i]);
    reference_linear(out, hidden, part(b, layer, "ffn_down.weight"),
                     part(b, layer, "ffn_down.bias"), n_ff, n);
}

/* Top-k of a softmax over all experts, weights not normalised again. */
static void experts(const struct bert *b, uint32_t layer, const double *in, double *out) {
    size_t n = b->n, n_ff = reference_u32(b->dir, "feed_forward_length", 0);
    uint32_t n_expert = reference_u32(b->dir, "expert_count", 0);
    const double *up = part(b, layer, "ffn_up_exps.weight");
    const double *down = part(b, layer, "ffn_down_exps.weight");
    double *scores = reference_alloc(n_expert), *hidden = reference_alloc(n_ff);
    double *one = reference_alloc(n);
    reference_linear(scores, in, part(b, layer, "ffn_gate_inp.weight"), NULL, n, n_expert);
    reference_softmax(scores, n_expert);
    memset(out, 0, n * sizeof *out);
    for (uint32_t j = 0; j < reference_u32(b->dir, "expert_used_count", 0); j++) {
        size_t best = 0;
        for (size_t e = 1; e < n_expert; e++)
            if (scores[e] > scores[best]) best = e;
        reference_linear(hidden, in, up + best * n * n_ff, NULL, n, n_ff);
        for (size_t i = 0; i < n_ff; i++)
            hidden[i] = reference_gelu_erf(hidden[i]);
        reference_linear(one, hidden, down + best * n * n_ff, NULL, n_ff, n);
        for (size_t i = 0; i < n; i++)
            out[i] += scores[best] * one[i];
        scores[best] = -1;
    }
}

static void add_and_norm(const struct bert *b, double *x, const double *add, uint32_t layer,
                         const char *norm) {
    const double *w = reference_tensor(b->dir, "blk.%u.%s.weight", layer, norm);
    const double *bias = reference_tensor(b->dir, "blk.%u.%s.bias", layer, norm);
    for (size_t i = 0; i < b->n; i++)
        x[i] += add[i];
    reference_layer_norm(x, x, w, bias, b->n, b->eps);
}

static void encoder_layer(struct bert *b, uint32_t layer) {
    size_t n = b->n;
    double *out = reference_alloc(b->T * n);
    bool routed = part(b, layer, "ffn_up_exps.weight") != NULL;
    attention(b, layer, out);
    for (size_t t = 0; t < b->T; t++) {
        double *x = b->x + t * n;
        add_and_norm(b, x, out + t * n, layer, "attn_output_norm");
        (routed ? experts : dense)(b, layer, x, out + t * n);
        add_and_norm(b, x, out + t * n, layer, "layer_output_norm");
    }
}

static void pool(const struct bert *b, double *embedding) {
    enum { MEAN = 1, FIRST = 2, LAST = 3 };
    uint32_t kind = reference_u32(b->dir, "pooling_type", MEAN);
    size_t first = kind == LAST ? b->T - 1 : 0, end = kind == FIRST ? 1 : b->T;
    double squares = 0;
    for (size_t i = 0; i < b->n; i++) {
        embedding[i] = 0;
        for (size_t t = first; t < end; t++)
            embedding[i] += b->x[t * b->n + i] / (double)(end - first);
        squares += embedding[i] * embedding[i];
    }
    for (size_t i = 0; i < b->n; i++)
        embedding[i] /= sqrt(squares);
}

void reference_bert(const struct directory *dir, const int32_t *tokens, size_t n_tokens,
                    double *embedding) {
    struct bert b = {.dir = dir, .T = n_tokens};
    b.n = reference_u32(dir, "embedding_length", 0);
    b.n_head = reference_u32(dir, "attention.head_count", 0);
    b.eps = reference_f32(dir, "attention.layer_norm_epsilon", 0);
    embed(&b, tokens);
    for (uint32_t l = 0; l < reference_u32(dir, "block_count", 0); l++)
        encoder_layer(&b, l);
    pool(&b, embedding);
    reference_release();
}
