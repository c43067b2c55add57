/* shape.h - the measures of well-known models: everything about them but their
 * weights. From a shape follow a model's metadata and tensors, as converters to GGUF
 * write them, so that one can measure speed without a download (synth.h). */
#ifndef HEARTH_MODEL_SHAPE_H
#define HEARTH_MODEL_SHAPE_H

#include "format/directory.h"

enum shape_trait {
    SHAPE_TIED = 1 << 0,        /* the embedding is the output matrix too */
    SHAPE_QKV_BIAS = 1 << 1,    /* biases on Q, K and V */
    SHAPE_ALL_BIAS = 1 << 2,    /* on these, the attention output, router and experts */
    SHAPE_HEAD_NORM = 1 << 3,   /* norms on each head of Q and K */
    SHAPE_WHOLE_NORM = 1 << 4,  /* norms on the whole of Q and K */
    SHAPE_FUSED = 1 << 5,       /* Q, K, V in one matrix, gate and up in one */
    SHAPE_POST_NORMS = 1 << 6,  /* norms after mixer and feed-forward part too */
    SHAPE_LATE_NORM = 1 << 7,   /* the feed-forward norm is called post_attention_norm */
    SHAPE_SINKS = 1 << 8,       /* attention sinks */
    SHAPE_GATED_HEADS = 1 << 9, /* Q carries a gate for every head */
    SHAPE_NO_ROPE = 1 << 10
};

enum shape_rope {
    SHAPE_ROPE_PLAIN,
    SHAPE_ROPE_LINEAR,
    SHAPE_ROPE_LLAMA3, /* frequencies divided as a tensor says, made by Llama 3.1's formula */
    SHAPE_ROPE_YARN,
    SHAPE_ROPE_LONG /* one tensor for short, one for long contexts */
};

struct shape {
    const char *name, *family;
    uint32_t n_vocab, n_ctx, n_layer, n_embd, n_head, n_head_kv, d_head, n_ff;
    unsigned traits;
    float eps, rope_base;
    uint32_t n_rot; /* 0: d_head */
    enum shape_rope rope;
    float rope_factor;
    uint32_t rope_original; /* context before scaling */
    uint32_t window;        /* of the local layers; 0: none */
    float rope_base_local;
    struct {
        uint32_t n, n_used, n_ff, n_ff_shared;
    } experts;
    /* Layers that are not attention. `attention_layers`: bit i for layer i. */
    uint64_t attention_layers; /* 0: all */
    uint32_t attention_every;  /* or every n-th */
    struct {
        uint32_t inner, heads, groups, state, kernel;
    } ssm;                      /* Mamba-2, or delta net with attention_every */
    uint32_t short_conv_kernel; /* LFM2 */
    struct {
        float embedding, residual, attention, logit;
    } scales; /* Granite; 0: none */
};

size_t shape_count(void);
const struct shape *shape_at(size_t i);
/* Any letter case; an error that names the nearest one when there is none. */
hearth_status shape_find(const struct shape **shape, const char *name, hearth_error *err);
/* The same architecture, a few thousand times smaller, for tests. */
struct shape shape_tiny(const struct shape *shape);

enum shape_layer { SHAPE_ATTENTION, SHAPE_MAMBA2, SHAPE_DELTA_NET, SHAPE_SHORT_CONV };
enum shape_layer shape_layer_kind(const struct shape *shape, uint32_t layer);

/* What a tensor holds; decides which values are sane. */
enum shape_content {
    CONTENT_WEIGHT, /* a matrix: standard deviation 1 / sqrt(columns) */
    CONTENT_NORM,
    CONTENT_BIAS,
    CONTENT_ONES,
    CONTENT_DECAY, /* A < 0 of a state space */
    CONTENT_STEP,  /* bias of its step sizes */
    CONTENT_SINKS,
    CONTENT_ROPE_LLAMA3,
    CONTENT_ROPE_SHORT,
    CONTENT_ROPE_LONG
};

struct shape_tensors {
    struct tensor *tensors; /* type F32, without data; names and lists in the arena */
    enum shape_content *contents;
    size_t n_tensors, capacity;
    struct arena arena;
    bool failed;
};

/* Lists all tensors; shape_tensors_release in every case. */
hearth_status shape_tensors_init(struct shape_tensors *list, const struct shape *shape,
                                 hearth_error *err);
void shape_tensors_release(struct shape_tensors *list);
/* Sets the keys of the architecture, the shape's name as general.name. */
hearth_status shape_architecture(const struct shape *shape, struct metadata *m, hearth_error *err);
/* The same under a name that tells of random weights, and the keys of a vocabulary. */
hearth_status shape_metadata(const struct shape *shape, struct metadata *m, hearth_error *err);
/* A byte-level vocabulary of n_vocab tokens: the 256 bytes, a few merges, fillers, and
 * two control tokens at the end. n_vocab is at least SHAPE_LEAST_VOCAB. */
enum { SHAPE_LEAST_VOCAB = 320 };
hearth_status shape_vocabulary(uint32_t n_vocab, struct metadata *m, hearth_error *err);

#endif
