#include "device/cpu_device.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"

enum { MAX_BUFFERS = 1 << 20, BUFFER_ALIGNMENT = 64 };

static const cpu_op operations[OP_KINDS] = {
    [OP_EMBED] = cpu_embed,
    [OP_HEAD_LINEAR] = cpu_head_linear,
    [OP_NORM] = cpu_norm,
    [OP_ROPE] = cpu_rope,
    [OP_POSITION_SCALE] = cpu_position_scale,
    [OP_KV_WRITE] = cpu_kv_write,
    [OP_KV_PREVIOUS] = cpu_kv_previous,
    [OP_ATTENTION] = cpu_attention,
    [OP_ADD] = cpu_add,
    [OP_SCALE] = cpu_scale,
    [OP_ADD_ROW] = cpu_add_row,
    [OP_MUL_ROW] = cpu_mul_row,
    [OP_ACTIVATE] = cpu_activate,
    [OP_GATED] = cpu_gated,
    [OP_SOFTCAP] = cpu_softcap,
    [OP_COPY] = cpu_copy,
    [OP_GATHER_ROWS] = cpu_gather_rows,
    [OP_EXPERT_ROUTE] = cpu_expert_route,
    [OP_EXPERT_SUM] = cpu_expert_sum,
    [OP_CONV] = cpu_conv,
    [OP_DELTA_NET] = cpu_delta_net,
    [OP_MAMBA2] = cpu_mamba2,
    [OP_POOL_ROWS] = cpu_pool_rows,
    [OP_LINEAR_TRAIN] = cpu_linear_train,
    [OP_LINEAR_BACK_INPUT] = cpu_linear_back_input,
    [OP_LINEAR_BACK_WEIGHT] = cpu_linear_back_weight,
    [OP_COLUMN_SUM] = cpu_column_sum,
    [OP_EMBED_BACK] = cpu_embed_back,
    [OP_NORM_BACK] = cpu_norm_back,
    [OP_NORM_BACK_WEIGHT] = cpu_norm_back_weight,
    [OP_ACTIVATE_BACK] = cpu_activate_back,
    [OP_GATED_BACK] = cpu_gated_back,
    [OP_SOFTCAP_BACK] = cpu_softcap_back,
    [OP_COPY_BACK] = cpu_copy_back,
    [OP_CONV_BACK] = cpu_conv_back,
    [OP_ATTENTION_TRAIN] = cpu_attention_train,
    [OP_ATTENTION_BACK] = cpu_attention_back,
    [OP_EXPERT_SPREAD] = cpu_expert_spread,
    [OP_EXPERT_SPREAD_BACK] = cpu_expert_spread_back,
    [OP_EXPERT_LINEAR_TRAIN] = cpu_expert_linear_train,
    [OP_EXPERT_LINEAR_BACK_INPUT] = cpu_expert_linear_back_input,
    [OP_EXPERT_LINEAR_BACK_WEIGHT] = cpu_expert_linear_back_weight,
    [OP_EXPERT_SUM_BACK] = cpu_expert_sum_back,
    [OP_EXPERT_ROUTE_BACK] = cpu_expert_route_back,
    [OP_DELTA_NET_BACK] = cpu_delta_net_back,
    [OP_MAMBA2_BACK] = cpu_mamba2_back,
    [OP_CROSS_ENTROPY] = cpu_cross_entropy,
    [OP_CLEAR] = cpu_clear,
    [OP_DROPOUT] = cpu_dropout,
    [OP_NOISE] = cpu_noise,
    [OP_ROPE_TABLE] = cpu_rope_table,
};

hearth_status device_open_cpu(struct device **out, const struct device_options *options,
                              hearth_error *err) {
    enum cpu_level level;
    *out = NULL;
    RETURN_IF_ERROR(cpu_choose(&level, err));
    struct device *device = mem_calloc(1, sizeof *device);
    if (!device) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the device");
    device->options = *options;
    device->kernels = kernels_for(level);
    hearth_status status = pool_open(&device->pool, options->n_threads, err);
    if (status != HEARTH_OK) {
        device_close(device);
        return status;
    }
    pool_tie(device->pool, options->nodes);
    unsigned n_threads = pool_threads(device->pool);
    snprintf(device->description, sizeof device->description, "cpu %s, %u thread%s",
             cpu_level_name(level), n_threads, n_threads == 1 ? "" : "s");
    *out = device;
    return HEARTH_OK;
}

