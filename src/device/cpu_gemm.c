/* Division of a product: rows of A are packed by all threads together, and so is all of a
 * small B; rows of a larger one by each thread for itself, a chunk at a time, just before they
 * are multiplied with the rows of A. So each operand is packed, and if need be dequantised,
 * about once. A thin B and A change places: what is shared then stays in a cache, and more of
 * a tile is used. */
#include "device/cpu_gemm.h"

enum {
    CHUNK_ROWS = 256,   /* most of B packed by a thread: whole blocks of every element type */
    LEAST_CHUNK = 64,   /* a multiple of the rows of a panel at every level */
    SHARED_ROWS = 2048, /* most rows of A packed together */
    SHARED_BYTES = 16 << 20,
    SMALL_BYTES = 4 << 20, /* most of B packed together */
    COLUMN_ROWS = 48,      /* rows packed together that are columns of what is stored */
    LEAST_BAND = 96,       /* rows of A that are worth the packing of a chunk */
    CHUNKS = 4,            /* for each thread, at least, .. */
    ITEMS = 16,            /* .. and items of work, where there are several threads */
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
    struct gemm_operand operand;
    size_t rows, panel_rows;
    void (*pack)(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                 size_t panel_bytes);
};

struct product {
    const struct cpu_run *run;
    const struct gemm_job *job;
    const struct gemm_kernels *g;
    bool turned; /* a is the b of the job: C is transposed */
    struct side a, b;
    size_t shared_rows, shared_values; /* of a, packed together */
    bool shares_b;                     /* all of b is packed together, too */
    size_t chunk;                      /* rows of b that are multiplied at a time */
    size_t n_chunks, n_bands;          /* of b and of a; an item of work is one of each */
    char *shared, *shared_b, *own;     /* panels of a and of b */
    float *floats;                     /* PIECE_ROWS x PIECE_COLUMNS */
};

static size_t own_bytes(const struct gemm_kernels *g) {
    return gemm_panel_bytes(g, CHUNK_ROWS, g->depth);
}

size_t cpu_gemm_thread_floats(const struct device *device) {
    const struct kernels *k = device->kernels;
    size_t bytes = own_bytes(k->gemm_f32), other = k->gemm_bf16 ? own_bytes(k->gemm_bf16) : 0;
    return (bytes > other ? bytes : other) / sizeof(float) + PIECE_ROWS * PIECE_COLUMNS;
}

static bool turns(size_t m, size_t n) {
    return n < m && n <= CHUNK_ROWS;
}

/* Of so many rows of k values, filled up to whole panels and cache lines. */
static size_t side_bytes(const struct gemm_kernels *g, size_t panel_rows, size_t rows, size_t k) {
    enum { LINE_BYTES = 64 };
    size_t bytes = gemm_panel_bytes(g, parts_of(rows, panel_rows) * panel_rows, k);
    return parts_of(bytes, LINE_BYTES) * LINE_BYTES;
}

/* Of the largest product within m, n and k. */
static size_t shared_bytes(const struct gemm_kernels *g, size_t m, size_t n, size_t k) {
    size_t thin = least(n, CHUNK_ROWS), rows = least(m > thin ? m : thin, SHARED_ROWS);
    return least(side_bytes(g, g->a_rows, rows, k), SHARED_BYTES) +
           least(side_bytes(g, g->b_rows, m > n ? m : n, k), SMALL_BYTES);
}

size_t cpu_gemm_shared_bytes(const struct device *device, size_t m, size_t n, size_t k) {
    const struct kernels *all = device->kernels;
    size_t bytes = shared_bytes(all->gemm_f32, m, n, k);
    size_t other = all->gemm_bf16 ? shared_bytes(all->gemm_bf16, m, n, k) : 0;
    return bytes > other ? bytes : other;
}

/* As many rows of A and values of them as the shared memory holds; all of B where it is small
 * and each thread would pack it again for some of many rows of A. */
