/* Division of a product: rows of one operand, the shared one, are packed by all threads
 * together, those of the other by each thread for itself, a chunk at a time, just before they
 * are multiplied with the shared rows. So each operand is packed, and if need be dequantised,
 * about once. A is shared unless B is so thin that its panels stay in a cache beside a few of
 * A's; then nothing of A is ever stored but what is being multiplied. */
#include "device/cpu_gemm.h"

#include <string.h>

enum {
    CHUNK_COLUMNS = 256, /* of B packed by a thread: whole blocks of every element type */
    CHUNK_PANELS = 4,    /* of A, where B is shared */
    SHARED_ROWS = 1024,  /* most rows of A packed together */
    SHARED_BYTES = 16 << 20,
    LEAST_BAND = 96, /* shared rows that are worth the packing of a chunk */
    ITEMS = 16,      /* of work for each thread, at least, where there are several */
    /* Values dequantised at a time: 32 rows of 256 or, transposed, 32 of what covers 256. */
    PIECE_ROWS = 32,
    PIECE_VALUES = 256,
    PIECE_COLUMNS = 512
};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t parts_of(size_t n, size_t part) {
    return (n + part - 1) / part;
}

/* ---- sizes ---- */

struct side {
    const struct gemm_operand *operand;
    size_t rows, panel_rows;
    void (*pack)(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                 size_t panel_bytes);
};

struct product {
    const struct cpu_run *run;
    const struct gemm_job *job;
    const struct gemm_kernels *g;
    bool a_shared;
    struct side shared, own;
    size_t shared_rows, shared_values; /* packed together */
    size_t chunk;                      /* own rows packed together */
    size_t n_chunks, n_bands; /* of own and of shared rows; an item of work is one of each */
    char *panels, *own_panels;
    float *floats; /* PIECE_ROWS x PIECE_COLUMNS */
};

/* How much of which operand threads share: depends on the sizes alone. */
static void choose_sharing(struct product *p, size_t m, size_t n, size_t k) {
    const struct gemm_kernels *g = p->g;
    p->a_shared = n > CHUNK_COLUMNS || m <= n;
    size_t panel = p->a_shared ? g->a_rows : g->b_rows, rows = p->a_shared ? m : n;
    p->shared_rows = parts_of(least(rows, SHARED_ROWS), panel) * panel;
    p->shared_values = SHARED_BYTES / (p->shared_rows * g->value_bytes) / g->depth * g->depth;
    if (p->shared_values == 0) p->shared_values = g->depth;
    p->shared_values = least(p->shared_values, k);
    p->chunk = p->a_shared ? CHUNK_COLUMNS : CHUNK_PANELS * g->a_rows;
}

static size_t own_bytes(const struct gemm_kernels *g) {
    return gemm_panel_bytes(g, CHUNK_COLUMNS, g->depth);
}

size_t cpu_gemm_thread_floats(const struct device *device) {
    const struct kernels *k = device->kernels;
    size_t bytes = own_bytes(k->gemm_f32), other = k->gemm_bf16 ? own_bytes(k->gemm_bf16) : 0;
    return (bytes > other ? bytes : other) / sizeof(float) + PIECE_ROWS * PIECE_COLUMNS;
}

/* Rows of either operand may be shared in a smaller product. */
static size_t shared_bytes(const struct gemm_kernels *g, size_t m, size_t n, size_t k) {
    size_t thin = least(n, CHUNK_COLUMNS), rows = least(m > thin ? m : thin, SHARED_ROWS);
    rows += g->a_rows > g->b_rows ? g->a_rows : g->b_rows;
    return least(gemm_panel_bytes(g, rows, k), SHARED_BYTES);
}

size_t cpu_gemm_shared_bytes(const struct device *device, size_t m, size_t n, size_t k) {
    const struct kernels *all = device->kernels;
    size_t bytes = shared_bytes(all->gemm_f32, m, n, k);
    size_t other = all->gemm_bf16 ? shared_bytes(all->gemm_bf16, m, n, k) : 0;
    return bytes > other ? bytes : other;
}

/* ---- packing ---- */

/* A rectangle of an operand, and where its panels go. */
struct part {
    const struct side *side;
    size_t row, n_rows, value, n_values;
    char *panels;
};