static void release_scratch(struct device *device) {
    unsigned n_threads = device->pool ? pool_threads(device->pool) : 0;
    for (unsigned i = 0; device->thread_scratch && i < n_threads; i++)
        mem_free(device->thread_scratch[i]);
    mem_free(device->thread_scratch);
    mem_free(device->act_rows);
    mem_free(device->partials);
    mem_free(device->experts.chosen);
    mem_free(device->experts.weights);
    mem_free(device->experts.place);
    mem_free(device->experts.at);
    mem_free(device->experts.row);
    mem_free(device->experts.offsets);
    mem_free(device->prompt_rows);
    mem_free(device->adapters.rows);
}

void device_close(struct device *device) {
    if (!device) return;
    release_scratch(device);
    pool_close(device->pool);
    for (size_t i = 0; i < device->n_buffers; i++)
        if (device->buffers[i].owned)
            mem_pages_free(device->buffers[i].data, (size_t)device->buffers[i].size_bytes);
    mem_free(device->buffers);
    mem_free(device);
}

static hearth_status add_buffer(struct device *device, struct cpu_buffer buffer, device_buffer *out,
                                hearth_error *err) {
    buffer.used = true;
    for (size_t i = 0; i < device->n_buffers; i++)
        if (!device->buffers[i].used) {
            device->buffers[i] = buffer;
            *out = (device_buffer)i + 1;
            return HEARTH_OK;
        }
    if (device->n_buffers == device->buffers_capacity) {
        size_t capacity = device->buffers_capacity ? device->buffers_capacity * 2 : 256;
        struct cpu_buffer *grown = capacity <= MAX_BUFFERS
                                       ? mem_realloc_array(device->buffers, capacity, sizeof *grown)
                                       : NULL;
        if (!grown)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for buffer %zu",
                             device->n_buffers);
        device->buffers = grown;
        device->buffers_capacity = capacity;
    }
    device->buffers[device->n_buffers++] = buffer;
    *out = (device_buffer)device->n_buffers;
    return HEARTH_OK;
}

hearth_status device_import(struct device *device, const void *data, uint64_t size_bytes,
                            device_buffer *out, hearth_error *err) {
    for (size_t i = 0; i < device->n_buffers; i++) {
        const struct cpu_buffer *known = &device->buffers[i];
        if (known->used && !known->owned && known->data == data &&
            known->size_bytes == size_bytes) {
            *out = (device_buffer)i + 1;
            return HEARTH_OK;
        }
    }
    return add_buffer(
        device, (struct cpu_buffer){.data = (void *)(uintptr_t)data, .size_bytes = size_bytes}, out,
        err);
}

static hearth_status alloc_owned(struct device *device, uint64_t size_bytes,
                                 void *(*alloc)(size_t size_bytes), device_buffer *out,
                                 hearth_error *err) {
    char need[32], cap[32];
    uint64_t max = device->options.max_bytes;
    *out = 0;
    if (max && (size_bytes > max || device->allocated_bytes > max - size_bytes))
        return error_set(err, HEARTH_ERROR_NO_MEMORY,
                         "%s more would exceed the memory budget of %s; use a shorter context or a "
                         "smaller cache type",
                         units_format_bytes(size_bytes, need, sizeof need),
                         units_format_bytes(max, cap, sizeof cap));
    void *data = alloc((size_t)size_bytes);
    if (!data)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %s",
                         units_format_bytes(size_bytes, need, sizeof need));
    hearth_status status = add_buffer(
        device, (struct cpu_buffer){.data = data, .size_bytes = size_bytes, .owned = true}, out,
        err);
    if (status != HEARTH_OK)
        mem_pages_free(data, (size_t)size_bytes);
    else
        device->allocated_bytes += size_bytes;
    return status;
}

hearth_status device_alloc(struct device *device, uint64_t size_bytes, device_buffer *out,
                           hearth_error *err) {
    return alloc_owned(device, size_bytes, mem_pages_alloc, out, err);
}

hearth_status device_alloc_huge(struct device *device, uint64_t size_bytes, device_buffer *out,
                                hearth_error *err) {
    return alloc_owned(device, size_bytes, mem_huge_pages_alloc, out, err);
}

