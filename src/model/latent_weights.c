/* The up-projections of latent attention. Current files have them apart, K transposed, as
 * the absorbed form needs them (attn_k_b, attn_v_b). Older ones have one matrix whose rows
 * are, head after head, n_nope rows for K and d_v for V (attn_kv_b): it is taken apart once,
 * into F16, or F32 where the file is. */
#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/lower.h"

/* One matrix of a head: [n_out][n_in] floats from rows of the file, transposed or not. */
struct part {
    uint32_t first_row, n_rows; /* within a head */
    bool transposed;
};

static enum elem stored_type(const struct tensor *fused) {
    return fused->type == ELEM_F32 ? ELEM_F32 : ELEM_F16;
}

static void copy_head(const struct kernels *kernels, const struct tensor *fused, size_t head_row,
                      const struct part *part, uint32_t rank, float *row, float *out) {
    size_t row_bytes = elem_row_bytes(fused->type, rank);
    for (uint32_t r = 0; r < part->n_rows; r++) {
        const uint8_t *from = fused->data + (head_row + part->first_row + r) * row_bytes;
        kernels->dequantize[fused->type](from, row, rank);
        for (uint32_t i = 0; i < rank; i++)
            out[part->transposed ? (size_t)i * part->n_rows + r : (size_t)r * rank + i] = row[i];
    }
}

static hearth_status write_parts(struct lowering *l, const struct tensor *fused,
                                 const struct part *part, uint32_t head_rows, uint32_t rank,
                                 device_buffer buffer, float *values) {
    enum cpu_level level;
    RETURN_IF_ERROR(cpu_choose(&level, l->err));
    const struct kernels *kernels = kernels_for(level);
    uint32_t n_head = l->config->layers[l->layer].n_head;
    size_t n = (size_t)part->n_rows * rank, bytes = elem_row_bytes(stored_type(fused), n);
    float *row = values + n;
    uint16_t *halves = (uint16_t *)(void *)(row + rank);
    for (uint32_t h = 0; h < n_head; h++) {
        copy_head(kernels, fused, (size_t)h * head_rows, part, rank, row, values);
        const void *stored = values;
        if (stored_type(fused) == ELEM_F16) {
            kernels->to_f16(values, halves, n);
            stored = halves;
        }
        RETURN_IF_ERROR(device_write(l->device, buffer, h * bytes, stored, bytes, l->err));
    }
    return HEARTH_OK;
}

static device_buffer split(struct lowering *l, const struct tensor *fused, const struct part *part,
                           uint32_t head_rows, uint32_t rank, device_buffer *slot) {
    if (*slot || l->status != HEARTH_OK) return *slot;
    size_t n = (size_t)part->n_rows * rank;
    uint64_t bytes =
        (uint64_t)l->config->layers[l->layer].n_head * elem_row_bytes(stored_type(fused), n);
    float *values = mem_alloc_array(n + rank + (n + 1) / 2, sizeof *values); /* see write_parts */
    if (!values) {
        lower_fail(l, HEARTH_ERROR_NO_MEMORY, "no memory to take apart '%s'", fused->name);
        return 0;
    }
    l->status = device_alloc(l->device, bytes, slot, l->err);
    if (l->status == HEARTH_OK)
        l->status = write_parts(l, fused, part, head_rows, rank, *slot, values);
    mem_free(values);
    return *slot;
}

struct latent_weights latent_weights(struct lowering *l, uint32_t n_nope) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    uint32_t rank = config->kv_rank, head_rows = n_nope + layer->d_v;
    struct latent_weights w = {0};
    if (lower_has(l, l->layer, "attn_k_b") || !lower_has(l, l->layer, "attn_kv_b")) {
        w.k = lower_need(l, l->layer, "attn_k_b", "weight", n_nope, rank, layer->n_head);
        w.v = lower_need(l, l->layer, "attn_v_b", "weight", rank, layer->d_v, layer->n_head);
        return w;
    }
    lower_need(l, l->layer, "attn_kv_b", "weight", rank, layer->n_head * head_rows, 0);
    char name[64];
    snprintf(name, sizeof name, "blk.%u.attn_kv_b.weight", l->layer);
    const struct tensor *fused = directory_find(&l->model->directory, name);
    const struct part k = {0, n_nope, true}, v = {n_nope, layer->d_v, false};
    enum elem type = stored_type(fused);
    device_buffer *slots = &l->split[2 * (size_t)l->layer];
    w.k = (struct weight){split(l, fused, &k, head_rows, rank, &slots[0]), type, n_nope, rank,
                          layer->n_head};
    w.v = (struct weight){split(l, fused, &v, head_rows, rank, &slots[1]), type, rank, layer->d_v,
                          layer->n_head};
    return w;
}
