/* Attention over the paged cache, one page after the other with a running maximum
 * (Milakov & Gimelshein, "Online normalizer calculation for softmax", arXiv
 * 1805.02867; Dao et al., FlashAttention, arXiv 2205.14135). Pages start at fixed
 * positions, so the order of additions depends on the position only. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"
#include "kernels/quantize.h"

static size_t row_bytes(enum elem type, uint32_t d) {
    return elem_row_bytes(type, d);
}

static uint8_t *cache_row(const struct cpu_run *run, device_buffer buffer, enum elem type,
                          uint32_t d, const struct kv_layout *layout, uint32_t page, uint32_t head,
                          uint32_t slot) {
    size_t row = ((size_t)page * layout->n_head_kv + head) * layout->page_tokens + slot;
    return (uint8_t *)buffer_data(run->device, buffer) + row * row_bytes(type, d);
}

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
        uint32_t page = part->pages[position / layout->page_tokens];
        uint32_t slot = position % layout->page_tokens;
        for (uint32_t h = 0; h < layout->n_head_kv; h++) {
            store(run, layout->k_type, view_row(run, op->in, row) + (size_t)h * layout->d_k,
                  cache_row(run, layout->k, layout->k_type, layout->d_k, layout, page, h, slot),
                  layout->d_k);
            if (layout->v_in_k) continue;
            store(run, layout->v_type, view_row(run, op->in2, row) + (size_t)h * layout->d_v,
                  cache_row(run, layout->v, layout->v_type, layout->d_v, layout, page, h, slot),
                  layout->d_v);
        }
    }
}

/* The state of one query head between pages. */
struct softmax_state {
    float max, sum;
};

/* Rows [first, first + count) of a page as floats: in place when stored so. */
static const float *page_rows(const struct cpu_run *run, enum elem type, const uint8_t *rows,
                              size_t count, uint32_t d, float *scratch) {
    if (type == ELEM_F32) return (const float *)(const void *)rows;
    run->k->dequantize[type](rows, scratch, count * d);
    return scratch;
}

/* scores[h][i] = dot(q[h], key i) for the n_rep heads that share the keys of a page;
 * `stride` floats between heads. Keys of 16 and 32 bits are read as they are stored. */
static void score_page(const struct cpu_run *run, const struct op *op, const float *q,
                       uint32_t n_rep, const uint8_t *keys, size_t count, float *scratch,
                       float *scores, size_t stride) {
    const struct kv_layout *layout = &op->attention.layout;
    enum elem type = layout->k_type;
    const void *rows = keys;
    if (type != ELEM_F16) {
        rows = page_rows(run, type, keys, count, layout->d_k, scratch);
        type = ELEM_F32;
    }
    run->k->linear[type](layout->d_k, rows, row_bytes(type, layout->d_k), count, q,
                         layout->d_k * sizeof *q, n_rep, scores, stride);
}

static void attend_page(const struct cpu_run *run, const struct op *op, const float *v_rows,
                        uint32_t v_stride, size_t count, float *scores, struct softmax_state *state,
                        float *out) {
    const struct kv_layout *layout = &op->attention.layout;
    float softcap = op->attention.softcap;
    run->k->scale(scores, scores, op->scale, count);
    for (size_t i = 0; softcap > 0 && i < count; i++)
        scores[i] = softcap * tanhf(scores[i] / softcap);
    float page_max = run->k->max(scores, count);
    if (page_max > state->max) {
        float shrink = expf(state->max - page_max);
        state->sum *= shrink;
        run->k->scale(out, out, shrink, layout->d_v);
        state->max = page_max;
    }
    state->sum += run->k->exp_sum(scores, state->max, count);
    for (size_t i = 0; i < count; i++)
        run->k->axpy(out, scores[i], v_rows + i * v_stride, layout->d_v);
}

/* All query heads that share kv head `g`, for one row. */
static void attend_group(const struct cpu_run *run, const struct op *op, size_t row, uint32_t g) {
    const struct kv_layout *layout = &op->attention.layout;
    const struct batch_run *part = &run->batch->runs[run->batch->row_run[row]];
    uint32_t position = run->batch->positions[row], page_tokens = layout->page_tokens;
    uint32_t end = op->attention.causal ? position + 1 : part->position + part->n_rows;
    uint32_t window = op->attention.window;
    uint32_t begin = window && position + 1 > window ? position + 1 - window : 0;
    if (window && !op->attention.causal) { /* half of it to either side */
        begin = position > window / 2 ? position - window / 2 : 0;
        if (end > position + window / 2 + 1) end = position + window / 2 + 1;
    }
    uint32_t n_rep = op->attention.n_head / layout->n_head_kv;
    const float *sinks = weight_vector(run, &op->w);
    float *scratch = run->device->thread_scratch[run->thread];
    float *k_scratch = scratch, *v_scratch = k_scratch + (size_t)page_tokens * layout->d_k;
    float *scores = v_scratch + (size_t)page_tokens * layout->d_v;
    struct softmax_state *states =
        (struct softmax_state *)(void *)(scores + (size_t)n_rep * page_tokens);
    float *out = view_row(run, op->out, row) + (size_t)g * n_rep * layout->d_v;
    const float *q = view_row(run, op->in, row) + (size_t)g * n_rep * layout->d_k;
    memset(out, 0, (size_t)n_rep * layout->d_v * sizeof *out);
    for (uint32_t h = 0; h < n_rep; h++)
        states[h] = sinks ? (struct softmax_state){sinks[g * n_rep + h], 1.0f}
                          : (struct softmax_state){-INFINITY, 0.0f};
    for (uint32_t at = begin; at < end;) {
        uint32_t page = part->pages[at / page_tokens], slot = at % page_tokens;
        uint32_t count = page_tokens - slot < end - at ? page_tokens - slot : end - at;
        const uint8_t *keys =
            cache_row(run, layout->k, layout->k_type, layout->d_k, layout, page, g, slot);
        score_page(run, op, q, n_rep, keys, count, k_scratch, scores, page_tokens);
        const float *v = layout->v_in_k
                             ? page_rows(run, layout->k_type, keys, count, layout->d_k, k_scratch)
                             : page_rows(run, layout->v_type,
                                         cache_row(run, layout->v, layout->v_type, layout->d_v,
                                                   layout, page, g, slot),
                                         count, layout->d_v, v_scratch);
        for (uint32_t h = 0; h < n_rep; h++)
            attend_page(run, op, v, layout->v_in_k ? layout->d_k : layout->d_v, count,
                        scores + (size_t)h * page_tokens, &states[h],
                        out + (size_t)h * layout->d_v);
        at += count;
    }
    for (uint32_t h = 0; h < n_rep; h++) {
        float *y = out + (size_t)h * layout->d_v;
        run->k->scale(y, y, 1.0f / states[h].sum, layout->d_v);
    }
}

/* Later rows see more positions, so rows go to threads in turn. */
void cpu_attention(const struct cpu_run *run, const struct op *op) {
    uint32_t n_kv = op->attention.layout.n_head_kv;
    size_t items = (size_t)run->batch->n_rows * n_kv;
    for (size_t i = run->thread; i < items; i += run->n_threads)
        attend_group(run, op, i / n_kv, (uint32_t)(i % n_kv));
}
