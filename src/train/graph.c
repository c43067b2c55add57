#include "train/graph.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "device/optimizer_step.h"
#include "model/executor.h"
#include "train/tape.h"
#include "train/trained_weights.h"

/* Rows whose logits exist at a time. The output matrix is packed, and its gradient read and
 * written, once for so many rows: more where their logits are short. */
enum { LEAST_LOSS_ROWS = 256, MOST_LOSS_ROWS = 1024, LOSS_BYTES = 128 << 20 };
#define MOST_DROPOUT 0.99f

struct graph {
    struct device *device;
    struct graph_options options;
    struct trained_model model;
    struct trained_adapter adapter;
    device_buffer *adapter_handles; /* of its tensors */
    struct executor *executor;      /* over `model`; lends its plans, runs nothing */
    struct parameter *parameters;
    size_t n_parameters;
    device_buffer *gradients; /* [n_handles], by handle of the weight */
    size_t n_handles;
    struct tape tape;
    struct plan base; /* the forward operations without the adapter's; or none */
    struct pass_parts parts;
    struct pass_observer observer;
    struct trained_tensor *tensors; /* [n_parameters], for clearing */
    struct op loss_only;
    device_buffer loss_scratch;
    uint64_t bytes; /* on the device: of all but the trained weights */
    /* [max_rows] of the batch at hand: */
    uint32_t *positions, *row_run, *target_rows;
    int32_t *target_tokens;
    float *target_weights, *losses;
    struct batch_run *runs;
};

/* ---- opening --------------------------------------------------------------- */

static hearth_status check_options(const struct graph_options *o, hearth_error *err) {
    if (o->max_rows == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "batches of 0 tokens cannot be trained");
    if (!(o->lora.dropout >= 0) || !(o->lora.dropout <= MOST_DROPOUT) ||
        (o->lora.dropout > 0 && o->method != TRAIN_LORA))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "dropout of %g; adapters may have 0 to %g, and only they",
                         (double)o->lora.dropout, (double)MOST_DROPOUT);
    if (o->lora.decomposed && o->method != TRAIN_LORA)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "only adapters have magnitudes (DoRA); here every weight is trained");
    if (!(o->neftune_alpha >= 0) || !isfinite(o->neftune_alpha))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "noise of alpha %g on the embeddings; it cannot be below 0",
                         (double)o->neftune_alpha);
    return HEARTH_OK;
}

static const struct tensor *model_tensor(const void *executor, device_buffer buffer) {
    return buffer ? executor_weight(executor, buffer) : NULL;
}

/* Lowering gets the same handles for the same memory. */
static hearth_status import_adapter(struct graph *g, hearth_error *err) {
    const struct directory *dir = &g->adapter.adapter.directory;
    g->adapter_handles = mem_calloc(dir->n_tensors + 1, sizeof *g->adapter_handles);
    if (!g->adapter_handles)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for training");
    for (size_t i = 0; i < dir->n_tensors; i++)
        RETURN_IF_ERROR(device_import(g->device, dir->tensors[i].data, dir->tensors[i].size_bytes,
                                      &g->adapter_handles[i], err));
    return HEARTH_OK;
}

static hearth_status open_executor(struct graph *g, hearth_error *err) {
    struct executor_options options = {
        .cache = {.n_pages = 1, .n_slots = 1, .k_type = ELEM_F32, .v_type = ELEM_F32},
        .max_tokens = 1,
        .n_ctx = g->options.n_ctx};
    RETURN_IF_ERROR(executor_open(&g->executor, &g->model.model, g->device, &options, err));
    if (g->options.method != TRAIN_LORA) return HEARTH_OK;
    RETURN_IF_ERROR(trained_adapter_open(&g->adapter, executor_body(g->executor), model_tensor,
                                         g->executor, &g->options, err));
    RETURN_IF_ERROR(import_adapter(g, err));
    const struct adapter_item adapter = {&g->adapter.adapter, 1.0f};
    return executor_set_adapters(g->executor, &adapter, 1, err);
}