static void choose_shared(struct product *p) {
    const struct gemm_kernels *g = p->g;
    size_t k = p->job->k;
    p->shared_rows = parts_of(least(p->a.rows, SHARED_ROWS), g->a_rows) * g->a_rows;
    p->shared_values = SHARED_BYTES / (p->shared_rows * g->value_bytes) / g->depth * g->depth;
    p->shared_values = least(p->shared_values, k);
    p->shares_b = p->shared_values == k && p->a.rows >= 2 * LEAST_BAND &&
                  side_bytes(g, g->b_rows, p->b.rows, k) <= SMALL_BYTES;
    p->shared_b = p->shared + side_bytes(g, g->a_rows, p->shared_rows, k);
}

static bool cuts_blocks(const struct side *side) {
    return side->operand.type != ELEM_F32 && side->operand.transposed;
}

/* Enough items for all threads to end together, without packing chunks too often. */
static void choose_items(struct product *p) {
    size_t threads = p->run->n_threads, most = least(p->a.rows, p->shared_rows) / LEAST_BAND;
    p->chunk = CHUNK_ROWS;
    while (threads > 1 && p->chunk > LEAST_CHUNK && !p->shares_b && !cuts_blocks(&p->b) &&
           parts_of(p->b.rows, p->chunk) < CHUNKS * threads)
        p->chunk /= 2;
    p->n_chunks = parts_of(p->b.rows, p->chunk);
    p->n_bands = threads > 1 ? least(parts_of(ITEMS * threads, p->n_chunks), most) : 1;
    if (p->n_bands == 0) p->n_bands = 1;
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
                dequantize(p, &part->side->operand, part->row + row + r, first, first + n,
                           p->floats + r * PIECE_VALUES);
            struct gemm_floats x = {p->floats, PIECE_VALUES, false};
            pack_values(p, &panel, &x, i, n);
        }
        panel.panels += gemm_panel_bytes(p->g, panel_rows, part->n_values);
    }
}

