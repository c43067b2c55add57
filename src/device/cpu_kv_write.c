/* New keys and values into the pages of their sequences, and keys from there. */
#include <string.h>

#include "device/cpu_device.h"
#include "kernels/quantize.h"

static void store(const struct cpu_run *run, enum elem type, const float *x, void *out,
                  uint32_t d) {
    if (type == ELEM_F32)
        memcpy(out, x, d * sizeof *x);
    else if (type == ELEM_F16)
        run->k->to_f16(x, out, d);
    else
        quantize_rows(type, x, out, 1, d, NULL, NULL); /* the type was checked when lowered */
}

void cpu_kv_write(const struct cpu_run *run, const struct op *op) {
    const struct kv_layout *layout = &op->attention.layout;
    size_t begin, end;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        uint32_t position = run->batch->positions[row];
        const struct batch_run *part = &run->batch->runs[run->batch->row_run[row]];
        for (uint32_t h = 0; h < layout->n_head_kv; h++) {
            store(run, layout->k_type, view_row(run, op->in, row) + (size_t)h * layout->d_k,
                  kv_key(run->device, layout, part, h, position), layout->d_k);
            if (layout->v_in_k) continue;
            store(run, layout->v_type, view_row(run, op->in2, row) + (size_t)h * layout->d_v,
                  kv_value(run->device, layout, part, h, position), layout->d_v);
        }
    }
}

void cpu_kv_previous(const struct cpu_run *run, const struct op *op) {
    const struct kv_layout *layout = &op->attention.layout;
    size_t begin, end, width = (size_t)layout->n_head_kv * layout->d_k;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        uint32_t position = run->batch->positions[row];
        const struct batch_run *part = &run->batch->runs[run->batch->row_run[row]];
        float *out = view_row(run, op->out, row);
        if (position == 0) memset(out, 0, width * sizeof *out);
        for (uint32_t h = 0; position > 0 && h < layout->n_head_kv; h++) {
            const void *k = kv_key(run->device, layout, part, h, position - 1);
            run->k->dequantize[layout->k_type](k, out + (size_t)h * layout->d_k, layout->d_k);
        }
    }
}
