#include "train/pass_parts.h"

#include "base/mem.h"
#include "train/tape.h"

/* Gradients of embeddings need to know how large they are, not what they are. */
static bool reads_value(const struct op *op, const struct parameter *p) {
    return op->kind != OP_EMBED_BACK && (op->w.buffer == p->value || op->bias.buffer == p->value);
}

static bool adds_to_gradient(const struct op *op, const struct parameter *p) {
    return op->out.buffer == p->gradient || op->out2.buffer == p->gradient ||
           op->out3.buffer == p->gradient;
}

static bool touches(const struct op *op, const struct parameter *parameters, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (reads_value(op, &parameters[i]) || adds_to_gradient(op, &parameters[i])) return true;
    return false;
}

/* The loss is a part of its own, because some passes stop behind it. */
static void cut(struct pass_parts *out, const struct tape *tape, const struct parameter *parameters,
                size_t n_parameters) {
    uint32_t layer = NO_LAYER;
    bool touched = false; /* by the part at hand */
    for (size_t i = 0; i < tape->plan.n_ops; i++) {
        const struct op *op = &tape->plan.ops[i];
        bool is_touched = touches(op, parameters, n_parameters);
        bool starts = i == 0 || i == tape->n_forward || i == tape->n_forward + 1 ||
                      (is_touched && touched && op->layer != layer);
        if (starts) {
            out->items[out->n++] = (struct pass_part){.begin = i, .backward = i >= tape->n_forward};
            touched = false;
        }
        if (is_touched && !touched) layer = op->layer;
        touched = touched || is_touched;
        out->items[out->n - 1].end = i + 1;
        if (i < tape->n_forward) out->n_forward = out->n;
    }
}

static bool part_reads(const struct pass_part *part, const struct tape *tape,
                       const struct parameter *p) {
    for (size_t i = part->begin; i < part->end; i++)
        if (reads_value(&tape->plan.ops[i], p)) return true;
    return false;
}

/* One whose gradient nothing adds to is complete at the end. */
static size_t last_addition(const struct tape *tape, const struct parameter *p) {
    for (size_t i = tape->plan.n_ops; i-- > tape->n_forward;)
        if (adds_to_gradient(&tape->plan.ops[i], p)) return i;
    return tape->plan.n_ops - 1;
}

/* Fills the lists of a part into `numbers`, which has room; returns how many numbers. */
static size_t fill_lists(struct pass_part *part, const struct tape *tape,
                         const struct parameter *parameters, size_t n_parameters,
                         const size_t *last, uint32_t *numbers) {
    size_t n_reads = 0, n_completes = 0;
    for (size_t p = 0; p < n_parameters; p++)
        if (part_reads(part, tape, &parameters[p])) numbers[n_reads++] = (uint32_t)p;
    for (size_t p = 0; part->backward && p < n_parameters; p++)
        if (last[p] >= part->begin && last[p] < part->end)
            numbers[n_reads + n_completes++] = (uint32_t)p;
    part->reads = (struct parameter_list){numbers, n_reads};
    part->completes = (struct parameter_list){numbers + n_reads, n_completes};
    return n_reads + n_completes;
}

/* Every operation reads two parameters at most, and each is completed once. */
static hearth_status fill(struct pass_parts *out, const struct tape *tape,
                          const struct parameter *parameters, size_t n_parameters,
                          hearth_error *err) {
    size_t used = 0;
    size_t *last = mem_calloc(n_parameters + 1, sizeof *last);
    out->numbers = mem_calloc(2 * (tape->plan.n_ops + 1) + n_parameters + 1, sizeof *out->numbers);
    if (!last || !out->numbers) {
        mem_free(last);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the parts of a pass");
    }
    for (size_t p = 0; p < n_parameters; p++)
        last[p] = last_addition(tape, &parameters[p]);
    for (size_t i = 0; i <= out->n; i++)
        used +=
            fill_lists(&out->items[i], tape, parameters, n_parameters, last, out->numbers + used);
    mem_free(last);
    return HEARTH_OK;
}

hearth_status pass_parts_open(struct pass_parts *out, const struct tape *tape,
                              const struct parameter *parameters, size_t n_parameters,
                              hearth_error *err) {
    *out = (struct pass_parts){.items = mem_calloc(tape->plan.n_ops + 1, sizeof *out->items)};
    if (!out->items)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the parts of a pass");
    cut(out, tape, parameters, n_parameters);
    out->items[out->n] = (struct pass_part){.begin = tape->n_forward, .end = tape->n_forward + 1};
    return fill(out, tape, parameters, n_parameters, err);
}

void pass_parts_close(struct pass_parts *parts) {
    mem_free(parts->items);
    mem_free(parts->numbers);
    *parts = (struct pass_parts){0};
}

static bool has(const struct parameter_list *list, size_t number) {
    for (size_t i = 0; i < list->n; i++)
        if (list->numbers[i] == number) return true;
    return false;
}

static bool adds_before(const struct tape *tape, size_t end, const struct parameter *p) {
    for (size_t i = tape->n_forward; i < end; i++)
        if (adds_to_gradient(&tape->plan.ops[i], p)) return true;
    return false;
}

/* Whether a part after `at` - 1 completes a gradient. */
static bool completed_since(const struct pass_parts *parts, size_t at, size_t number) {
    for (size_t i = at; i < parts->n; i++)
        if (has(&parts->items[i].completes, number)) return true;
    return false;
}

uint64_t pass_parts_most_whole(const struct pass_parts *parts, const struct tape *tape,
                               const struct parameter *parameters, size_t n_parameters,
                               bool weights, bool gradients) {
    uint64_t most = 0;
    for (size_t i = 0; i < parts->n; i++) {
        const struct pass_part *part = &parts->items[i];
        const struct pass_part *next = i + 1 < parts->n ? part + 1 : part;
        uint64_t values = 0;
        for (size_t p = 0; p < n_parameters; p++) {
            uint64_t n = (uint64_t)parameters[p].rows * parameters[p].cols;
            if (weights && (has(&part->reads, p) || has(&next->reads, p))) values += n;
            if (gradients && adds_before(tape, part->end, &parameters[p]) &&
                completed_since(parts, i > parts->n_forward ? i - 1 : i, p))
                values += n;
        }
        if (values > most) most = values;
    }
    return most;
}
