/* plan.h - the operations a recipe is lowered into, and the batch they run over.
 *
 * Activations are float32 rows: a view is (buffer, first column, row stride), one
 * row per batch row. "T" is the number of rows of the running batch. Shapes in the
 * comments are [T, width]. Element-wise operations may write where they read. Where a row
 * t goes to k experts, each pair (t, j) has a row of its own, its place, among the T k rows
 * between expert operations; the device chooses the places. */
#ifndef HEARTH_DEVICE_PLAN_H
#define HEARTH_DEVICE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/elem.h"

typedef uint32_t device_buffer; /* 0: none */

struct view {
    device_buffer buffer;
    uint32_t offset, stride; /* in floats */
};

/* A weight matrix [experts][rows][cols] as stored in the file. */
struct weight {
    device_buffer buffer;
    enum elem type;
    uint32_t cols, rows, n_experts;
};

enum op_kind {
    OP_EMBED,          /* out[t] = scale * row(index[t]) of w */
    OP_LINEAR,         /* out = in . w^T + bias [+ out if accumulate] */
    OP_HEAD_LINEAR,    /* per head h: out_h = in_h . w[h]^T */
    OP_NORM,           /* groups of `width` values, n_groups a row */
    OP_ROPE,           /* out = in at its rotary positions; in2 = their OP_ROPE_TABLE, if given */
    OP_POSITION_SCALE, /* out[t] = in[t] (1 + a log(1 + floor(pos / period))) */
    OP_KV_WRITE,       /* in = k [T, n_kv d_k], in2 = v [T, n_kv d_v] -> cache */
    OP_KV_PREVIOUS,    /* out = k of the position before, from the cache; 0 before the first */
    OP_ATTENTION,      /* in = q [T, n_head d_k] -> out [T, n_head d_v] */
    OP_ADD,            /* out = in + scale * in2 */
    OP_SCALE,          /* out = scale * in */
    OP_ADD_ROW,        /* out = in + vector w */
    OP_MUL_ROW,        /* out = in * vector w */
    OP_ACTIVATE,       /* out = act(in) */
    OP_GATED,          /* out = act(in) * in2 */
    OP_SOFTCAP,        /* out = cap tanh(in / cap) */
    OP_COPY,           /* out = in; n_groups groups of width, group strides may differ */
    OP_GATHER_ROWS,    /* out[i] = in[output_rows[i]] */
    OP_EXPERT_ROUTE,   /* in = router logits [T, n_expert] -> expert choice of the rows; out, if
                          given: the weights of the chosen [T, n_used] */
    OP_EXPERT_LINEAR,  /* out[place of (t, j)] = w[expert j of t] . in[t or that place] */
    OP_EXPERT_SUM,     /* out[t] = sum_j weight[t, j] in[place of (t, j)] */
    OP_CONV,           /* causal depthwise convolution over time, with state */
    OP_DELTA_NET,      /* gated delta rule, with state */
    OP_MAMBA2,         /* selective state space scan, with state */
    OP_POOL_ROWS,      /* out[run] = mean of its rows, or its first or last row */

