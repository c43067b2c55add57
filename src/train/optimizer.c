#include "train/optimizer.h"

#include <math.h>

#include "base/mem.h"

struct optimizer {
    struct device *device;
    const struct parameter *parameters;
    struct trained_tensor *tensors; /* what this rank steps */
    struct trained_tensor *whole;   /* the same tensors from end to end, without moments */
    struct exchange *exchange;      /* NULL: one rank */
    bool summed;                    /* gradients are the sums of all ranks' */
    size_t n;
    struct optimizer_options options;
    uint64_t steps;
};

struct optimizer_options optimizer_defaults(void) {
    return (struct optimizer_options){
        .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .max_norm = 1.0f};
}

static uint64_t value_count(const struct parameter *p) {
    return (uint64_t)p->rows * p->cols;
}

/* The values of a parameter that this rank steps. */
static struct share own_share(const struct optimizer_options *o, const struct parameter *p) {
    if (o->stage < ZERO_MOMENTS) return (struct share){0, value_count(p)};
    return share_of(value_count(p), ranks_rank(o->ranks), ranks_count(o->ranks));
}

uint64_t optimizer_bytes(const struct parameter *parameters, size_t n_parameters,
                         const struct optimizer_options *options) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < n_parameters; i++)
        bytes += 2 * moment_bytes(options->moments, own_share(options, &parameters[i]).n);
    return bytes;
}

uint64_t optimizer_state_bytes(const struct parameter *parameters, size_t n_parameters,
                               const struct optimizer_options *options) {
    uint64_t bytes = optimizer_bytes(parameters, n_parameters, options);
    for (size_t i = 0; i < n_parameters; i++) {
        uint64_t all = value_count(&parameters[i]), own = own_share(options, &parameters[i]).n;
        bytes += (options->stage >= ZERO_GRADIENTS ? own : all) * sizeof(float);
        bytes += (options->stage >= ZERO_VALUES ? own : all) * sizeof(float);
    }
    return bytes;
}

static hearth_status alloc_moments(struct optimizer *o, hearth_error *err) {
    for (size_t i = 0; i < o->n; i++) {
        const struct parameter *p = &o->parameters[i];
        struct trained_tensor *t = &o->tensors[i];
        struct share share = own_share(&o->options, p);
        o->whole[i] = (struct trained_tensor){
            .value = p->value, .gradient = p->gradient, .n = value_count(p), .decay = p->decay};
        *t = o->whole[i];
        t->first = share.first;
        t->n = share.n;
        uint64_t bytes = moment_bytes(o->options.moments, t->n);
        if (bytes == 0) continue;
        RETURN_IF_ERROR(device_alloc(o->device, bytes, &t->m, err));
        RETURN_IF_ERROR(device_alloc(o->device, bytes, &t->v, err));
    }
    return HEARTH_OK;
}

hearth_status optimizer_open(struct optimizer **out, struct device *device,
                             const struct parameter *parameters, size_t n_parameters,
                             const struct optimizer_options *options, hearth_error *err) {
    struct optimizer *o = mem_calloc(1, sizeof *o);
    if (o) o->tensors = mem_calloc(n_parameters ? n_parameters : 1, sizeof *o->tensors);
    if (o) o->whole = mem_calloc(n_parameters ? n_parameters : 1, sizeof *o->whole);
    if (!o || !o->tensors || !o->whole) {
        if (o) mem_free(o->tensors);
        mem_free(o);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu trained tensors",
                         n_parameters);
    }
    o->device = device;
    o->parameters = parameters;
    o->n = n_parameters;
    o->options = *options;
    bool alone = ranks_count(options->ranks) == 1;
    if (alone) o->options.stage = ZERO_NOTHING;
    struct exchange_options exchange = {o->options.stage, options->wire, options->parts};
    hearth_status status = alloc_moments(o, err);
    if (status == HEARTH_OK && !alone)
        status =
            exchange_open(&o->exchange, options->ranks, device, o->whole, o->n, &exchange, err);
    if (status != HEARTH_OK) {
        optimizer_close(o);
        return status;
    }
    *out = o;
    return HEARTH_OK;
}

void optimizer_close(struct optimizer *o) {
    if (!o) return;
    for (size_t i = 0; i < o->n; i++) {
        if (o->tensors[i].m) device_free(o->device, o->tensors[i].m);
        if (o->tensors[i].v) device_free(o->device, o->tensors[i].v);
    }
    exchange_close(o->exchange);
    mem_free(o->tensors);
    mem_free(o->whole);
    mem_free(o);
}