void device_free(struct device *device, device_buffer buffer) {
    if (!buffer) return;
    struct cpu_buffer *slot = &device->buffers[buffer - 1];
    if (slot->owned) {
        device->allocated_bytes -= slot->size_bytes;
        mem_pages_free(slot->data, (size_t)slot->size_bytes);
    }
    *slot = (struct cpu_buffer){0};
}

static hearth_status check_range(const struct device *device, device_buffer buffer,
                                 uint64_t offset_bytes, uint64_t size_bytes, hearth_error *err) {
    uint64_t have = device->buffers[buffer - 1].size_bytes;
    if (offset_bytes > have || size_bytes > have - offset_bytes)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "access to bytes %llu + %llu of a buffer of %llu",
                         (unsigned long long)offset_bytes, (unsigned long long)size_bytes,
                         (unsigned long long)have);
    return HEARTH_OK;
}

hearth_status device_part(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                          uint64_t size_bytes, device_buffer *out, hearth_error *err) {
    RETURN_IF_ERROR(check_range(device, buffer, offset_bytes, size_bytes, err));
    uint8_t *data = (uint8_t *)buffer_data(device, buffer) + offset_bytes;
    return add_buffer(device, (struct cpu_buffer){.data = data, .size_bytes = size_bytes}, out,
                      err);
}

hearth_status device_write(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                           const void *data, uint64_t size_bytes, hearth_error *err) {
    RETURN_IF_ERROR(check_range(device, buffer, offset_bytes, size_bytes, err));
    memcpy((char *)buffer_data(device, buffer) + offset_bytes, data, (size_t)size_bytes);
    return HEARTH_OK;
}

hearth_status device_read(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                          void *data, uint64_t size_bytes, hearth_error *err) {
    RETURN_IF_ERROR(check_range(device, buffer, offset_bytes, size_bytes, err));
    memcpy(data, (const char *)buffer_data(device, buffer) + offset_bytes, (size_t)size_bytes);
    return HEARTH_OK;
}

hearth_status device_copy(struct device *device, device_buffer buffer, uint64_t from_bytes,
                          uint64_t to_bytes, uint64_t size_bytes, hearth_error *err) {
    RETURN_IF_ERROR(check_range(device, buffer, from_bytes, size_bytes, err));
    RETURN_IF_ERROR(check_range(device, buffer, to_bytes, size_bytes, err));
    char *data = buffer_data(device, buffer);
    memcpy(data + to_bytes, data + from_bytes, (size_t)size_bytes);
    return HEARTH_OK;
}

hearth_status device_drop(struct device *device, device_buffer buffer, uint64_t offset_bytes,
                          uint64_t size_bytes, hearth_error *err) {
    RETURN_IF_ERROR(check_range(device, buffer, offset_bytes, size_bytes, err));
    mem_pages_drop((char *)buffer_data(device, buffer) + offset_bytes, (size_t)size_bytes);
    return HEARTH_OK;
}

static bool grow_thread_scratch(struct device *device, size_t floats) {
    unsigned n_threads = pool_threads(device->pool);
    if (!device->thread_scratch)
        device->thread_scratch = mem_calloc(n_threads, sizeof *device->thread_scratch);
    if (!device->thread_scratch) return false;
    if (floats <= device->thread_scratch_floats) return true;
    device->thread_scratch_floats = 0;
    for (unsigned i = 0; i < n_threads; i++) {
        mem_free(device->thread_scratch[i]);
        device->thread_scratch[i] = mem_alloc_aligned(BUFFER_ALIGNMENT, floats * sizeof(float));
        if (!device->thread_scratch[i]) return false;
    }
    device->thread_scratch_floats = floats;
    return true;
}

static bool grow_act_rows(struct device *device, size_t bytes) {
    if (bytes <= device->act_rows_bytes) return true;
    mem_free(device->act_rows);
    device->act_rows_bytes = 0;
    device->act_rows = mem_alloc_aligned(BUFFER_ALIGNMENT, bytes);
    if (device->act_rows) device->act_rows_bytes = bytes;
    return device->act_rows != NULL;
}