static const struct tensor *adapter_tensor(const struct graph *g, device_buffer buffer) {
    const struct directory *dir = &g->adapter.adapter.directory;
    for (size_t i = 0; g->adapter_handles && i < dir->n_tensors; i++)
        if (g->adapter_handles[i] == buffer) return &dir->tensors[i];
    return NULL;
}

/* The tensor behind a weight that is trained, or NULL. */
static const struct tensor *trained_tensor(const struct graph *g, device_buffer buffer) {
    const struct tensor *t = executor_weight(g->executor, buffer);
    if (t) return g->model.trained[t - g->model.model.directory.tensors] ? t : NULL;
    return adapter_tensor(g, buffer);
}

static hearth_status note_handle(struct graph *g, device_buffer handle, hearth_error *err) {
    if (handle < g->n_handles) return HEARTH_OK;
    size_t n = (size_t)handle + 1;
    device_buffer *grown = mem_realloc_array(g->gradients, n, sizeof *grown);
    if (!grown) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu gradients", n);
    memset(grown + g->n_handles, 0, (n - g->n_handles) * sizeof *grown);
    g->gradients = grown;
    g->n_handles = n;
    return HEARTH_OK;
}

static hearth_status grow_parameters(struct graph *g, hearth_error *err) {
    size_t n = g->n_parameters + 1;
    struct parameter *parameters = mem_realloc_array(g->parameters, n, sizeof *parameters);
    if (parameters) g->parameters = parameters;
    struct trained_tensor *tensors = mem_realloc_array(g->tensors, n, sizeof *tensors);
    if (tensors) g->tensors = tensors;
    if (parameters && tensors) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for parameter %zu", n);
}

static hearth_status add_parameter(struct graph *g, const struct weight *w, bool matrix,
                                   hearth_error *err) {
    if (!w->buffer) return HEARTH_OK;
    const struct tensor *tensor = trained_tensor(g, w->buffer);
    if (!tensor) return HEARTH_OK;
    RETURN_IF_ERROR(note_handle(g, w->buffer, err));
    if (g->gradients[w->buffer]) return HEARTH_OK;
    RETURN_IF_ERROR(grow_parameters(g, err));
    struct parameter *p = &g->parameters[g->n_parameters];
    *p = (struct parameter){.name = tensor->name,
                            .rows = w->rows * w->n_experts,
                            .cols = w->cols,
                            .value = w->buffer,
                            .decay = matrix};
    uint64_t n = (uint64_t)p->rows * w->cols;
    RETURN_IF_ERROR(device_alloc(g->device, n * sizeof(float), &p->gradient, err));
    g->tensors[g->n_parameters++] = (struct trained_tensor){.gradient = p->gradient, .n = n};
    g->gradients[w->buffer] = p->gradient;
    return HEARTH_OK;
}

/* Sinks of attention, and what shifts and scales the choice of experts, stay as they are. */
static hearth_status add_parameters(struct graph *g, const struct plan *plan, hearth_error *err) {
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        bool matrix = op->kind == OP_LINEAR || op->kind == OP_EXPERT_LINEAR || op->kind == OP_EMBED;
        if (op->kind == OP_ATTENTION || op->kind == OP_EXPERT_ROUTE) continue;
        RETURN_IF_ERROR(add_parameter(g, &op->w, matrix, err));
        RETURN_IF_ERROR(add_parameter(g, &op->bias, false, err));
    }
    return HEARTH_OK;
}

static uint32_t loss_rows(const struct graph *g) {
    uint32_t n_vocab = g->model.model.config.n_vocab, rows = LEAST_LOSS_ROWS;
    while (rows < MOST_LOSS_ROWS && 2 * rows * sizeof(float) * n_vocab <= LOSS_BYTES)
        rows *= 2;
    return rows < g->options.max_rows ? rows : g->options.max_rows;
}

