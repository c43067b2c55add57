/* cpu_device.h - what the files of the CPU device share.
 *
 * Every thread of the pool walks the whole plan and calls the same function for
 * each operation; a barrier stands after each. A function computes its share only
 * and may put barriers of its own between phases, on every thread alike.
 *
 * Invariant: each output value is computed whole by one thread, in an order that
 * depends on neither the number of threads nor the other rows of the batch. */
#ifndef HEARTH_DEVICE_CPU_DEVICE_H
#define HEARTH_DEVICE_CPU_DEVICE_H

#include "base/pool.h"
#include "device/device.h"
#include "kernels/kernels.h"

enum {
    COLUMN_GRANULE = 64,    /* a row is only ever divided at multiples of this */
    ROW_GRANULE = 16,       /* and the rows of a weight at multiples of this */
    LINEAR_PANEL_ROWS = 64, /* weight rows whose results are gathered before they are written */
    DEQUANT_PANEL_ROWS = 16
};

struct cpu_buffer {
    void *data;
    uint64_t size_bytes;
    bool owned, used;
};

/* Expert choices of the running batch, written by OP_EXPERT_ROUTE. A pair is
 * row * n_used + j. Every pair has a place: those of expert e whose rows are of prompts
 * (cpu_is_prompt) have [offsets[2 e], offsets[2 e + 1]), its others the places from there
 * to offsets[2 e + 2]. */
struct cpu_experts {
    uint32_t *chosen;  /* [pairs] expert of a pair */
    float *weights;    /* [pairs] */
    uint32_t *place;   /* [pairs] of a pair */
    uint32_t *at;      /* [pairs] expert of a place */
    uint32_t *row;     /* [pairs] row of a place */
    uint32_t *offsets; /* [2 n_expert + 1] */
};

/* Adjacent rows [first, first + n) of the running batch that use an adapter in the same way. */
struct cpu_adapter_rows {
    uint32_t first, n;
    float strength;
    bool prompt; /* cpu_prompt.c multiplies them */
};

/* Which rows use which adapter: of adapter a rows[begin[a]] and the count[a] - 1 after it. */
struct cpu_adapters {
    struct cpu_adapter_rows *rows; /* [max_tokens * RUN_MAX_ADAPTERS]; NULL: no plan has any */
    uint32_t begin[PLAN_MAX_ADAPTERS + 1], count[PLAN_MAX_ADAPTERS + 1];
};

struct device {
    struct device_options options;
    const struct kernels *kernels;
    struct pool *pool;
    struct cpu_buffer *buffers; /* handle h is buffers[h - 1] */
    size_t n_buffers, buffers_capacity;
    uint64_t allocated_bytes;
    device_observer observer; /* NULL: none */
    void *observer_context;
    uint64_t *op_ns; /* device_time_ops; NULL: none */
    char description[64];
    /* Scratch, sized by device_prepare for the largest operation of the plans. */
    void *act_rows; /* packed rows of prompts, then quantised activations, of one operation */
    size_t act_rows_bytes;
    float **thread_scratch; /* one block a thread */
    size_t thread_scratch_floats;
    float *partials; /* attention results of blocks of positions, before they are merged */
    size_t partials_floats;
    struct cpu_experts experts;
    size_t expert_pairs, n_expert;
    /* Rows of the running batch that cpu_prompt.c multiplies, ascending. */
    uint32_t *prompt_rows; /* [max_tokens] */
    size_t n_prompt_rows;
    struct cpu_adapters adapters;
};

struct cpu_run {
    struct device *device;
    const struct kernels *k;
    const struct batch *batch;
    unsigned thread, n_threads;
};

typedef void (*cpu_op)(const struct cpu_run *run, const struct op *op);

static inline void *buffer_data(const struct device *device, device_buffer buffer) {
    return device->buffers[buffer - 1].data;
}

static inline float *view_row(const struct cpu_run *run, struct view view, size_t row) {
    return (float *)buffer_data(run->device, view.buffer) + view.offset + row * view.stride;
}

static inline size_t op_row_count(const struct cpu_run *run, const struct op *op) {
    size_t rows = op->rows == ROWS_OUTPUT ? run->batch->n_outputs : run->batch->n_rows;
    return rows * (op->row_factor ? op->row_factor : 1);
}

/* The vector a float weight holds (norm weights, biases), or NULL. */
static inline const float *weight_vector(const struct cpu_run *run, const struct weight *w) {
    return w->buffer ? (const float *)buffer_data(run->device, w->buffer) : NULL;
}

/* What a linear layer's product is multiplied by, for rows that use an adapter so strongly. */
static inline float cpu_linear_scale(const struct op *op, float strength) {
    return op->adapter && op->linear.accumulate ? strength / (float)op->w.cols : op->scale;
}

/* The row of a kv head at a position of a sequence. */
static inline uint8_t *kv_row(const struct device *device, device_buffer buffer, size_t row_bytes,
                              const struct kv_layout *layout, const struct batch_run *part,
                              uint32_t head, uint32_t position) {
    size_t page = part->pages[position / layout->page_tokens];
    size_t group = page / layout->group_pages, of_head = page % layout->group_pages;
    of_head = of_head * layout->n_head_kv + head;
    size_t row = of_head * layout->page_tokens + position % layout->page_tokens;
    return (uint8_t *)buffer_data(device, buffer) + group * layout->group_bytes + row * row_bytes;
}