/* Some values of all its rows. */
static void pack_values(const struct product *p, const struct part *part,
                        const struct gemm_floats *x, size_t value, size_t n_values) {
    size_t panel_rows = part->side->panel_rows;
    part->side->pack(x, part->n_rows, n_values,
                     part->panels + gemm_panel_bytes(p->g, panel_rows, value),
                     gemm_panel_bytes(p->g, panel_rows, part->n_values));
}

/* Blocks of a stored row that cover values [first, end), as floats from the start of the
 * first block on. */
static void dequantize(const struct product *p, const struct gemm_operand *x, size_t row,
                       size_t first, size_t end, float *out) {
    size_t block = elem_table[x->type].block_values, start = first / block;
    const char *at = (const char *)x->data + row * elem_row_bytes(x->type, x->stride) +
                     start * elem_table[x->type].block_bytes;
    p->run->k->dequantize[x->type](at, out, (parts_of(end, block) - start) * block);
}

/* Panel after panel, a few values of its rows at a time. */
static void pack_dequantized_rows(const struct product *p, const struct part *part) {
    size_t panel_rows = part->side->panel_rows;
    struct part panel = *part;
    for (size_t row = 0; row < part->n_rows; row += panel_rows) {
        panel.n_rows = least(part->n_rows - row, panel_rows);
        for (size_t i = 0; i < part->n_values; i += PIECE_VALUES) {
            size_t n = least(part->n_values - i, PIECE_VALUES), first = part->value + i;
            for (size_t r = 0; r < panel.n_rows; r++)
                dequantize(p, part->side->operand, part->row + row + r, first, first + n,
                           p->floats + r * PIECE_VALUES);
            struct gemm_floats x = {p->floats, PIECE_VALUES, false};
            pack_values(p, &panel, &x, i, n);
        }
        panel.panels += gemm_panel_bytes(p->g, panel_rows, part->n_values);
    }
}

/* All panels at once, a few values of each. */
static void pack_dequantized_columns(const struct product *p, const struct part *part) {
    const struct gemm_operand *operand = part->side->operand;
    for (size_t i = 0; i < part->n_values; i += PIECE_ROWS) {
        size_t n = least(part->n_values - i, PIECE_ROWS);
        for (size_t r = 0; r < n; r++)
            dequantize(p, operand, part->value + i + r, part->row, part->row + part->n_rows,
                       p->floats + r * PIECE_COLUMNS);
        struct gemm_floats x = {p->floats + part->row % elem_table[operand->type].block_values,
                                PIECE_COLUMNS, true};
        pack_values(p, part, &x, i, n);
    }
}

/* Of dequantised columns, at most CHUNK_COLUMNS. */
static void pack_part(const struct product *p, const struct part *part) {
    const struct gemm_operand *x = part->side->operand;
    if (x->type == ELEM_F32) {
        const float *data = x->data;
        size_t at = x->transposed ? part->value * x->stride + part->row
                                  : part->row * x->stride + part->value;
        struct gemm_floats floats = {data + at, x->stride, x->transposed};
        pack_values(p, part, &floats, 0, part->n_values);
    } else if (x->transposed) {
        pack_dequantized_columns(p, part);
    } else {
        pack_dequantized_rows(p, part);
    }
}

/* ---- products ---- */

/* Shared rows and values that are packed now. */
struct stage {
    size_t row, n_rows, value, n_values;
};

/* The panels of `row` on, of the values from `value` on, of a stage. */
static char *shared_panels(const struct product *p, const struct stage *s, size_t row,
                           size_t value) {
    size_t panel_rows = p->shared.panel_rows, depth = least(s->n_values - value, p->g->depth);
    size_t rows = parts_of(s->n_rows, panel_rows) * panel_rows;
    return p->panels + gemm_panel_bytes(p->g, rows, value) + gemm_panel_bytes(p->g, row, depth);
}

static void pack_shared(const struct product *p, const struct stage *s) {
    size_t panel = p->shared.panel_rows, granule = panel, begin, end;
    bool blocks = p->shared.operand->type != ELEM_F32 && p->shared.operand->transposed;
    if (blocks) granule = CHUNK_COLUMNS / panel * panel; /* cut at few places within blocks */
    pool_share(s->n_rows, granule, p->run->thread, p->run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row += granule)
        for (size_t i = 0; i < s->n_values; i += p->g->depth) {
            struct part part = {.side = &p->shared,
                                .row = s->row + row,
                                .n_rows = least(end - row, granule),
                                .value = s->value + i,
                                .n_values = least(s->n_values - i, p->g->depth),
                                .panels = shared_panels(p, s, row, i)};
            pack_part(p, &part);
        }
}