static bool grow_partials(struct device *device, size_t floats) {
    if (floats <= device->partials_floats) return true;
    mem_free(device->partials);
    device->partials_floats = 0;
    device->partials = mem_alloc_aligned(BUFFER_ALIGNMENT, floats * sizeof(float));
    if (device->partials) device->partials_floats = floats;
    return device->partials != NULL;
}

static bool grow_experts(struct device *device, size_t pairs, size_t n_expert) {
    struct cpu_experts *e = &device->experts;
    if (pairs > device->expert_pairs) {
        mem_free(e->chosen);
        mem_free(e->weights);
        mem_free(e->place);
        mem_free(e->at);
        mem_free(e->row);
        device->expert_pairs = 0;
        e->chosen = mem_calloc(pairs, sizeof *e->chosen);
        e->weights = mem_calloc(pairs, sizeof *e->weights);
        e->place = mem_calloc(pairs, sizeof *e->place);
        e->at = mem_calloc(pairs, sizeof *e->at);
        e->row = mem_calloc(pairs, sizeof *e->row);
        if (!e->chosen || !e->weights || !e->place || !e->at || !e->row) return false;
        device->expert_pairs = pairs;
    }
    if (n_expert > device->n_expert) {
        mem_free(e->offsets);
        e->offsets = mem_calloc(2 * n_expert + 1, sizeof *e->offsets);
        device->n_expert = e->offsets ? n_expert : 0;
    }
    return n_expert == 0 || e->offsets != NULL;
}

static bool need_prompt_rows(struct device *device) {
    if (cpu_has_prompts(device) && !device->prompt_rows)
        device->prompt_rows = mem_calloc(device->options.max_tokens, sizeof *device->prompt_rows);
    return !cpu_has_prompts(device) || device->prompt_rows;
}

static bool need_adapters(struct device *device) {
    struct cpu_adapters *adapters = &device->adapters;
    if (!adapters->rows)
        adapters->rows = mem_calloc((size_t)device->options.max_tokens * RUN_MAX_ADAPTERS,
                                    sizeof *adapters->rows);
    return adapters->rows != NULL;
}

hearth_status device_prepare(struct device *device, const struct plan *plan, hearth_error *err) {
    size_t floats = 0, act_bytes = 0, partials = 0, pairs = 0, n_expert = 0;
    bool adapters = false;
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        size_t f = cpu_thread_scratch_floats(device, op), a = cpu_act_rows_bytes(device, op);
        size_t train = cpu_train_scratch_floats(device, op);
        if (train > f) f = train;
        if (cpu_train_shared_bytes(device, op) > a) a = cpu_train_shared_bytes(device, op);
        if (f > floats) floats = f;
        if (a > act_bytes) act_bytes = a;
        adapters = adapters || op->adapter;
        if (op->kind == OP_ATTENTION) {
            size_t p = cpu_attention_partial_floats(device, op);
            if (p > partials) partials = p;
        }
        if (op->kind != OP_EXPERT_ROUTE) continue;
        size_t p = (size_t)device->options.max_tokens * op->route.n_used;
        if (p > pairs) pairs = p;
        if (op->route.n_expert > n_expert) n_expert = op->route.n_expert;
    }
    if (!grow_thread_scratch(device, floats) || !grow_act_rows(device, act_bytes) ||
        !grow_partials(device, partials) || !grow_experts(device, pairs, n_expert) ||
        !need_prompt_rows(device) || (adapters && !need_adapters(device)))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for scratch space (%zu bytes)",
                         (floats * pool_threads(device->pool) + partials) * sizeof(float) +
                             act_bytes);
    return HEARTH_OK;
}

struct plan_run {
    struct device *device;
    const struct plan *plan;
    const struct batch *batch;
};

static void observe(const struct cpu_run *run, const struct op *op) {
    const struct device *device = run->device;
    if ((op->kind != OP_LINEAR && op->kind != OP_EXPERT_LINEAR) || op->adapter) return;
    struct device_input input = {.op = op,
                                 .rows = view_row(run, op->in, 0),
                                 .stride = op->in.stride,
                                 .n_pairs = op_row_count(run, op),
                                 .share = 1};
    if (op->kind == OP_EXPERT_LINEAR) {
        input.n_pairs = (size_t)run->batch->n_rows * op->expert.n_used;
        input.share = op->expert.per_expert_rows ? 1 : op->expert.n_used;
        input.experts = op->expert.per_expert_rows ? device->experts.at : device->experts.chosen;
    }
    device->observer(device->observer_context, &input, run->thread, run->n_threads);
}