static inline uint8_t *kv_key(const struct device *device, const struct kv_layout *layout,
                              const struct batch_run *part, uint32_t head, uint32_t position) {
    return kv_row(device, layout->k, elem_row_bytes(layout->k_type, layout->d_k), layout, part,
                  head, position);
}

static inline uint8_t *kv_value(const struct device *device, const struct kv_layout *layout,
                                const struct batch_run *part, uint32_t head, uint32_t position) {
    return kv_row(device, layout->v, elem_row_bytes(layout->v_type, layout->d_v), layout, part,
                  head, position);
}

/* This thread's rectangle of [rows, width]: whole rows when there are enough,
 * otherwise a span of columns of every row. */
struct span {
    size_t row_begin, row_end, begin, end;
};
struct span cpu_span(const struct cpu_run *run, size_t rows, size_t width);

/* One thread's part of the recurrent states of an operation: in every slot n_spans spans of
 * `width` floats, `stride` apart. */
struct state_part {
    float *first;       /* in slot 0 */
    size_t slot_floats; /* from one slot to the next */
    size_t n_spans, stride, width;
};
/* The state that row i of a run changes in place: it lies in the slot that receives it and
 * holds what row i - 1 left there or elsewhere. Called for rows in order. */
float *cpu_state_for_row(const struct state_part *state, const struct batch_run *part, size_t i);
/* How many rows from row i on change the state in one place, one after the other. */
size_t cpu_rows_in_place(const struct batch_run *part, size_t i);
/* out[i] = exp(scale x[row + i]) for n rows of one column of a view. */
void cpu_exp_column(const struct cpu_run *run, struct view x, size_t row, size_t n, size_t column,
                    float scale, float *out);

size_t cpu_thread_scratch_floats(const struct device *device, const struct op *op);
size_t cpu_conv_scratch_floats(const struct op *op);
size_t cpu_act_rows_bytes(const struct device *device, const struct op *op);
size_t cpu_attention_scratch_floats(const struct op *op); /* of a thread */
size_t cpu_attention_partial_floats(const struct device *device, const struct op *op);

/* Rows of prompts: whether the device treats them apart, which ones they are, how many an
 * operation has, and the bytes they need, packed, at the start of act_rows. */
bool cpu_has_prompts(const struct device *device);
bool cpu_is_prompt(const struct cpu_run *run, size_t row);
void cpu_list_prompts(struct device *device, const struct batch *batch);
size_t cpu_prompt_rows(const struct cpu_run *run, const struct op *op);
size_t cpu_packed_bytes(const struct device *device, const struct op *op);
/* Whether an operation computes the rows of prompts apart. */
bool cpu_takes_prompts(const struct op *op);
/* How a weight type is multiplied on this device: the format of activations that it takes. */
enum act cpu_act_of(const struct device *device, enum elem type);
/* Where quantised activations go: after the packed rows of prompts. */
char *cpu_quantised_rows(const struct cpu_run *run, const struct op *op);

/* Rows of activations in the format a weight type wants. */
struct act_rows {
    const void *data;
    size_t stride;
};

/* What is multiplied: rows [first, end) of the batch. */
struct row_stretch {
    struct act_rows x; /* of the whole batch */
    size_t first, end;
    float strength; /* of an adapter */
};
/* A cpu_columns of a linear layer over a stretch, its context. */
void cpu_multiply_columns(const void *context, const struct cpu_run *run, const struct op *op,
                          size_t begin, size_t end);

/* Finds out which rows of a batch use which adapter, and which an operation of one is for. */
void cpu_list_adapters(struct device *device, const struct batch *batch);
const struct cpu_adapter_rows *cpu_adapter_parts(const struct cpu_run *run, const struct op *op,
                                                 size_t *n);
/* One of its parts that is a prompt's, where the operation computes those apart. */
void cpu_prompt_adapter(const struct cpu_run *run, const struct op *op,
                        const struct cpu_adapter_rows *part);
/* The operations over those rows only. */
void cpu_prompt_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops);
void cpu_prompt_expert_linear(const struct cpu_run *run, const struct op *op);

void cpu_embed(const struct cpu_run *run, const struct op *op);
/* Calls multiply(context, run, op, begin, end) for output columns [begin, end) of each of
 * some linear layers, each thread its own share first (pool_take). */
typedef void (*cpu_columns)(const void *context, const struct cpu_run *run, const struct op *op,
                            size_t begin, size_t end);
void cpu_divide_columns(const struct cpu_run *run, const struct op *ops, size_t n_ops,
                        size_t granule, cpu_columns multiply, const void *context);
/* How many linear layers from the first of `ops` on take the same input. */
size_t cpu_linear_group(const struct device *device, const struct op *ops, size_t n_ops);
/* A group at once: its input is quantised once, its columns are divided as one. */
void cpu_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops);
/* How many operations from the first of `ops` on are of the same adapter and none reads what
 * another writes; and those at once, over the rows that use it. */
