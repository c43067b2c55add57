#include "train/plan_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "testdata.h"

#include "base/rng.h"
#include "kernels/kernels.h"
#include "model/executor.h"
#include "train/reference_mixers.h"

enum { MAX_HANDLES = 1 << 16 };

struct plan_reference {
    struct device *device;
    struct executor *executor;
    const struct train_batch *batch;
    double *rows[MAX_HANDLES]; /* [n_rows][stride] of activations */
    size_t strides[MAX_HANDLES];
    size_t n_used;    /* experts of a row; their rows follow each other */
    uint32_t *chosen; /* [n_rows][n_used] */
    double *shares;   /* the same, of their outputs */
    double *weights[MAX_HANDLES];
    double *logits;
    uint32_t *position, *first; /* [n_rows] of its sequence */
    uint32_t *end;
    uint64_t noise; /* plan_reference_disturb */
    double dropout, neftune_alpha;
    uint32_t site;
    const struct soft_targets *soft; /* plan_reference_teach */
};

static void *need(void *memory) {
    assert_non_null(memory);
    return memory;
}

static void note_view(struct plan_reference *r, struct view view) {
    if (view.buffer && view.stride > r->strides[view.buffer]) r->strides[view.buffer] = view.stride;
}

static void note_plan(struct plan_reference *r, const struct plan *plan) {
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        const struct view views[] = {op->in, op->in2, op->in3, op->in4, op->in5, op->out};
        for (int v = 0; v < 6; v++)
            note_view(r, views[v]);
        if (op->kind == OP_EXPERT_ROUTE) r->n_used = op->route.n_used;
        if (op->kind != OP_KV_WRITE) continue;
        const struct kv_layout *kv = &op->attention.layout;
        r->strides[kv->k] = (size_t)kv->n_head_kv * kv->d_k;
        r->strides[kv->v] = (size_t)kv->n_head_kv * kv->d_v;
    }
}

struct plan_reference *plan_reference_open(struct device *device, const struct model *model,
                                           const struct adapter *adapter, uint32_t n_ctx,
                                           const struct train_batch *batch) {
    struct plan_reference *r = need(calloc(1, sizeof *r));
    hearth_error err = {0};
    struct executor_options options = {
        .cache = {.n_pages = 1, .n_slots = 1, .k_type = ELEM_F32, .v_type = ELEM_F32},
        .max_tokens = 1,
        .n_ctx = n_ctx};
    const struct adapter_item item = {adapter, 1.0f};
    r->device = device;
    r->batch = batch;
    if (executor_open(&r->executor, model, device, &options, &err) != HEARTH_OK ||
        (adapter && executor_set_adapters(r->executor, &item, 1, &err) != HEARTH_OK))
        fail_msg("%s", err.message);
    executor_update_adapters(r->executor);
    note_plan(r, executor_body(r->executor));
    note_plan(r, executor_head(r->executor));
    size_t pairs = batch->n_rows * (r->n_used ? r->n_used : 1);
    for (size_t h = 0; h < MAX_HANDLES; h++)
        if (r->strides[h]) r->rows[h] = need(calloc(pairs, r->strides[h] * sizeof(double)));
    r->chosen = need(calloc(pairs, sizeof *r->chosen));
    r->shares = need(calloc(pairs, sizeof *r->shares));
    r->position = need(calloc(batch->n_rows, sizeof *r->position));
    r->first = need(calloc(batch->n_rows, sizeof *r->first));
    r->end = need(calloc(batch->n_rows, sizeof *r->end));
    for (uint32_t s = 0; s < batch->n_sequences; s++)
        for (uint32_t row = batch->starts[s]; row < batch->starts[s + 1]; row++) {
            r->first[row] = batch->starts[s];
            r->position[row] = row - batch->starts[s];
            r->end[row] = batch->starts[s + 1];
        }
    return r;
}

void plan_reference_close(struct plan_reference *r) {
    for (size_t h = 0; h < MAX_HANDLES; h++) {
        free(r->rows[h]);
        free(r->weights[h]);
    }
    executor_close(r->executor);
    free(r->position);
    free(r->first);
    free(r->end);
    free(r->chosen);
    free(r->shares);
    free(r);
}