static hearth_status make_tape(struct graph *g, hearth_error *err) {
    struct tape_weights weights = {g->gradients, g->n_handles};
    uint32_t max_rows = g->options.max_rows;
    g->tape.exact = g->options.exact;
    g->tape.dropout = g->options.lora.dropout;
    g->tape.neftune_alpha = g->options.neftune_alpha;
    g->tape.chunk_rows = loss_rows(g);
    RETURN_IF_ERROR(tape_trace(&g->tape, executor_body(g->executor), executor_head(g->executor),
                               &weights, err));
    RETURN_IF_ERROR(tape_derive(&g->tape, &weights, err));
    if (g->options.checkpointing)
        RETURN_IF_ERROR(tape_recompute(&g->tape, TAPE_KEEP_ENDS, err));
    else if (g->options.method == TRAIN_LORA)
        RETURN_IF_ERROR(tape_recompute(&g->tape, TAPE_KEEP_PRODUCTS, err));
    RETURN_IF_ERROR(tape_place(&g->tape, err));
    RETURN_IF_ERROR(pass_parts_open(&g->parts, &g->tape, g->parameters, g->n_parameters, err));
    const struct op *loss = &g->tape.plan.ops[g->tape.n_forward];
    uint64_t row = loss->w.rows + 2ull * loss->w.cols;
    g->bytes += tape_bytes(&g->tape, max_rows) + g->tape.chunk_rows * row * sizeof(float);
    return HEARTH_OK;
}

/* Everything but the memory that grows with the rows of a batch. */
static hearth_status plan_graph(struct graph *g, const struct model *model, bool fill,
                                hearth_error *err) {
    RETURN_IF_ERROR(check_options(&g->options, err));
    uint64_t before = device_allocated_bytes(g->device);
    if (g->options.n_ctx == 0) g->options.n_ctx = g->options.max_rows;
    RETURN_IF_ERROR(trained_model_open(&g->model, model, &g->options, fill, err));
    RETURN_IF_ERROR(open_executor(g, err));
    RETURN_IF_ERROR(add_parameters(g, executor_body(g->executor), err));
    RETURN_IF_ERROR(add_parameters(g, executor_head(g->executor), err));
    g->bytes = device_allocated_bytes(g->device) - before;
    return make_tape(g, err);
}

static hearth_status alloc_batch(struct graph *g, hearth_error *err) {
    size_t n = g->options.max_rows;
    g->positions = mem_calloc(n, sizeof *g->positions);
    g->row_run = mem_calloc(n, sizeof *g->row_run);
    g->target_rows = mem_calloc(n, sizeof *g->target_rows);
    g->target_tokens = mem_calloc(n, sizeof *g->target_tokens);
    g->target_weights = mem_calloc(n, sizeof *g->target_weights);
    g->losses = mem_calloc(n, sizeof *g->losses);
    g->runs = mem_calloc(n, sizeof *g->runs);
    if (g->positions && g->row_run && g->target_rows && g->target_tokens && g->target_weights &&
        g->losses && g->runs)
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for batches of %zu tokens", n);
}

bool graph_has_base(const struct graph *g) {
    const struct graph_options *o = &g->options;
    return o->method == TRAIN_LORA && !o->train_embeddings && !o->train_output;
}

static bool is_magnitude(const struct graph *g, const struct op *op) {
    return op->kind == OP_MUL_ROW && adapter_tensor(g, op->w.buffer);
}

/* Rows are divided by their lengths, and in the next operation multiplied by magnitudes; the base
 * has neither. */
static bool scales_rows(const struct graph *g, const struct op *op) {
    return is_magnitude(g, op) || (op->kind == OP_MUL_ROW && is_magnitude(g, op + 1));
}