size_t cpu_adapter_group(const struct device *device, const struct op *ops, size_t n_ops);
void cpu_adapter_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops);
void cpu_head_linear(const struct cpu_run *run, const struct op *op);
/* How many expert layers from the first of `ops` on take the same rows of the batch; 1 where
 * some of them are of prompts. */
size_t cpu_expert_group(const struct cpu_run *run, const struct op *ops, size_t n_ops);
/* A group at once, as cpu_linear does it. */
void cpu_expert_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops);
void cpu_expert_route(const struct cpu_run *run, const struct op *op);
/* Weights of the chosen are divided by no less: the least normal half. */
#define EXPERT_LEAST_SUM 6.103515625e-5f
/* What experts are chosen by, [n] of a row: their logits as they are, or made probabilities. */
void cpu_expert_gate(const struct kernels *k, enum gating gating, const float *logits, float *probs,
                     size_t n);
void cpu_expert_sum(const struct cpu_run *run, const struct op *op);
void cpu_norm(const struct cpu_run *run, const struct op *op);
void cpu_rope(const struct cpu_run *run, const struct op *op);
void cpu_position_scale(const struct cpu_run *run, const struct op *op);
void cpu_kv_write(const struct cpu_run *run, const struct op *op);
void cpu_kv_previous(const struct cpu_run *run, const struct op *op);
void cpu_attention(const struct cpu_run *run, const struct op *op);
void cpu_add(const struct cpu_run *run, const struct op *op);
void cpu_scale(const struct cpu_run *run, const struct op *op);
void cpu_add_row(const struct cpu_run *run, const struct op *op);
void cpu_mul_row(const struct cpu_run *run, const struct op *op);
void cpu_activate(const struct cpu_run *run, const struct op *op);
void cpu_gated(const struct cpu_run *run, const struct op *op);
void cpu_softcap(const struct cpu_run *run, const struct op *op);
void cpu_copy(const struct cpu_run *run, const struct op *op);
void cpu_gather_rows(const struct cpu_run *run, const struct op *op);
void cpu_pool_rows(const struct cpu_run *run, const struct op *op);
void cpu_conv(const struct cpu_run *run, const struct op *op);
void cpu_delta_net(const struct cpu_run *run, const struct op *op);
void cpu_mamba2(const struct cpu_run *run, const struct op *op);

/* Training: forward where it differs from inference, and backward. */
void cpu_linear_train(const struct cpu_run *run, const struct op *op);
void cpu_linear_back_input(const struct cpu_run *run, const struct op *op);
void cpu_linear_back_weight(const struct cpu_run *run, const struct op *op);
void cpu_column_sum(const struct cpu_run *run, const struct op *op);
void cpu_embed_back(const struct cpu_run *run, const struct op *op);
void cpu_norm_back(const struct cpu_run *run, const struct op *op);
void cpu_norm_back_weight(const struct cpu_run *run, const struct op *op);
void cpu_activate_back(const struct cpu_run *run, const struct op *op);
void cpu_gated_back(const struct cpu_run *run, const struct op *op);
void cpu_softcap_back(const struct cpu_run *run, const struct op *op);
void cpu_copy_back(const struct cpu_run *run, const struct op *op);
void cpu_conv_back(const struct cpu_run *run, const struct op *op);
void cpu_attention_train(const struct cpu_run *run, const struct op *op);
void cpu_attention_back(const struct cpu_run *run, const struct op *op);
void cpu_expert_spread(const struct cpu_run *run, const struct op *op);
void cpu_expert_spread_back(const struct cpu_run *run, const struct op *op);
void cpu_expert_linear_train(const struct cpu_run *run, const struct op *op);
void cpu_expert_linear_back_input(const struct cpu_run *run, const struct op *op);
void cpu_expert_linear_back_weight(const struct cpu_run *run, const struct op *op);
void cpu_expert_sum_back(const struct cpu_run *run, const struct op *op);
void cpu_expert_route_back(const struct cpu_run *run, const struct op *op);
void cpu_delta_net_back(const struct cpu_run *run, const struct op *op);
void cpu_mamba2_back(const struct cpu_run *run, const struct op *op);
void cpu_cross_entropy(const struct cpu_run *run, const struct op *op);
void cpu_clear(const struct cpu_run *run, const struct op *op);
void cpu_dropout(const struct cpu_run *run, const struct op *op);
void cpu_noise(const struct cpu_run *run, const struct op *op);
void cpu_rope_table(const struct cpu_run *run, const struct op *op);
/* Floats of each thread's scratch, and bytes that the threads share, for such an operation. */
size_t cpu_train_scratch_floats(const struct device *device, const struct op *op);
size_t cpu_train_shared_bytes(const struct device *device, const struct op *op);
size_t cpu_conv_back_floats(const struct device *device);
size_t cpu_attention_train_floats(const struct device *device, const struct op *op);
size_t cpu_delta_net_back_floats(const struct device *device, const struct op *op);
size_t cpu_mamba2_back_floats(const struct device *device, const struct op *op);
size_t cpu_expert_route_back_floats(const struct op *op);

#endif
