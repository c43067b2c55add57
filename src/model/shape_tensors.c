/* The tensors of a shape under the names that GGUF gives them. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/shape.h"

enum { MAX_NAME = 64 };
#define MAX_NAMES_BYTES ((size_t)1 << 26)

static bool reserve(struct shape_tensors *list) {
    if (list->n_tensors < list->capacity) return true;
    size_t capacity = list->capacity ? 2 * list->capacity : 256;
    void *tensors = mem_realloc_array(list->tensors, capacity, sizeof *list->tensors);
    if (tensors) list->tensors = tensors;
    void *contents = mem_realloc_array(list->contents, capacity, sizeof *list->contents);
    if (contents) list->contents = contents;
    if (tensors && contents) list->capacity = capacity;
    return tensors && contents;
}

/* Adds [cols, rows, experts]; rows or experts 0: fewer dimensions. */
__attribute__((format(printf, 6, 7))) static void add(struct shape_tensors *list,
                                                      enum shape_content content, uint32_t cols,
                                                      uint32_t rows, uint32_t n_experts,
                                                      const char *format, ...) {
    char name[MAX_NAME];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (list->failed || !reserve(list)) {
        list->failed = true;
        return;
    }
    struct tensor *tensor = &list->tensors[list->n_tensors];
    *tensor = (struct tensor){.type = ELEM_F32,
                              .n_dims = n_experts ? 3
                                        : rows    ? 2
                                                  : 1,
                              .dims = {cols, rows ? rows : 1, n_experts ? n_experts : 1, 1}};
    tensor->name = arena_strndup(&list->arena, name, strlen(name));
    tensor->size_bytes = (uint64_t)4 * cols * (rows ? rows : 1) * (n_experts ? n_experts : 1);
    list->contents[list->n_tensors++] = content;
    if (!tensor->name) list->failed = true;
}

static void add_matrix(struct shape_tensors *list, uint32_t layer, const char *stem, uint32_t cols,
                       uint32_t rows, bool bias) {
    add(list, CONTENT_WEIGHT, cols, rows, 0, "blk.%u.%s.weight", layer, stem);
    if (bias) add(list, CONTENT_BIAS, rows, 0, 0, "blk.%u.%s.bias", layer, stem);
}

static void add_norm(struct shape_tensors *list, uint32_t layer, const char *stem, uint32_t n) {
    add(list, CONTENT_NORM, n, 0, 0, "blk.%u.%s.weight", layer, stem);
}

static void add_attention(struct shape_tensors *list, const struct shape *s, uint32_t layer) {
    uint32_t n_q = s->n_head * s->d_head, n_kv = s->n_head_kv * s->d_head;
    bool all_bias = s->traits & SHAPE_ALL_BIAS, bias = all_bias || (s->traits & SHAPE_QKV_BIAS);
    if (s->traits & SHAPE_FUSED) {
        add_matrix(list, layer, "attn_qkv", s->n_embd, n_q + 2 * n_kv, bias);
    } else {
        uint32_t gates = s->traits & SHAPE_GATED_HEADS ? 2 : 1;
        add_matrix(list, layer, "attn_q", s->n_embd, gates * n_q, bias);
        add_matrix(list, layer, "attn_k", s->n_embd, n_kv, bias);
        add_matrix(list, layer, "attn_v", s->n_embd, n_kv, bias);
    }
    add_matrix(list, layer, "attn_output", n_q, s->n_embd, all_bias);
    if (s->traits & (SHAPE_HEAD_NORM | SHAPE_WHOLE_NORM)) {
        bool whole = s->traits & SHAPE_WHOLE_NORM;
        add_norm(list, layer, "attn_q_norm", whole ? n_q : s->d_head);
        add_norm(list, layer, "attn_k_norm", whole ? n_kv : s->d_head);
    }
    if (s->traits & SHAPE_SINKS)
        add(list, CONTENT_SINKS, s->n_head, 0, 0, "blk.%u.attn_sinks.weight", layer);
}

static void add_mamba2(struct shape_tensors *list, const struct shape *s, uint32_t layer) {
    uint32_t inner = s->ssm.inner, heads = s->ssm.heads, groups = s->ssm.groups;
    uint32_t conv = inner + 2 * groups * s->ssm.state;
    add_matrix(list, layer, "ssm_in", s->n_embd, inner + conv + heads, false);
    add_matrix(list, layer, "ssm_conv1d", s->ssm.kernel, conv, true);
    add(list, CONTENT_STEP, heads, 0, 0, "blk.%u.ssm_dt.bias", layer);
    add(list, CONTENT_DECAY, 1, heads, 0, "blk.%u.ssm_a", layer);
    add(list, CONTENT_ONES, 1, heads, 0, "blk.%u.ssm_d", layer);
    add(list, CONTENT_NORM, inner / groups, groups, 0, "blk.%u.ssm_norm.weight", layer);
    add_matrix(list, layer, "ssm_out", inner, s->n_embd, false);
}