    /* Of training. A gradient "dy" is that of the loss by y. Those of weights are added to
     * what is there; all others are written. */
    OP_LINEAR_TRAIN,       /* as OP_LINEAR, in the arithmetic of training */
    OP_LINEAR_BACK_INPUT,  /* in = dy: out = scale in . w [+ out if accumulate] */
    OP_LINEAR_BACK_WEIGHT, /* in = dy, in2 = x: out [rows, cols] += scale in^T . in2 */
    OP_COLUMN_SUM,         /* out [width] += sum over rows and groups of in [* in2] */
    OP_EMBED_BACK,         /* in = dy: row(index[t]) of out += scale * in[t] */
    OP_NORM_BACK, /* in = x, in2 = dy: out = dx, out2 = [T, n_groups] (mean, 1 / deviation) */
    OP_NORM_BACK_WEIGHT,    /* in = x, in2 = dy, in3 = OP_NORM_BACK's out2: out += dw */
    OP_ACTIVATE_BACK,       /* in = x, in2 = dy: out = dx */
    OP_GATED_BACK,          /* in = gate, in2 = up, in3 = dy: out = dgate, out2 = dup */
    OP_SOFTCAP_BACK,        /* in = x, in2 = dy: out = dx */
    OP_COPY_BACK,           /* in = dy: out = dx; strides and groups of the copy */
    OP_CONV_BACK,           /* in = x, in2 = dy: out = dx, out2 += dw, out3 += dbias if given */
    OP_ATTENTION_TRAIN,     /* in = q, in2 = k, in3 = v of the same batch -> out, and out2 =
                               [T, n_head] log of the sum of exponentials */
    OP_ATTENTION_BACK,      /* in = q, in2 = k, in3 = v, in4 = the output, in5 = its out2,
                               in6 = dy: out = dq, out2 = dk, out3 = dv */
    OP_EXPERT_SPREAD,       /* out[place of (t, j)] = in[t] */
    OP_EXPERT_SPREAD_BACK,  /* in = dy: out[t] = sum_j in[place of (t, j)] */
    OP_EXPERT_LINEAR_TRAIN, /* out[place] = w[its expert] . in[place] + bias */
    OP_EXPERT_LINEAR_BACK_INPUT,  /* in = dy: out[place] = in[place] . w[its expert] */
    OP_EXPERT_LINEAR_BACK_WEIGHT, /* in = dy, in2 = x: out[expert] += sum over its places of
                                     in^T . in2, if given; out2[expert] += sum of in, if given */
    OP_EXPERT_SUM_BACK,   /* in = x, in2 = dy: out = dx, out2 = [T, n_used] of the weights */
    OP_EXPERT_ROUTE_BACK, /* in = logits, in2 = d of the weights: out = d logits */
    OP_DELTA_NET_BACK,    /* as OP_DELTA_NET, in6 = dy: out to out5 = d in to d in5 */
    OP_MAMBA2_BACK,       /* as OP_MAMBA2, in5 = dy: out = dx; out2 and out3 = dB and dC,
                             [T, mamba2_parts n_group d_state], to be added up over the parts;
                             out4 = d dt; [T, n_head] whose sums over rows are d D for out6, and
                             d A for out5 times dt */
    OP_CROSS_ENTROPY,     /* in = hidden rows, w = output matrix, targets of the batch ->
                             their losses; out = d in, out2 += d w, out3 += d bias if given */
    OP_CLEAR,             /* out = 0 */
    OP_DROPOUT,           /* out = in, `probability` of it 0 and the rest scaled up to make up for
                             that; its own gradient */
    OP_NOISE,             /* out = in + scale u / sqrt(rows of the run), u uniform in +-1 */
    OP_ROPE_TABLE,        /* out [T, n_rot] = cos, then sin, of the rows' rotary positions */
    OP_KINDS
};

enum op_rows {
    ROWS_ALL,   /* every row of the batch */
    ROWS_OUTPUT /* the rows that were gathered for output */
};

enum activation {
    ACTIVATION_NONE,
    ACTIVATION_SILU,
    ACTIVATION_GELU,     /* tanh form */
    ACTIVATION_GELU_ERF, /* exact */
    ACTIVATION_RELU,
    ACTIVATION_RELU2, /* relu squared */
    ACTIVATION_SIGMOID,
    ACTIVATION_SOFTPLUS,
    ACTIVATION_TANH,
    ACTIVATION_SWIGLU_OAI /* clamped: g sigmoid(alpha g) (u + 1), limits 7, alpha 1.702 */
};

enum norm_kind { NORM_RMS, NORM_LAYER, NORM_L2 };
enum embed_index { EMBED_TOKEN, EMBED_POSITION };
enum pool_kind { POOL_MEAN, POOL_FIRST, POOL_LAST };

enum gating { GATING_SOFTMAX, GATING_SIGMOID, GATING_SOFTMAX_OF_CHOSEN };

/* How the cache of one layer is laid out: pages of page_tokens positions in groups, each group
 * group_bytes after the one before and [page in group][kv head][position in page][d], K and V
 * apart. */