/* All panels at once, a few values of each. */
static void pack_dequantized_columns(const struct product *p, const struct part *part) {
    const struct gemm_operand *operand = &part->side->operand;
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

/* Of dequantised columns, at most CHUNK_ROWS. */
static void pack_part(const struct product *p, const struct part *part) {
    const struct gemm_operand *x = &part->side->operand;
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

/* Rows and values of an operand that all threads pack together: blocks of at most `depth`
 * values of all rows, one after the other. */
struct shared {
    const struct side *side;
    size_t row, n_rows, value, n_values;
    char *panels;
};

/* Its panels from `row` on, of the block of values from `value` on. */
static char *shared_panels(const struct product *p, const struct shared *s, size_t row,
                           size_t value) {
    size_t panel_rows = s->side->panel_rows, depth = least(s->n_values - value, p->g->depth);
    size_t rows = parts_of(s->n_rows, panel_rows) * panel_rows;
    return s->panels + gemm_panel_bytes(p->g, rows, value) + gemm_panel_bytes(p->g, row, depth);
}

/* Rows that a thread packs at a time: where they are columns of what is stored, several panels
 * of them, whole cache lines. */
static size_t shared_granule(const struct side *side) {
    size_t panel = side->panel_rows;
    if (cuts_blocks(side)) return CHUNK_ROWS / panel * panel; /* at few places */
    return side->operand.transposed ? parts_of(COLUMN_ROWS, panel) * panel : panel;
}

static void pack_shared(const struct product *p, const struct shared *s) {
    size_t granule = shared_granule(s->side), begin, end;
    pool_share(s->n_rows, granule, p->run->thread, p->run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row += granule)
        for (size_t i = 0; i < s->n_values; i += p->g->depth) {
            struct part part = {.side = s->side,
                                .row = s->row + row,
                                .n_rows = least(end - row, granule),
                                .value = s->value + i,
                                .n_values = least(s->n_values - i, p->g->depth),
                                .panels = shared_panels(p, s, row, i)};
            pack_part(p, &part);
        }
}

/* ---- products ---- */

/* What is packed now; of B all or nothing. */
struct stage {
    struct shared a, b;
};

/* Rows [begin, end) of the stage times a part of B. */
static void multiply_band(const struct product *p, const struct stage *s, size_t begin, size_t end,
                          const struct part *b) {
    const struct gemm_job *job = p->job;
    size_t a_row = s->a.row + begin, row = p->turned ? b->row : a_row;
    size_t column = p->turned ? a_row : b->row;
    struct gemm_block block = {.a = shared_panels(p, &s->a, begin, b->value - s->a.value),
                               .b = b->panels,
                               .m = end - begin,
                               .n = b->n_rows,
                               .k = b->n_values,
                               .c = job->c + row * job->c_stride + column,
                               .c_stride = job->c_stride,
                               .c_transposed = p->turned,
                               .alpha = job->alpha,
                               .add = job->accumulate || b->value > 0,
                               .bias = b->value == 0 && job->bias ? job->bias + column : NULL};
    p->g->multiply(&block);
}

/* Bands [first, end) of A times one chunk of B. */
static void multiply_chunk(const struct product *p, const struct stage *s, size_t chunk,
                           size_t first, size_t end) {
    size_t panel = p->g->a_rows, panels = parts_of(s->a.n_rows, panel);
    size_t begin = panels * first / p->n_bands * panel;
    size_t stop = least(panels * end / p->n_bands * panel, s->a.n_rows);
    struct part part = {.side = &p->b,
                        .row = chunk * p->chunk,
                        .n_rows = least(p->b.rows - chunk * p->chunk, p->chunk),
                        .panels = p->own};
    for (size_t i = 0; begin < stop && i < s->a.n_values; i += p->g->depth) {
        part.value = s->a.value + i;
        part.n_values = least(s->a.n_values - i, p->g->depth);
        if (p->shares_b)
            part.panels = shared_panels(p, &s->b, part.row, i);
        else
            pack_part(p, &part);
        multiply_band(p, s, begin, stop, &part);
    }
}

static void run_stage(const struct product *p, const struct stage *s) {
    struct pool *pool = p->run->device->pool;
    size_t begin, end;
    pack_shared(p, &s->a);
    if (p->shares_b && s->a.row == 0) pack_shared(p, &s->b);
    pool_barrier(pool);
    while (pool_take(pool, p->run->thread, p->n_chunks * p->n_bands, 1, &begin, &end))
        while (begin < end) {
            size_t chunk = begin / p->n_bands, first = chunk * p->n_bands;
            size_t stop = least(end, first + p->n_bands);
            multiply_chunk(p, s, chunk, begin - first, stop - first);
            begin = stop;
        }
    pool_barrier(pool);
}

void cpu_gemm(const struct cpu_run *run, const struct gemm_job *job) {
    const struct gemm_kernels *f32 = run->k->gemm_f32, *bf16 = run->k->gemm_bf16;
    const struct gemm_kernels *g = bf16 && !job->exact ? bf16 : f32;
    float *scratch = run->device->thread_scratch[run->thread];
    struct product p = {.run = run,
                        .job = job,
                        .g = g,
                        .turned = turns(job->m, job->n),
                        .shared = run->device->act_rows,
                        .floats = scratch,
                        .own = (char *)(scratch + PIECE_ROWS * PIECE_COLUMNS)};
    p.a =
        (struct side){p.turned ? job->b : job->a, p.turned ? job->n : job->m, g->a_rows, g->pack_a};
    p.b =
        (struct side){p.turned ? job->a : job->b, p.turned ? job->m : job->n, g->b_rows, g->pack_b};
    choose_shared(&p);
    choose_items(&p);
    for (size_t row = 0; row < p.a.rows; row += p.shared_rows)
        for (size_t value = 0; value < job->k; value += p.shared_values) {
            size_t n_rows = least(p.a.rows - row, p.shared_rows);
            size_t n_values = least(job->k - value, p.shared_values);
            struct stage s = {.a = {&p.a, row, n_rows, value, n_values, p.shared},
                              .b = {&p.b, 0, p.b.rows, 0, job->k, p.shared_b}};
            run_stage(&p, &s);
        }
}