/* ---- ranks ---------------------------------------------------------------------- */

struct pass_observer optimizer_observer(struct optimizer *o) {
    return o->exchange ? exchange_observer(o->exchange) : (struct pass_observer){0};
}

bool optimizer_shares_passes(const struct optimizer *o) {
    return o->options.stage >= ZERO_GRADIENTS;
}

bool optimizer_shares_evaluations(const struct optimizer *o) {
    return o->options.stage >= ZERO_VALUES;
}

void optimizer_expect_last(struct optimizer *o) {
    if (o->exchange) exchange_expect_last(o->exchange);
}

hearth_status optimizer_sum_gradients(struct optimizer *o, hearth_error *err) {
    if (!o->exchange || o->summed) return HEARTH_OK;
    o->summed = true;
    return exchange_finish(o->exchange, err);
}

/* ---- steps ---------------------------------------------------------------------- */

/* Of the sum of all ranks' gradients. */
static hearth_status gradient_norm(struct optimizer *o, double *norm, hearth_error *err) {
    const struct optimizer_options *options = &o->options;
    RETURN_IF_ERROR(device_gradient_norm(o->device, o->tensors, o->n, norm, err));
    if (options->stage < ZERO_MOMENTS) return HEARTH_OK;
    double squares = *norm * *norm;
    RETURN_IF_ERROR(ranks_add(options->ranks, &squares, 1, err));
    *norm = sqrt(squares);
    return HEARTH_OK;
}

/* What this rank steps, and what the others do where it holds that, too. */
hearth_status optimizer_clear_gradients(struct optimizer *o, hearth_error *err) {
    bool all = o->options.stage < ZERO_GRADIENTS;
    o->summed = false;
    device_clear_gradients(o->device, all ? o->whole : o->tensors, o->n);
    return o->exchange ? exchange_drop_gradients(o->exchange, err) : HEARTH_OK;
}

/* 1 / (1 - beta^t). */
static float bias_correction(float beta, uint64_t t) {
    return (float)(1 / (1 - pow((double)beta, (double)t)));
}

hearth_status optimizer_step(struct optimizer *o, float rate, float gradient_scale, double *norm,
                             hearth_error *err) {
    const struct optimizer_options *options = &o->options;
    RETURN_IF_ERROR(optimizer_sum_gradients(o, err));
    RETURN_IF_ERROR(gradient_norm(o, norm, err));
    *norm *= fabs((double)gradient_scale);
    if (!isfinite(*norm)) {
        RETURN_IF_ERROR(optimizer_clear_gradients(o, err));
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the gradients of step %llu are not finite: the weights are as before; "
                         "lower the learning rate, or look for broken examples",
                         (unsigned long long)o->steps + 1);
    }
    double clip = 1;
    if (options->max_norm > 0 && *norm > (double)options->max_norm)
        clip = (double)options->max_norm / *norm;
    uint64_t t = o->steps + 1;
    struct adamw step = {.rate = rate,
                         .beta1 = options->beta1,
                         .beta2 = options->beta2,
                         .epsilon = options->epsilon,
                         .decay = rate * options->weight_decay,
                         .correction1 = bias_correction(options->beta1, t),
                         .correction2 = bias_correction(options->beta2, t),
                         .gradient_scale = (float)((double)gradient_scale * clip)};
    device_adamw(o->device, o->tensors, o->n, options->moments, &step, true);
    o->steps = t;
    o->summed = false;
    if (options->stage == ZERO_MOMENTS) device_clear_gradients(o->device, o->whole, o->n);
    return o->exchange ? exchange_values(o->exchange, err) : HEARTH_OK;
}

const struct parameter *optimizer_parameters(const struct optimizer *o, size_t *n) {
    *n = o->n;
    return o->parameters;
}

const struct trained_tensor *optimizer_tensors(const struct optimizer *o) {
    return o->tensors;
}

const struct optimizer_options *optimizer_settings(const struct optimizer *o) {
    return &o->options;
}

struct device *optimizer_device(const struct optimizer *o) {
    return o->device;
}

uint64_t optimizer_steps(const struct optimizer *o) {
    return o->steps;
}

void optimizer_set_steps(struct optimizer *o, uint64_t steps) {
    o->steps = steps;
}