struct kv_layout {
    device_buffer k, v;
    uint64_t group_bytes;
    enum elem k_type, v_type;
    uint32_t n_head_kv, d_k, d_v, page_tokens, group_pages;
    bool v_in_k; /* V is the first d_v values of K (latent attention) */
};

#define NO_LAYER UINT32_MAX

enum { PLAN_MAX_ADAPTERS = 64, RUN_MAX_ADAPTERS = 16 };

struct op {
    enum op_kind kind;
    enum op_rows rows;
    uint32_t row_factor; /* operates on rows x factor; 0 means 1 */
    uint32_t layer;      /* of the model, that it is part of; NO_LAYER */
    /* Part of a low-rank adapter, 1 .. PLAN_MAX_ADAPTERS: only over rows whose runs use it, and
     * nothing where none does. 0: over all rows. OP_LINEAR and OP_MUL_ROW over ROWS_ALL. */
    uint32_t adapter;
    struct view in, in2, in3, in4, in5, in6, out, out2, out3, out4, out5, out6;
    struct weight w;
    struct weight bias; /* float vector [rows]; buffer 0: none */
    uint32_t width;     /* values a row, or a group */
    float scale;
    enum activation activation;
    union {
        struct {
            enum embed_index index;
            uint32_t offset; /* added to a position index */
        } embed;
        struct {
            /* Of an adapter: scaled by the run's strength / w.cols (its rank); `scale` is that of
             * a run that uses it as strongly as it was lowered. */
            bool accumulate;
            bool exact; /* of training: float32 products, else bfloat16 where the level has it */
        } linear;
        struct {
            uint32_t n_head, in_stride, out_stride; /* per head */
        } head_linear;
        struct {
            enum norm_kind kind;
            uint32_t n_groups;
            float eps;
        } norm;
        struct {
            uint32_t n_head, head_dim, n_rot; /* n_rot first values of a head turn */
            bool neox;                        /* pairs (i, i + n_rot/2), else (2i, 2i+1) */
            bool inverse;                     /* turns back */
            float magnitude;                  /* of cos and sin */
            device_buffer inverse_frequency;  /* float [n_rot / 2] */
        } rope;
        struct {
            uint32_t period;
        } position_scale;
        struct {
            struct kv_layout layout;
            uint32_t n_head, window; /* 0: all; half to either side if not causal */
            float softcap;           /* 0: none */
            bool causal;
            bool exact; /* of training, as in `linear` */
        } attention;    /* also KV_WRITE, KV_PREVIOUS (F32, F16); sinks: w, float [n_head] */
        struct {
            uint32_t n_groups, in_stride, out_stride;
        } copy;
        struct {
            float cap;
        } softcap;
        struct {
            uint32_t n_expert, n_used, n_group, n_group_used;
            enum gating gating;
            bool normalise; /* chosen weights sum to 1, then times `scale` */
        } route;            /* selection bias: `bias`; factors of the experts' weights: `w` */
        struct {
            uint32_t n_used;
            bool per_expert_rows; /* in has T k rows instead of T */
            bool exact;           /* of training, as in `linear` */
        } expert;
        struct {
            uint32_t kernel;     /* taps */
            device_buffer state; /* [slots][kernel - 1][width] floats */
        } conv;                  /* w: float [width][kernel], bias: float [width] */
        struct {
            uint32_t n_head_k, n_head_v, d_k, d_v;
            bool grouped;        /* value heads of one key head are neighbours */
            device_buffer state; /* [slots][n_head_v d_k d_v] floats in an order of the device */
        } delta; /* in q, in2 k, in3 v, in4 log decay [T, n_head_v], in5 beta [T, n_head_v];
                    value head h reads key head h % n_head_k, or h / (n_head_v / n_head_k); q is
                    scaled by `scale` */
        struct {
            uint32_t n_head, d_head, n_group, d_state;
            device_buffer state; /* [slots][n_head d_head d_state], likewise */
        } mamba2;                /* in x, in2 B, in3 C, in4 dt; w: A [n_head]; bias: D [n_head] */
        struct {
            enum pool_kind kind;
            bool normalise;
        } pool;
        struct {
            uint32_t n_groups; /* of `width` values a row */
        } column_sum;
        struct {
            uint32_t site; /* operations of one site have the same noise */
            float probability;
        } noise; /* DROPOUT, NOISE; see batch.noise */
        struct {
            float softcap; /* of the logits; 0: none */
            bool exact;
            uint32_t chunk_rows;   /* whose logits are computed at a time */
            device_buffer scratch; /* [chunk_rows][n_vocab + 2 n_embd] floats */
        } cross_entropy;
    };
};