static hearth_status plan_base(struct graph *g, hearth_error *err) {
    if (!graph_has_base(g)) return HEARTH_OK;
    for (size_t i = 0; i < g->tape.n_forward; i++) {
        struct op op = g->tape.plan.ops[i];
        if (scales_rows(g, &g->tape.plan.ops[i])) {
            op.kind = OP_SCALE;
            op.scale = 1.0f;
        } else if (op.kind == OP_DROPOUT || adapter_tensor(g, op.w.buffer)) {
            continue;
        }
        RETURN_IF_ERROR(plan_append(&g->base, &op, err));
    }
    return HEARTH_OK;
}

/* Magnitudes begin as the lengths of the rows, so that nothing is changed yet. */
static hearth_status start_magnitudes(struct graph *g, hearth_error *err) {
    const struct plan *body = executor_body(g->executor);
    executor_update_adapters(g->executor);
    for (size_t i = 1; i < body->n_ops; i++) {
        const struct op *op = &body->ops[i];
        uint64_t bytes = op->width * sizeof(float);
        if (!is_magnitude(g, op)) continue;
        float *lengths = mem_alloc((size_t)bytes);
        if (!lengths) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an adapter");
        hearth_status status = device_read(g->device, op[-1].w.buffer, 0, lengths, bytes, err);
        for (uint32_t r = 0; r < op->width && status == HEARTH_OK; r++)
            lengths[r] = lengths[r] > 0 ? 1 / lengths[r] : 0;
        if (status == HEARTH_OK)
            status = device_write(g->device, op->w.buffer, 0, lengths, bytes, err);
        mem_free(lengths);
        RETURN_IF_ERROR(status);
    }
    return HEARTH_OK;
}

static hearth_status settle_graph(struct graph *g, hearth_error *err) {
    struct op *loss = &g->tape.plan.ops[g->tape.n_forward];
    uint64_t row = loss->w.rows + 2ull * loss->w.cols;
    RETURN_IF_ERROR(alloc_batch(g, err));
    RETURN_IF_ERROR(
        device_alloc(g->device, g->tape.chunk_rows * row * sizeof(float), &g->loss_scratch, err));
    loss->cross_entropy.scratch = g->loss_scratch;
    RETURN_IF_ERROR(tape_settle(&g->tape, g->device, g->options.max_rows, err));
    g->loss_only = *loss;
    g->loss_only.out = g->loss_only.out2 = g->loss_only.out3 = (struct view){0};
    RETURN_IF_ERROR(plan_base(g, err));
    RETURN_IF_ERROR(start_magnitudes(g, err));
    return device_prepare(g->device, &g->tape.plan, err);
}

hearth_status graph_open(struct graph **out, const struct model *model, struct device *device,
                         const struct graph_options *options, hearth_error *err) {
    *out = NULL;
    struct graph *g = mem_calloc(1, sizeof *g);
    if (!g) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for training");
    *g = (struct graph){.device = device, .options = *options};
    tape_init(&g->tape);
    hearth_status status = plan_graph(g, model, true, err);
    if (status == HEARTH_OK) status = settle_graph(g, err);
    if (status == HEARTH_OK) {
        *out = g;
        return HEARTH_OK;
    }
    error_prefix(err, status, "cannot train model '%s'", model->directory.path);
    graph_close(g);
    return status;
}

void graph_close(struct graph *g) {
    if (!g) return;
    for (size_t s = 0; s < g->tape.n_slots; s++)
        device_free(g->device, g->tape.slots[s].buffer);
    for (size_t i = 0; i < g->n_parameters; i++)
        device_free(g->device, g->parameters[i].gradient);
    for (size_t i = 0; g->adapter_handles && i < g->adapter.adapter.directory.n_tensors; i++)
        device_free(g->device, g->adapter_handles[i]);
    device_free(g->device, g->loss_scratch);
    executor_close(g->executor);
    tape_release(&g->tape);
    pass_parts_close(&g->parts);
    plan_release(&g->base);
    trained_adapter_close(&g->adapter);
    trained_model_close(&g->model);
    mem_free(g->parameters);
    mem_free(g->tensors);
    mem_free(g->gradients);
    mem_free(g->adapter_handles);
    mem_free(g->positions);
    mem_free(g->row_run);
    mem_free(g->target_rows);
    mem_free(g->target_tokens);
    mem_free(g->target_weights);
    mem_free(g->losses);
    mem_free(g->runs);
    mem_free(g);
}