double *plan_reference_weight(struct plan_reference *r, device_buffer weight, size_t n) {
    hearth_error err = {0};
    if (!weight || r->weights[weight]) return weight ? r->weights[weight] : NULL;
    float *floats = need(malloc(n * sizeof *floats));
    if (device_read(r->device, weight, 0, floats, n * sizeof *floats, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    r->weights[weight] = need(malloc(n * sizeof(double)));
    for (size_t i = 0; i < n; i++)
        r->weights[weight][i] = (double)floats[i];
    free(floats);
    return r->weights[weight];
}

static double *quantised(struct plan_reference *r, const struct weight *w) {
    hearth_error err = {0};
    size_t rows = (size_t)w->rows * w->n_experts, n = rows * w->cols;
    size_t bytes = rows * elem_row_bytes(w->type, w->cols);
    float *floats = need(malloc(n * sizeof *floats));
    void *blocks = need(malloc(bytes));
    if (device_read(r->device, w->buffer, 0, blocks, bytes, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    kernels_for(CPU_SCALAR)->dequantize[w->type](blocks, floats, n);
    r->weights[w->buffer] = need(malloc(n * sizeof(double)));
    for (size_t i = 0; i < n; i++)
        r->weights[w->buffer][i] = (double)floats[i];
    free(floats);
    free(blocks);
    return r->weights[w->buffer];
}

static double *values(struct plan_reference *r, const struct weight *w) {
    if (w->buffer && w->type != ELEM_F32 && !r->weights[w->buffer]) return quantised(r, w);
    return plan_reference_weight(r, w->buffer, (size_t)w->rows * w->cols * w->n_experts);
}

static double *at(const struct plan_reference *r, struct view view, size_t row) {
    return r->rows[view.buffer] + row * view.stride + view.offset;
}

static double dot(const double *a, const double *b, size_t n) {
    double sums[4] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++)
            sums[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum + sums[0] + sums[1] + sums[2] + sums[3];
}

static void linear(struct plan_reference *r, const struct op *op, double *out, const double *in) {
    const double *w = values(r, &op->w), *bias = values(r, &op->bias);
    for (size_t o = 0; o < op->w.rows; o++) {
        double y = (double)op->scale * dot(in, w + o * op->w.cols, op->w.cols);
        if (bias) y += bias[o];
        out[o] = op->linear.accumulate ? out[o] + y : y;
    }
}

static void embed(struct plan_reference *r, const struct op *op, size_t row) {
    size_t index = op->embed.index == EMBED_POSITION ? r->position[row] + op->embed.offset
                                                     : (size_t)r->batch->tokens[row];
    const double *w = values(r, &op->w) + index * op->w.cols;
    for (size_t i = 0; i < op->w.cols; i++)
        at(r, op->out, row)[i] = (double)op->scale * w[i];
}

static void norm(struct plan_reference *r, const struct op *op, size_t row) {
    const double *w = values(r, &op->w), *bias = values(r, &op->bias);
    size_t n = op->width;
    bool per_group = w && (size_t)op->w.cols * op->w.rows > n;
    for (size_t g = 0; g < op->norm.n_groups; g++) {
        const double *x = at(r, op->in, row) + g * n;
        double *y = at(r, op->out, row) + g * n, mean = 0, squares = 0;
        for (size_t i = 0; op->norm.kind == NORM_LAYER && i < n; i++)
            mean += x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            squares += (x[i] - mean) * (x[i] - mean);
        double length = sqrt(squares), eps = (double)op->norm.eps;
        double scale = op->norm.kind == NORM_L2 ? 1 / (length > eps ? length : eps)
                                                : 1 / sqrt(squares / (double)n + eps);
        for (size_t i = 0; i < n; i++) {
            y[i] = (x[i] - mean) * scale;
            if (w) y[i] *= w[per_group ? g * n + i : i];
            if (bias) y[i] += bias[i];
        }
    }
}

static void rope(struct plan_reference *r, const struct op *op, size_t row) {
    size_t half = op->rope.n_rot / 2;
    const double *frequency = plan_reference_weight(r, op->rope.inverse_frequency, half);
    for (size_t h = 0; h < op->rope.n_head; h++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)r->position[row] * frequency[i];
            double c = cos(angle) * (double)op->rope.magnitude;
            double s = sin(angle) * (double)op->rope.magnitude;
            double *x = at(r, op->in, row) + h * op->rope.head_dim;
            double *a = x + (op->rope.neox ? i : 2 * i), *b = a + (op->rope.neox ? half : 1);
            double a0 = *a, b0 = *b;
            *a = a0 * c - b0 * s;
            *b = a0 * s + b0 * c;
        }
}

static void attend(struct plan_reference *r, const struct op *op, size_t row, size_t head) {
    const struct kv_layout *kv = &op->attention.layout;
    size_t kv_head = head / (op->attention.n_head / kv->n_head_kv), first = r->first[row];
    uint32_t window = op->attention.window;
    const double *sinks = values(r, &op->w), *q = at(r, op->in, row) + head * kv->d_k;
    double *out = at(r, op->out, row) + head * kv->d_v, sum = sinks ? exp(sinks[head]) : 0;
    assert_true(op->attention.causal);
    if (window && row - first >= window) first = row + 1 - window;
    memset(out, 0, kv->d_v * sizeof *out);
    for (size_t t = first; t <= row; t++) {
        const double *k = r->rows[kv->k] + t * r->strides[kv->k] + kv_head * kv->d_k;
        const double *v = r->rows[kv->v] + t * r->strides[kv->v] + kv_head * kv->d_v;
        double score = (double)op->scale * dot(q, k, kv->d_k), cap = (double)op->attention.softcap;
        if (cap > 0) score = cap * tanh(score / cap);
        double weight = exp(score);
        sum += weight;
        for (size_t i = 0; i < kv->d_v; i++)
            out[i] += weight * v[i];
    }
    for (size_t i = 0; i < kv->d_v; i++)
        out[i] /= sum;
}

static double activation(enum activation kind, double x) {
    switch (kind) {
    case ACTIVATION_NONE: return x;
    case ACTIVATION_SILU: return x / (1 + exp(-x));
    case ACTIVATION_GELU: return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU_ERF: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case ACTIVATION_RELU: return x > 0 ? x : 0;
    case ACTIVATION_RELU2: return x > 0 ? x * x : 0;
    case ACTIVATION_SIGMOID: return 1 / (1 + exp(-x));
    case ACTIVATION_SOFTPLUS: return log1p(exp(x));
    case ACTIVATION_TANH: return tanh(x);
    default: fail_msg("activation %d", (int)kind); return 0;
    }
}

static double gate(enum activation kind, double g, double u) {
    if (kind != ACTIVATION_SWIGLU_OAI) return activation(kind, g) * u;
    g = fmin(g, (double)SWIGLU_LIMIT);
    u = fmax(fmin(u, (double)SWIGLU_LIMIT), -(double)SWIGLU_LIMIT);
    return g / (1 + exp(-(double)SWIGLU_ALPHA * g)) * (u + 1);
}

static void elementwise(struct plan_reference *r, const struct op *op, size_t row) {
    const double *w = values(r, &op->w), *x = at(r, op->in, row);
    const double *x2 = op->in2.buffer ? at(r, op->in2, row) : x;
    double *y = at(r, op->out, row), scale = (double)op->scale, cap = (double)op->softcap.cap;
    for (size_t i = 0; i < op->width; i++)
        switch (op->kind) {
        case OP_ADD: y[i] = x[i] + scale * x2[i]; break;
        case OP_SCALE: y[i] = scale * x[i]; break;
        case OP_ADD_ROW: y[i] = x[i] + w[i]; break;
        case OP_MUL_ROW: y[i] = x[i] * w[i]; break;
        case OP_ACTIVATE: y[i] = activation(op->activation, x[i]); break;
        case OP_GATED: y[i] = gate(op->activation, x[i], x2[i]); break;
        case OP_SOFTCAP: y[i] = cap * tanh(x[i] / cap); break;
        case OP_GATHER_ROWS: y[i] = x[i]; break;
        default: fail_msg("no reference for '%s'", op_name(op->kind));
        }
}

static void copy(struct plan_reference *r, const struct op *op, size_t row) {
    for (size_t g = 0; g < op->copy.n_groups; g++)
        memcpy(at(r, op->out, row) + g * op->copy.out_stride,
               at(r, op->in, row) + g * op->copy.in_stride, op->width * sizeof(double));
}

static void position_scale(struct plan_reference *r, const struct op *op, size_t row) {
    double turns = floor((double)r->position[row] / op->position_scale.period);
    for (size_t i = 0; i < op->width; i++)
        at(r, op->out, row)[i] = at(r, op->in, row)[i] * (1 + (double)op->scale * log(1 + turns));
}

/* From the last row of the sequence to the first: the output may be the input. */
static void conv(struct plan_reference *r, const struct op *op, size_t row) {
    const double *w = values(r, &op->w), *bias = values(r, &op->bias);
    size_t taps = op->conv.kernel;
    for (size_t c = 0; c < op->width; c++) {
        double z = bias ? bias[c] : 0;
        for (size_t j = 0; j < taps; j++)
            if (r->position[row] + 1 + j >= taps)
                z += w[c * taps + j] * at(r, op->in, row + 1 + j - taps)[c];
        at(r, op->out, row)[c] =
            op->activation == ACTIVATION_SILU ? activation(ACTIVATION_SILU, z) : z;
    }
}

static void write_kv(struct plan_reference *r, const struct op *op, size_t row) {
    const struct kv_layout *kv = &op->attention.layout;
    memcpy(r->rows[kv->k] + row * r->strides[kv->k], at(r, op->in, row),
           r->strides[kv->k] * sizeof(double));
    memcpy(r->rows[kv->v] + row * r->strides[kv->v], at(r, op->in2, row),
           r->strides[kv->v] * sizeof(double));
}

static void expert_linear(struct plan_reference *r, const struct op *op, size_t pair) {
    size_t cols = op->w.cols, rows = op->w.rows, expert = r->chosen[pair];
    const double *w = values(r, &op->w) + expert * rows * cols, *bias = values(r, &op->bias);
    const double *in = at(r, op->in, op->expert.per_expert_rows ? pair : pair / r->n_used);
    for (size_t o = 0; o < rows; o++)
        at(r, op->out, pair)[o] =
            dot(in, w + o * cols, cols) + (bias ? bias[expert * rows + o] : 0);
}

static void expert_sum(struct plan_reference *r, const struct op *op, size_t row) {
    memset(at(r, op->out, row), 0, op->width * sizeof(double));
    for (size_t pair = row * r->n_used; pair < (row + 1) * r->n_used; pair++)
        for (size_t i = 0; i < op->width; i++)
            at(r, op->out, row)[i] += r->shares[pair] * at(r, op->in, pair)[i];
}

/* A whole sequence, at its last row. */
static void scan(struct plan_reference *r, const struct op *op, size_t row) {
    size_t first = r->first[row], n_rows = r->end[row] - first;
    const struct view views[] = {op->in, op->in2, op->in3, op->in4, op->in5};
    struct reference_rows in[5] = {{0}}, out = {at(r, op->out, first), op->out.stride};
    for (int i = 0; i < 5; i++)
        if (views[i].buffer)
            in[i] = (struct reference_rows){at(r, views[i], first), views[i].stride};
    if (row + 1 != r->end[row]) return;
    if (op->kind == OP_DELTA_NET)
        reference_delta_net(op, n_rows, in, out);
    else
        reference_mamba2(op, n_rows, in, values(r, &op->w), values(r, &op->bias), out);
}

static void run_row(struct plan_reference *r, const struct op *op, size_t row) {
    switch (op->kind) {
    case OP_EMBED: embed(r, op, row); break;
    case OP_LINEAR: linear(r, op, at(r, op->out, row), at(r, op->in, row)); break;
    case OP_NORM: norm(r, op, row); break;
    case OP_ROPE: rope(r, op, row); break;
    case OP_POSITION_SCALE: position_scale(r, op, row); break;
    case OP_KV_WRITE: write_kv(r, op, row); break;
    case OP_ATTENTION:
        for (size_t h = 0; h < op->attention.n_head; h++)
            attend(r, op, row, h);
        break;
    case OP_COPY: copy(r, op, row); break;
    case OP_CONV: conv(r, op, row); break;
    case OP_DELTA_NET:
    case OP_MAMBA2: scan(r, op, row); break;
    case OP_EXPERT_ROUTE:
        reference_route(op, at(r, op->in, row), values(r, &op->bias), values(r, &op->w),
                        r->chosen + row * r->n_used, r->shares + row * r->n_used);
        break;
    case OP_EXPERT_LINEAR:
        for (size_t j = 0; j < r->n_used; j++)
            expert_linear(r, op, row * r->n_used + j);
        break;
    case OP_EXPERT_SUM: expert_sum(r, op, row); break;
    default:
        for (size_t j = 0, n = op->row_factor > 1 ? op->row_factor : 1; j < n; j++)
            elementwise(r, op, row * n + j);
    }
}

/* The noise of a value, 0 to under 1. */
static double drawn(const struct plan_reference *r, uint32_t site, size_t row, size_t column) {
    uint64_t bits = rng_at(rng_at(rng_at(r->noise, site), row), column / 4);
    return (double)(bits >> (16 * (column % 4)) & 0xffff) / 0x10000;
}

/* The first of the two linear layers of an adapter, over part of what it reads. */
static void adapter_with_dropout(struct plan_reference *r, const struct op *op, size_t row) {
    size_t n = op->w.cols;
    double *kept = need(malloc(n * sizeof *kept)), share = round(r->dropout * 0x10000) / 0x10000;
    for (size_t i = 0; i < n; i++)
        kept[i] = drawn(r, r->site, row, i) < share ? 0 : at(r, op->in, row)[i] / (1 - share);
    linear(r, op, at(r, op->out, row), kept);
    free(kept);
}

static void add_noise(struct plan_reference *r, const struct op *embed, size_t row) {
    double n = embed->w.cols, length = r->end[row] - r->first[row];
    double most = (double)embed->scale * r->neftune_alpha / sqrt(n * length);
    for (size_t i = 0; i < embed->w.cols; i++)
        at(r, embed->out, row)[i] += most * (2 * drawn(r, r->site, row, i) + 0x1p-16 - 1);
}

static bool begins_adapter(const struct op *op) {
    return op->kind == OP_LINEAR && op->adapter && !op->linear.accumulate;
}

static void run_plan(struct plan_reference *r, const struct plan *plan) {
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        bool drops = r->dropout > 0 && begins_adapter(op);
        bool noisy = r->neftune_alpha > 0 && op->kind == OP_EMBED && r->site == 0;
        r->site += drops || noisy;
        for (size_t row = r->batch->n_rows; row-- > 0;) {
            if (drops)
                adapter_with_dropout(r, op, row);
            else
                run_row(r, op, row);
            if (noisy) add_noise(r, op, row);
        }
    }
}

void plan_reference_disturb(struct plan_reference *r, uint64_t noise, float dropout,
                            float neftune_alpha) {
    r->noise = noise;
    r->dropout = (double)dropout;
    r->neftune_alpha = (double)neftune_alpha;
}

void plan_reference_teach(struct plan_reference *r, const struct soft_targets *soft) {
    r->soft = soft;
}

static double log_sum_exp(const double *logits, size_t n, double temperature) {
    double top = logits[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp((logits[i] - top) / temperature);
    return log(sum) + top / temperature;
}

/* T^2 times the divergence of row i of the trained ones. */
static double divergence(const struct soft_targets *soft, size_t i, const double *logits,
                         size_t n) {
    double sum = 0, heat = (double)soft->temperature, log_sum = log_sum_exp(logits, n, heat);
    for (size_t j = i * soft->k; j < (i + 1) * soft->k; j++) {
        double p = (double)soft->probabilities[j];
        sum += p * (log(p) - (logits[soft->tokens[j]] / heat - log_sum));
    }
    return heat * heat * sum;
}

double plan_reference_loss(struct plan_reference *r, double *row_losses) {
    const struct plan *head = executor_head(r->executor);
    const struct op *last = &head->ops[head->n_ops - 1];
    size_t n = last->kind == OP_LINEAR ? last->w.rows : last->width;
    size_t trained = 0;
    double total = 0;
    r->site = 0;
    run_plan(r, executor_body(r->executor));
    run_plan(r, head);
    for (size_t row = 0; row < r->batch->n_rows; row++) {
        const double *logits = at(r, last->out, row);
        if (row_losses) row_losses[row] = 0;
        if (r->batch->targets[row] < 0) continue;
        double loss = log_sum_exp(logits, n, 1) - logits[r->batch->targets[row]];
        double share = r->soft ? (double)r->soft->share : 0;
        if (r->soft) loss = (1 - share) * loss + share * divergence(r->soft, trained++, logits, n);
        if (row_losses) row_losses[row] = loss;
        total += loss * (r->batch->row_weights ? (double)r->batch->row_weights[row] : 1);
    }
    return total;
}
