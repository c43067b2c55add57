/* Low-rank adapters on the CPU: which rows of a batch use which, and their thin matrices over those
 * rows alone. A row's sums are those of cpu_linear.c and cpu_prompt.c, whatever rows are beside
 * it. */
#include <string.h>

#include "device/cpu_device.h"

/* Rows of the batch that a thread takes at a time: the matrices themselves are too thin to
 * divide. */
enum { PIECE_ROWS = 64 };

/* ---- rows that use an adapter ----------------------------------------------------------- */

static void add_rows(struct cpu_adapters *adapters, const struct adapter_use *use,
                     const struct batch_run *run, bool prompt) {
    uint32_t *count = &adapters->count[use->adapter];
    struct cpu_adapter_rows *next = adapters->rows + adapters->begin[use->adapter] + *count;
    struct cpu_adapter_rows *last = *count > 0 ? next - 1 : NULL;
    if (last && last->first + last->n == run->first_row && last->strength == use->strength &&
        last->prompt == prompt) {
        last->n += run->n_rows;
        return;
    }
    *next = (struct cpu_adapter_rows){run->first_row, run->n_rows, use->strength, prompt};
    ++*count;
}

void cpu_list_adapters(struct device *device, const struct batch *batch) {
    struct cpu_adapters *adapters = &device->adapters;
    memset(adapters->count, 0, sizeof adapters->count);
    if (!adapters->rows) return;
    for (uint32_t r = 0; r < batch->n_runs; r++)
        for (uint32_t i = 0; i < batch->runs[r].n_adapters; i++)
            adapters->count[batch->runs[r].adapters[i].adapter]++;
    for (uint32_t a = 0, n = 0; a <= PLAN_MAX_ADAPTERS; a++) {
        adapters->begin[a] = n;
        n += adapters->count[a];
        adapters->count[a] = 0;
    }
    for (uint32_t r = 0; r < batch->n_runs; r++) {
        const struct batch_run *run = &batch->runs[r];
        for (uint32_t i = 0; i < run->n_adapters; i++)
            add_rows(adapters, &run->adapters[i], run, run->prompt && cpu_has_prompts(device));
    }
}

const struct cpu_adapter_rows *cpu_adapter_parts(const struct cpu_run *run, const struct op *op,
                                                 size_t *n) {
    const struct cpu_adapters *adapters = &run->device->adapters;
    *n = adapters->count[op->adapter];
    return adapters->rows + adapters->begin[op->adapter];
}

/* Whether a part is multiplied by cpu_prompt.c, and not here. */
static bool is_apart(const struct op *op, const struct cpu_adapter_rows *part) {
    return part->prompt && cpu_takes_prompts(op);
}

/* ---- their products --------------------------------------------------------------------- */

size_t cpu_adapter_group(const struct device *device, const struct op *ops, size_t n_ops) {
    size_t n = 1;
    while (n < n_ops && ops[n].kind == OP_LINEAR && ops[n].adapter == ops->adapter &&
           ops[n].linear.accumulate == ops->linear.accumulate &&
           cpu_takes_prompts(ops + n) == cpu_takes_prompts(ops) &&
           cpu_act_of(device, ops[n].w.type) == ACT_F32 &&
           cpu_act_of(device, ops->w.type) == ACT_F32 && ops[n - 1].out.buffer != ops[n].in.buffer)
        n++;
    return n;
}

/* Row i of the batch is row i here, too. */
static struct act_rows input_rows(const struct cpu_run *run, const struct op *op) {
    enum act act = cpu_act_of(run->device, op->w.type);
    if (act == ACT_F32)
        return (struct act_rows){view_row(run, op->in, 0), op->in.stride * sizeof(float)};
    return (struct act_rows){cpu_quantised_rows(run, op), act_row_bytes(act, op->w.cols)};
}

static void quantize_parts(const struct cpu_run *run, const struct op *op) {
    enum act act = cpu_act_of(run->device, op->w.type);
    size_t bytes = act_row_bytes(act, op->w.cols), n_parts;
    const struct cpu_adapter_rows *parts = cpu_adapter_parts(run, op, &n_parts);
    char *out = cpu_quantised_rows(run, op);
    for (size_t p = 0; p < n_parts; p++)
        for (size_t row = parts[p].first; row < (size_t)parts[p].first + parts[p].n; row++)
            if (row % run->n_threads == run->thread && !is_apart(op, &parts[p]))
                run->k->quantize_act[act](view_row(run, op->in, row), out + row * bytes,
                                          op->w.cols);
    pool_barrier(run->device->pool);
}

/* What threads divide are items: of every operation and part all columns for PIECE_ROWS rows,
 * then for the next ones, each beginning a granule. */
static size_t item_columns(const struct op *op) {
    return (op->w.rows + ROW_GRANULE - 1) / ROW_GRANULE * ROW_GRANULE;
}

static size_t items_of(const struct op *op, const struct cpu_adapter_rows *part) {
    size_t pieces = (part->n + PIECE_ROWS - 1) / PIECE_ROWS;
    return is_apart(op, part) ? 0 : pieces * item_columns(op);
}

static void multiply_part(const struct cpu_run *run, const struct op *op,
                          const struct cpu_adapter_rows *part, size_t begin, size_t end) {
    size_t columns = item_columns(op), last = (size_t)part->first + part->n;
    struct row_stretch piece = {.x = input_rows(run, op), .strength = part->strength};
    while (begin < end) {
        size_t from = begin % columns, left = end - begin;
        size_t to = left < columns - from ? from + left : columns;
        piece.first = part->first + begin / columns * PIECE_ROWS;
        piece.end = piece.first + PIECE_ROWS < last ? piece.first + PIECE_ROWS : last;
        begin += to - from;
        if (to > op->w.rows) to = op->w.rows;
        if (from < to) cpu_multiply_columns(&piece, run, op, from, to);
    }
}

static void multiply_parts(const struct cpu_run *run, const struct op *ops, size_t n_ops,
                           size_t begin, size_t end) {
    size_t at = 0, n_parts;
    const struct cpu_adapter_rows *parts = cpu_adapter_parts(run, ops, &n_parts);
    for (const struct op *op = ops; op < ops + n_ops; op++)
        for (size_t p = 0; p < n_parts && at < end; p++) {
            size_t n = items_of(op, &parts[p]), from = begin > at ? begin - at : 0;
            size_t to = end - at < n ? end - at : n;
            if (from < to) multiply_part(run, op, &parts[p], from, to);
            at += n;
        }
}

void cpu_adapter_linear(const struct cpu_run *run, const struct op *ops, size_t n_ops) {
    size_t items = 0, n_parts, begin, end;
    const struct cpu_adapter_rows *parts = cpu_adapter_parts(run, ops, &n_parts);
    for (size_t i = 0; i < n_ops; i++)
        for (size_t p = 0; p < n_parts; p++) {
            items += items_of(&ops[i], &parts[p]);
            if (!is_apart(&ops[i], &parts[p])) continue;
            cpu_prompt_adapter(run, &ops[i], &parts[p]);
            pool_barrier(run->device->pool); /* the division before the next one is over */
        }
    if (items == 0) return;
    if (cpu_act_of(run->device, ops->w.type) != ACT_F32) quantize_parts(run, ops);
    while (pool_take(run->device->pool, run->thread, items, ROW_GRANULE, &begin, &end))
        multiply_parts(run, ops, n_ops, begin, end);
}