/* What the other processes keep instead of this one, less what passes bring here of it. */
static uint64_t bytes_elsewhere(const struct graph *g) {
    const struct graph_sharing *sharing = &g->options.sharing;
    uint64_t values = 0, count = (uint64_t)sharing->count;
    if (count < 2 || (!sharing->weights && !sharing->gradients)) return 0;
    for (size_t i = 0; i < g->n_parameters; i++)
        values += (uint64_t)g->parameters[i].rows * g->parameters[i].cols;
    values *= (uint64_t)sharing->weights + (uint64_t)sharing->gradients;
    uint64_t whole = pass_parts_most_whole(&g->parts, &g->tape, g->parameters, g->n_parameters,
                                           sharing->weights, sharing->gradients);
    return (values - whole) * sizeof(float) / count * (count - 1);
}

hearth_status graph_bytes(const struct model *model, const struct graph_options *options,
                          uint64_t *bytes, hearth_error *err) {
    struct graph *g = mem_calloc(1, sizeof *g);
    struct device *device = NULL;
    *bytes = 0;
    if (!g) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to plan training");
    struct device_options small = {.n_threads = 1, .max_tokens = 1};
    hearth_status status = device_open_cpu(&device, &small, err);
    *g = (struct graph){.device = device, .options = *options};
    tape_init(&g->tape);
    if (status == HEARTH_OK) status = plan_graph(g, model, false, err);
    *bytes = g->bytes + g->model.size_bytes + g->adapter.size_bytes - bytes_elsewhere(g);
    graph_close(g);
    device_close(device);
    return status;
}

const struct parameter *graph_parameters(const struct graph *g, size_t *n) {
    *n = g->n_parameters;
    return g->parameters;
}

const struct model *graph_model(const struct graph *g) {
    return &g->model.model;
}

const struct adapter *graph_adapter(const struct graph *g) {
    return g->options.method == TRAIN_LORA ? &g->adapter.adapter : NULL;
}

/* ---- steps ----------------------------------------------------------------- */

static hearth_status check_rows(const struct graph *g, const struct train_batch *b,
                                hearth_error *err) {
    int64_t n_vocab = g->model.model.config.n_vocab;
    if (b->n_rows == 0 || b->n_rows > g->options.max_rows)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a batch of %u tokens; 1 to %u are possible",
                         b->n_rows, g->options.max_rows);
    for (uint32_t i = 0; i < b->n_rows; i++) {
        if (b->tokens[i] < 0 || b->tokens[i] >= n_vocab || b->targets[i] < -1 ||
            b->targets[i] >= n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "row %u of the batch is token %d before %d; the vocabulary has %lld",
                             i, b->tokens[i], b->targets[i], (long long)n_vocab);
        if (b->row_weights && !isfinite(b->row_weights[i]))
            return error_set(err, HEARTH_ERROR_ARGUMENT, "row %u of the batch has no finite weight",
                             i);
    }
    return HEARTH_OK;
}

static hearth_status check_soft(const struct graph *g, const struct train_batch *b,
                                hearth_error *err) {
    const struct soft_targets *soft = b->soft;
    size_t n = 0;
    if (!soft) return HEARTH_OK;
    for (uint32_t i = 0; i < b->n_rows; i++)
        n += b->targets[i] >= 0;
    for (size_t i = 0; i < n * soft->k; i++)
        if (soft->tokens[i] < 0 || (uint32_t)soft->tokens[i] >= g->model.model.config.n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "a teacher's token %d; the vocabulary has %u", soft->tokens[i],
                             g->model.model.config.n_vocab);
    if (soft->temperature > 0 && isfinite(soft->temperature)) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT, "a teacher at temperature %g",
                     (double)soft->temperature);
}