/* How many of `ops` are carried out together. */
static size_t count_together(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    if (ops->kind == OP_EXPERT_LINEAR) return cpu_expert_group(run, ops, n_ops);
    if (ops->kind != OP_LINEAR) return 1;
    return ops->adapter ? cpu_adapter_group(run->device, ops, n_ops)
                        : cpu_linear_group(run->device, ops, n_ops);
}

/* The first of `ops`, and those after it that are carried out with it; returns how many. */
static size_t walk_ops(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    size_t n = count_together(run, ops, n_ops);
    for (size_t i = 0; run->device->observer && i < n; i++)
        observe(run, ops + i);
    switch (ops->kind) {
    case OP_LINEAR:
        if (ops->adapter)
            cpu_adapter_linear(run, ops, n);
        else
            cpu_linear(run, ops, n);
        break;
    case OP_EXPERT_LINEAR: cpu_expert_linear(run, ops, n); break;
    default: operations[ops->kind](run, ops);
    }
    return n;
}

static void walk_plan(void *context, unsigned thread, unsigned n_threads) {
    const struct plan_run *job = context;
    struct cpu_run run = {.device = job->device,
                          .k = job->device->kernels,
                          .batch = job->batch,
                          .thread = thread,
                          .n_threads = n_threads};
    const struct op *op = job->plan->ops, *end = op + job->plan->n_ops;
    uint64_t *op_ns = thread == 0 ? job->device->op_ns : NULL;
    while (op < end) {
        if (op->adapter && job->device->adapters.count[op->adapter] == 0) {
            op++; /* no row uses it */
            continue;
        }
        uint64_t start = op_ns ? clock_now_ns() : 0;
        enum op_kind kind = op->kind;
        op += walk_ops(&run, op, (size_t)(end - op));
        pool_barrier(job->device->pool);
        if (op_ns) op_ns[kind] += clock_now_ns() - start;
    }
}

hearth_status device_run(struct device *device, const struct plan *plan, const struct batch *batch,
                         hearth_error *err) {
    if (batch->n_rows == 0 || batch->n_rows > device->options.max_tokens)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a batch of %u rows; 1 to %u are possible",
                         batch->n_rows, device->options.max_tokens);
    struct plan_run job = {device, plan, batch};
    cpu_list_prompts(device, batch);
    cpu_list_adapters(device, batch);
    pool_run(device->pool, walk_plan, &job);
    return HEARTH_OK;
}

void device_observe(struct device *device, device_observer observer, void *context) {
    device->observer = observer;
    device->observer_context = context;
}

void device_time_ops(struct device *device, uint64_t *op_ns) {
    device->op_ns = op_ns;
}

uint64_t device_allocated_bytes(const struct device *device) {
    return device->allocated_bytes;
}

uint64_t device_scratch_bytes(const struct device *device) {
    size_t floats = device->thread_scratch_floats * pool_threads(device->pool);
    size_t pair = sizeof *device->experts.chosen + sizeof *device->experts.weights +
                  sizeof *device->experts.place + sizeof *device->experts.at +
                  sizeof *device->experts.row;
    return (floats + device->partials_floats) * sizeof(float) + device->act_rows_bytes +
           device->expert_pairs * pair +
           (2 * device->n_expert + 1) * sizeof *device->experts.offsets +
           (device->prompt_rows ? device->options.max_tokens * sizeof *device->prompt_rows : 0) +
           (device->adapters.rows
                ? device->options.max_tokens * RUN_MAX_ADAPTERS * sizeof *device->adapters.rows
                : 0);
}

const char *device_description(const struct device *device) {
    return device->description;
}

unsigned device_threads(const struct device *device) {
    return pool_threads(device->pool);
}

bool device_has_prompts(const struct device *device) {
    return cpu_has_prompts(device);
}

struct span cpu_span(const struct cpu_run *run, size_t rows, size_t width) {
    struct span span = {.row_end = rows, .end = width};
    if (rows >= run->n_threads)
        pool_share(rows, 1, run->thread, run->n_threads, &span.row_begin, &span.row_end);
    else
        pool_share(width, COLUMN_GRANULE, run->thread, run->n_threads, &span.begin, &span.end);
    return span;
}