/* Own rows [row, row + n_rows), packed, times shared rows [begin, end) of the stage, for a
 * block of values from `value` on. */
static void multiply_band(const struct product *p, const struct stage *s, size_t row, size_t n_rows,
                          size_t begin, size_t end, size_t value) {
    const struct gemm_job *job = p->job;
    size_t shared_row = s->row + begin, n_shared = end - begin;
    const char *shared = shared_panels(p, s, begin, value);
    size_t m = p->a_shared ? shared_row : row, n = p->a_shared ? row : shared_row;
    bool first = s->value + value == 0;
    struct gemm_block block = {.a = p->a_shared ? shared : p->own_panels,
                               .b = p->a_shared ? p->own_panels : shared,
                               .m = p->a_shared ? n_shared : n_rows,
                               .n = p->a_shared ? n_rows : n_shared,
                               .k = least(s->n_values - value, p->g->depth),
                               .c = job->c + m * job->c_stride + n,
                               .c_stride = job->c_stride,
                               .alpha = job->alpha,
                               .add = job->accumulate || !first,
                               .bias = first && job->bias ? job->bias + n : NULL};
    p->g->multiply(&block);
}

/* Bands [first, end) of the shared rows times one chunk. */
static void multiply_chunk(const struct product *p, const struct stage *s, size_t chunk,
                           size_t first, size_t end) {
    size_t panel = p->shared.panel_rows, panels = parts_of(s->n_rows, panel);
    size_t begin = panels * first / p->n_bands * panel;
    size_t stop = least(panels * end / p->n_bands * panel, s->n_rows);
    struct part part = {.side = &p->own,
                        .row = chunk * p->chunk,
                        .n_rows = least(p->own.rows - chunk * p->chunk, p->chunk),
                        .panels = p->own_panels};
    for (size_t i = 0; begin < stop && i < s->n_values; i += p->g->depth) {
        part.value = s->value + i;
        part.n_values = least(s->n_values - i, p->g->depth);
        pack_part(p, &part);
        multiply_band(p, s, part.row, part.n_rows, begin, stop, i);
    }
}

static void run_stage(const struct product *p, const struct stage *s) {
    struct pool *pool = p->run->device->pool;
    size_t begin, end;
    pack_shared(p, s);
    pool_barrier(pool);
    while (pool_take(pool, 0, p->n_chunks * p->n_bands, 1, &begin, &end))
        while (begin < end) {
            size_t chunk = begin / p->n_bands, next = (chunk + 1) * p->n_bands;
            size_t stop = least(end, next);
            multiply_chunk(p, s, chunk, begin - chunk * p->n_bands, stop - chunk * p->n_bands);
            begin = stop;
        }
    pool_barrier(pool);
}

/* Enough items for all threads to end together, without packing chunks too often. */
static size_t choose_bands(const struct product *p) {
    size_t items = p->run->n_threads > 1 ? (size_t)ITEMS * p->run->n_threads : 1;
    size_t most = least(p->shared.rows, p->shared_rows) / LEAST_BAND;
    size_t bands = least(parts_of(items, p->n_chunks), most);
    return bands ? bands : 1;
}

void cpu_gemm(const struct cpu_run *run, const struct gemm_job *job) {
    const struct gemm_kernels *f32 = run->k->gemm_f32, *bf16 = run->k->gemm_bf16;
    struct product p = {.run = run, .job = job, .g = bf16 && !job->exact ? bf16 : f32};
    struct side a = {&job->a, job->m, p.g->a_rows, p.g->pack_a};
    struct side b = {&job->b, job->n, p.g->b_rows, p.g->pack_b};
    choose_sharing(&p, job->m, job->n, job->k);
    p.shared = p.a_shared ? a : b;
    p.own = p.a_shared ? b : a;
    p.n_chunks = parts_of(p.own.rows, p.chunk);
    p.n_bands = choose_bands(&p);
    p.panels = run->device->act_rows;
    p.floats = run->device->thread_scratch[run->thread];
    p.own_panels = (char *)(p.floats + PIECE_ROWS * PIECE_COLUMNS);
    for (size_t row = 0; row < p.shared.rows; row += p.shared_rows)
        for (size_t value = 0; value < job->k; value += p.shared_values) {
            struct stage s = {row, least(p.shared.rows - row, p.shared_rows), value,
                              least(job->k - value, p.shared_values)};
            run_stage(&p, &s);
        }
}