static hearth_status fill_runs(struct graph *g, const struct train_batch *b, hearth_error *err) {
    if (b->n_sequences == 0 || b->n_sequences > b->n_rows || b->starts[0] != 0 ||
        b->starts[b->n_sequences] != b->n_rows)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "the sequences of a batch do not fill it");
    for (uint32_t s = 0; s < b->n_sequences; s++) {
        uint32_t first = b->starts[s], end = b->starts[s + 1];
        if (end <= first || end > b->n_rows || end - first > g->options.n_ctx)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "sequence %u has rows %u to %u; 1 to %u tokens are possible", s, first,
                             end, g->options.n_ctx);
        g->runs[s] = (struct batch_run){.first_row = first, .n_rows = end - first, .fresh = true};
        for (uint32_t row = first; row < end; row++) {
            g->positions[row] = row - first;
            g->row_run[row] = s;
        }
    }
    return HEARTH_OK;
}

static struct batch_targets fill_targets(struct graph *g, const struct train_batch *b,
                                         float gradient_scale) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        if (b->targets[i] < 0) continue;
        g->target_rows[n] = i;
        g->target_tokens[n] = b->targets[i];
        g->target_weights[n++] = b->row_weights ? b->row_weights[i] : 1.0f;
    }
    return (struct batch_targets){.n = n,
                                  .rows = g->target_rows,
                                  .tokens = g->target_tokens,
                                  .weights = g->target_weights,
                                  .gradient_scale = gradient_scale,
                                  .losses = g->losses,
                                  .soft = b->soft};
}

static void sum_losses(const struct graph *g, const struct batch_targets *t, uint32_t n_rows,
                       struct train_loss *loss, float *row_losses) {
    *loss = (struct train_loss){0};
    if (row_losses) memset(row_losses, 0, n_rows * sizeof *row_losses);
    for (uint32_t i = 0; i < t->n; i++) {
        loss->sum += (double)t->weights[i] * (double)g->losses[i];
        loss->weight += (double)t->weights[i];
        if (row_losses) row_losses[t->rows[i]] = g->losses[i];
    }
}

/* A batch as the device sees it. */
struct pass {
    struct batch_targets targets;
    struct batch rows;
    uint64_t noise; /* used in steps */
};

static hearth_status take_batch(struct graph *g, const struct train_batch *batch,
                                float gradient_scale, struct pass *pass, hearth_error *err) {
    RETURN_IF_ERROR(check_rows(g, batch, err));
    RETURN_IF_ERROR(check_soft(g, batch, err));
    RETURN_IF_ERROR(fill_runs(g, batch, err));
    pass->targets = fill_targets(g, batch, gradient_scale);
    pass->rows = (struct batch){.n_rows = batch->n_rows,
                                .tokens = batch->tokens,
                                .positions = g->positions,
                                .row_run = g->row_run,
                                .runs = g->runs,
                                .n_runs = batch->n_sequences,
                                .targets = &pass->targets};
    pass->noise = rng_at(g->options.seed, batch->number);
    executor_update_adapters(g->executor); /* parameters may have changed */
    return HEARTH_OK;
}

/* Parts [begin, end) of a pass, before part `next`; batch NULL: the observer alone is told. */
static hearth_status run_parts(struct graph *g, size_t begin, size_t end, size_t next,
                               const struct batch *batch, hearth_error *err) {
    const struct pass_observer *observer = &g->observer;
    for (size_t i = begin; i < end; i++) {
        const struct pass_part *part = &g->parts.items[i];
        struct op *ops = i == g->parts.n ? &g->loss_only : g->tape.plan.ops + part->begin;
        struct plan plan = {.ops = ops, .n_ops = part->end - part->begin};
        size_t then = i + 1 < end ? i + 1 : next;
        if (observer->enter) RETURN_IF_ERROR(observer->enter(observer->context, i, then, err));
        if (batch) RETURN_IF_ERROR(device_run(g->device, &plan, batch, err));
        if (observer->leave) RETURN_IF_ERROR(observer->leave(observer->context, i, then, err));
    }
    return HEARTH_OK;
}