/* Into how many parts the heads of a group are divided for their gradients. */
static inline uint32_t mamba2_parts(const struct op *op) {
    enum { WANTED = 16 /* with those of other groups */ };
    uint32_t heads = op->mamba2.n_head / op->mamba2.n_group, parts = WANTED / op->mamba2.n_group;
    if (parts == 0) parts = 1;
    return parts < heads ? parts : heads;
}

struct plan {
    struct op *ops;
    size_t n_ops, capacity;
};

/* How a run uses an adapter of the plan: op.adapter, and its scale times its alpha. */
struct adapter_use {
    uint32_t adapter;
    float strength; /* not 0 */
};

/* Rows of one sequence, in order of position. */
struct batch_run {
    uint32_t first_row, n_rows;
    uint32_t position;     /* of the first row */
    uint32_t state_slot;   /* recurrent state of the sequence */
    const uint32_t *pages; /* cache pages by position / page_tokens */
    bool fresh;            /* forget the recurrent state first */
    /* [n_rows]: the slot that receives the recurrent state after row i. The run starts from
     * state_slot, which is written only if named here. NULL: the state after the last row
     * goes to state_slot. */
    const uint32_t *row_slots;
    /* Rows of a prompt, which may be multiplied in a faster arithmetic than rows that are
     * generated or checked. A row's result depends on its own mark, not on its neighbours'. */
    bool prompt;
    const struct adapter_use *adapters; /* [n_adapters], ascending */
    uint32_t n_adapters;                /* RUN_MAX_ADAPTERS at most */
};

/* What a teacher says of the rows that are trained: of each the probabilities of the k tokens
 * it finds likeliest, which sum to 1, at a temperature. */
struct soft_targets {
    uint32_t k;
    const int32_t *tokens;      /* [n][k] */
    const float *probabilities; /* [n][k] */
    float temperature, share;   /* share: of the teacher in the loss, the rest is the token's */
};

/* What the rows of a batch are trained towards. */
struct batch_targets {
    uint32_t n;
    const uint32_t *rows;            /* [n] that are trained, ascending */
    const int32_t *tokens;           /* [n] the token that follows */
    const float *weights;            /* [n] of their losses */
    float gradient_scale;            /* of all gradients */
    float *losses;                   /* [n], written: -log of the token's probability */
    const struct soft_targets *soft; /* NULL: none; with it losses are those of both */
};

struct batch {
    uint32_t n_rows;
    const int32_t *tokens;     /* [n_rows] */
    const uint32_t *positions; /* [n_rows] */
    const uint32_t *row_run;   /* [n_rows] which run a row belongs to */
    const struct batch_run *runs;
    uint32_t n_runs;
    const uint32_t *output_rows; /* rows whose result is wanted, ascending */
    uint32_t n_outputs;
    const struct batch_targets *targets; /* for OP_CROSS_ENTROPY */
    /* Of OP_DROPOUT and OP_NOISE; NULL: they copy. Value i of row t at site s has the bits
     * 16 (i % 4) and up of rng_at(rng_at(rng_at(*noise, s), t), i / 4), as a fraction of 2^16. */
    const uint64_t *noise;
};

void plan_init(struct plan *plan);
void plan_release(struct plan *plan);
hearth_status plan_append(struct plan *plan, const struct op *op, hearth_error *err);
const char *op_name(enum op_kind kind);

#endif