static void add_delta_net(struct shape_tensors *list, const struct shape *s, uint32_t layer) {
    uint32_t inner = s->ssm.inner, heads = s->ssm.heads;
    uint32_t conv = inner + 2 * s->ssm.groups * s->ssm.state;
    add_matrix(list, layer, "attn_qkv", s->n_embd, conv, false);
    add_matrix(list, layer, "attn_gate", s->n_embd, inner, false);
    add_matrix(list, layer, "ssm_conv1d", s->ssm.kernel, conv, false);
    add_matrix(list, layer, "ssm_alpha", s->n_embd, heads, false);
    add_matrix(list, layer, "ssm_beta", s->n_embd, heads, false);
    add(list, CONTENT_STEP, heads, 0, 0, "blk.%u.ssm_dt.bias", layer);
    add(list, CONTENT_DECAY, heads, 0, 0, "blk.%u.ssm_a", layer);
    add_norm(list, layer, "ssm_norm", inner / heads);
    add_matrix(list, layer, "ssm_out", inner, s->n_embd, false);
}

static void add_short_conv(struct shape_tensors *list, const struct shape *s, uint32_t layer) {
    add_matrix(list, layer, "shortconv.in_proj", s->n_embd, 3 * s->n_embd, false);
    add_matrix(list, layer, "shortconv.conv", s->short_conv_kernel, s->n_embd, false);
    add_matrix(list, layer, "shortconv.out_proj", s->n_embd, s->n_embd, false);
}

static void add_gated(struct shape_tensors *list, const struct shape *s, uint32_t layer,
                      const char *suffix, uint32_t n_ff) {
    char gate[32], up[32], down[32];
    snprintf(gate, sizeof gate, "ffn_gate%s", suffix);
    snprintf(up, sizeof up, "ffn_up%s", suffix);
    snprintf(down, sizeof down, "ffn_down%s", suffix);
    bool fused = s->traits & SHAPE_FUSED;
    if (!fused) add_matrix(list, layer, gate, s->n_embd, n_ff, false);
    add_matrix(list, layer, up, s->n_embd, fused ? 2 * n_ff : n_ff, false);
    add_matrix(list, layer, down, n_ff, s->n_embd, false);
}

static void add_experts(struct shape_tensors *list, const struct shape *s, uint32_t layer) {
    uint32_t n = s->experts.n, n_ff = s->experts.n_ff;
    bool bias = s->traits & SHAPE_ALL_BIAS;
    const struct {
        const char *stem;
        uint32_t cols, rows;
    } parts[] = {{"ffn_gate_exps", s->n_embd, n_ff},
                 {"ffn_up_exps", s->n_embd, n_ff},
                 {"ffn_down_exps", n_ff, s->n_embd}};
    add_matrix(list, layer, "ffn_gate_inp", s->n_embd, n, bias);
    for (int i = 0; i < 3; i++) {
        add(list, CONTENT_WEIGHT, parts[i].cols, parts[i].rows, n, "blk.%u.%s.weight", layer,
            parts[i].stem);
        if (bias)
            add(list, CONTENT_BIAS, parts[i].rows, n, 0, "blk.%u.%s.bias", layer, parts[i].stem);
    }
    if (s->experts.n_ff_shared) add_gated(list, s, layer, "_shexp", s->experts.n_ff_shared);
}

static void add_layer(struct shape_tensors *list, const struct shape *s, uint32_t layer) {
    add_norm(list, layer, "attn_norm", s->n_embd);
    switch (shape_layer_kind(s, layer)) {
    case SHAPE_ATTENTION: add_attention(list, s, layer); break;
    case SHAPE_MAMBA2: add_mamba2(list, s, layer); break;
    case SHAPE_DELTA_NET: add_delta_net(list, s, layer); break;
    case SHAPE_SHORT_CONV: add_short_conv(list, s, layer); break;
    }
    if (s->traits & (SHAPE_LATE_NORM | SHAPE_POST_NORMS))
        add_norm(list, layer, "post_attention_norm", s->n_embd);
    if (!(s->traits & SHAPE_LATE_NORM)) add_norm(list, layer, "ffn_norm", s->n_embd);
    if (s->experts.n)
        add_experts(list, s, layer);
    else
        add_gated(list, s, layer, "", s->n_ff);
    if (s->traits & SHAPE_POST_NORMS) add_norm(list, layer, "post_ffw_norm", s->n_embd);
}

hearth_status shape_tensors_init(struct shape_tensors *list, const struct shape *s,
                                 hearth_error *err) {
    uint32_t n_rot = s->n_rot ? s->n_rot : s->d_head;
    *list = (struct shape_tensors){0};
    arena_init(&list->arena, MAX_NAMES_BYTES);
    add(list, CONTENT_WEIGHT, s->n_embd, s->n_vocab, 0, "token_embd.weight");
    if (s->rope == SHAPE_ROPE_LLAMA3)
        add(list, CONTENT_ROPE_LLAMA3, n_rot / 2, 0, 0, "rope_freqs.weight");
    if (s->rope == SHAPE_ROPE_LONG) {
        add(list, CONTENT_ROPE_LONG, n_rot / 2, 0, 0, "rope_factors_long.weight");
        add(list, CONTENT_ROPE_SHORT, n_rot / 2, 0, 0, "rope_factors_short.weight");
    }
    for (uint32_t i = 0; i < s->n_layer; i++)
        add_layer(list, s, i);
    add(list, CONTENT_NORM, s->n_embd, 0, 0,
        s->short_conv_kernel ? "token_embd_norm.weight" : "output_norm.weight");
    if (!(s->traits & SHAPE_TIED))
        add(list, CONTENT_WEIGHT, s->n_embd, s->n_vocab, 0, "output.weight");
    return list->failed ? error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to list tensors")
                        : HEARTH_OK;
}

void shape_tensors_release(struct shape_tensors *list) {
    mem_free(list->tensors);
    mem_free(list->contents);
    arena_release(&list->arena);
}