/* Forward, and the loss without gradients. */
static hearth_status run_forward(struct graph *g, size_t next, const struct batch *batch,
                                 hearth_error *err) {
    size_t loss_alone = g->parts.n;
    RETURN_IF_ERROR(run_parts(g, 0, g->parts.n_forward, loss_alone, batch, err));
    return run_parts(g, loss_alone, loss_alone + 1, next, batch, err);
}

hearth_status graph_step(struct graph *g, const struct train_batch *batch, float gradient_scale,
                         struct train_loss *loss, float *row_losses, hearth_error *err) {
    struct pass pass;
    RETURN_IF_ERROR(take_batch(g, batch, gradient_scale, &pass, err));
    pass.rows.noise = &pass.noise;
    RETURN_IF_ERROR(run_parts(g, 0, g->parts.n, NO_PART, &pass.rows, err));
    sum_losses(g, &pass.targets, batch->n_rows, loss, row_losses);
    return HEARTH_OK;
}

hearth_status graph_step_weighed(struct graph *g, const struct train_batch *batch,
                                 const struct row_weigher *weigher, hearth_error *err) {
    size_t backward = g->parts.n_forward;
    struct pass pass;
    struct train_loss ignored;
    RETURN_IF_ERROR(take_batch(g, batch, 1.0f, &pass, err));
    pass.rows.noise = &pass.noise;
    RETURN_IF_ERROR(run_forward(g, backward, &pass.rows, err));
    sum_losses(g, &pass.targets, batch->n_rows, &ignored, weigher->row_losses);
    weigher->weigh(weigher->context, weigher->row_losses, weigher->row_weights);
    for (uint32_t i = 0; i < pass.targets.n; i++)
        g->target_weights[i] = weigher->row_weights[g->target_rows[i]];
    return run_parts(g, backward, g->parts.n, NO_PART, &pass.rows, err);
}

hearth_status graph_evaluate(struct graph *g, const struct train_batch *batch,
                             struct train_loss *loss, float *row_losses, hearth_error *err) {
    struct pass pass;
    RETURN_IF_ERROR(take_batch(g, batch, 0, &pass, err));
    RETURN_IF_ERROR(run_forward(g, NO_PART, &pass.rows, err));
    sum_losses(g, &pass.targets, batch->n_rows, loss, row_losses);
    return HEARTH_OK;
}

hearth_status graph_evaluate_base(struct graph *g, const struct train_batch *batch,
                                  struct train_loss *loss, float *row_losses, hearth_error *err) {
    struct plan loss_only = {.ops = &g->loss_only, .n_ops = 1};
    struct pass pass;
    if (!graph_has_base(g))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "weights of the model itself are trained: it is not there unchanged");
    RETURN_IF_ERROR(take_batch(g, batch, 0, &pass, err));
    RETURN_IF_ERROR(device_run(g->device, &g->base, &pass.rows, err));
    RETURN_IF_ERROR(device_run(g->device, &loss_only, &pass.rows, err));
    sum_losses(g, &pass.targets, batch->n_rows, loss, row_losses);
    return HEARTH_OK;
}

void graph_clear_gradients(struct graph *g) {
    device_clear_gradients(g->device, g->tensors, g->n_parameters);
}

/* ---- passes in parts --------------------------------------------------------- */

const struct pass_parts *graph_pass_parts(const struct graph *g) {
    return &g->parts;
}

void graph_observe(struct graph *g, const struct pass_observer *observer) {
    g->observer = *observer;
}

hearth_status graph_take_part(struct graph *g, bool step, hearth_error *err) {
    return step ? run_parts(g, 0, g->parts.n, NO_PART, NULL, err)
                : run_forward(g, NO_PART, NULL, err);
}
