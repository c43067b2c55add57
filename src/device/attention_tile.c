#include "device/attention_tile.h"

#include <math.h>
#include <string.h>

/* Up to here rows are read as they are stored, once for every few queries; beyond, a page
 * is turned into floats first. Both give the same bits. */
enum { DIRECT_QUERIES = 8 };

static uint32_t later(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static uint32_t earlier(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static struct position_range overlap(struct position_range a, struct position_range b) {
    struct position_range both = {later(a.begin, b.begin), earlier(a.end, b.end)};
    if (both.begin > both.end) both.end = both.begin;
    return both;
}

uint32_t attention_tile_queries(const struct op *op) {
    return later(op->attention.n_head / op->attention.layout.n_head_kv, ATTENTION_TILE_QUERIES);
}

static size_t page_floats(const struct kv_layout *layout) {
    return (size_t)layout->page_tokens * later(layout->d_k, layout->d_v);
}

size_t cpu_attention_scratch_floats(const struct op *op) {
    const struct kv_layout *layout = &op->attention.layout;
    size_t a_query = layout->d_k + layout->d_v + ATTENTION_BLOCK +
                     2 * sizeof(struct softmax_state) / sizeof(float);
    return page_floats(layout) + attention_tile_queries(op) * a_query;
}

struct tile_scratch tile_scratch_of(const struct op *op, float *memory) {
    const struct kv_layout *layout = &op->attention.layout;
    size_t queries = attention_tile_queries(op);
    struct tile_scratch s;
    s.rows = memory;
    s.scores = s.rows + page_floats(layout);
    s.q = s.scores + queries * ATTENTION_BLOCK;
    s.out = s.q + queries * layout->d_k;
    s.parts = (struct softmax_state *)(void *)(s.out + queries * layout->d_v);
    s.states = s.parts + queries;
    return s;
}

/* The positions that a row sees. */
static struct position_range visible(const struct cpu_run *run, const struct op *op,
                                     const struct batch_run *part, size_t row) {
    uint32_t position = run->batch->positions[row], window = op->attention.window;
    if (op->attention.causal)
        return (struct position_range){window && position + 1 > window ? position + 1 - window : 0,
                                       position + 1};
    struct position_range all = {0, part->position + part->n_rows};
    if (!window) return all;
    uint32_t half = window / 2;
    return overlap(
        all, (struct position_range){position > half ? position - half : 0, position + half + 1});
}

struct attention_tile attention_tile_of(const struct cpu_run *run, const struct op *op,
                                        const struct batch_run *part, size_t first_row,
                                        uint32_t n_rows) {
    struct position_range first = visible(run, op, part, first_row);
    struct position_range last = visible(run, op, part, first_row + n_rows - 1);
    return (struct attention_tile){.run = run,
                                   .op = op,
                                   .part = part,
                                   .first_row = first_row,
                                   .n_rows = n_rows,
                                   .n_rep = op->attention.n_head / op->attention.layout.n_head_kv,
                                   .seen = {first.begin, last.end},
                                   .common = {last.begin, first.end}};
}

void tile_take_queries(const struct attention_tile *tile, const struct tile_scratch *scratch) {
    size_t n = (size_t)tile->n_rep * tile->op->attention.layout.d_k;
    for (uint32_t r = 0; r < tile->n_rows; r++)
        tile->run->k->scale(scratch->q + r * n,
                            view_row(tile->run, tile->op->in, tile->first_row + r) +
                                tile->group * n,
                            tile->op->scale, n);
}

/* Keys, or values: rows of `width` values of which the first d count. */
struct side {
    bool keys;
    enum elem type;
    uint32_t width, d;
};

static struct side side_of(const struct kv_layout *layout, bool keys) {
    if (keys) return (struct side){true, layout->k_type, layout->d_k, layout->d_k};
    if (layout->v_in_k) return (struct side){true, layout->k_type, layout->d_k, layout->d_v};
    return (struct side){false, layout->v_type, layout->d_v, layout->d_v};
}

static const void *stored_row(const struct attention_tile *tile, const struct side *side,
                              uint32_t position) {
    const struct kv_layout *layout = &tile->op->attention.layout;
    const struct device *device = tile->run->device;
    return side->keys ? kv_key(device, layout, tile->part, tile->group, position)
                      : kv_value(device, layout, tile->part, tile->group, position);
}

static struct position_range block_seen(const struct attention_tile *tile, uint32_t block) {
    uint32_t base = block * ATTENTION_BLOCK;
    return overlap(tile->seen, (struct position_range){base, base + ATTENTION_BLOCK});
}

/* Keys or values that are read one page after the other. */
struct stream {
    const struct attention_tile *tile; /* NULL: nothing */
    struct side side;
    struct position_range left;
};

/* Two pages ahead in a stream and, at its end, in the one that follows: a page is often
 * too short to fetch the next one while it is read, and pages of a head do not lie side
 * by side, so that the hardware foresees nothing. */
static const void *look_ahead(const struct stream *stream, const struct stream *then) {
    uint32_t page_tokens = stream->tile->op->attention.layout.page_tokens;
    uint32_t page = stream->left.begin / page_tokens + 2;
    uint32_t last = (stream->left.end - 1) / page_tokens;
    if (page <= last) return stored_row(stream->tile, &stream->side, page * page_tokens);
    if (!then->tile) return NULL;
    page = then->left.begin / page_tokens + (page - last - 1);
    uint32_t position = later(page * page_tokens, then->left.begin);
    return position < then->left.end ? stored_row(then->tile, &then->side, position) : NULL;
}

/* Neighbouring positions in one page, in a form that kernels read. */
struct piece {
    struct position_range at;
    enum elem type;
    struct kv_rows rows;
};

/* Kernels that read stored rows do this themselves. */
static void fetch(const uint8_t *rows, size_t size_bytes) {
    enum { CACHE_LINE = 64, SECOND_LEVEL = 2 };
    for (size_t i = 0; rows && i < size_bytes; i += CACHE_LINE)
        __builtin_prefetch(rows + i, 0, SECOND_LEVEL);
}

/* The next piece of the stream, which moves on. */
static struct piece take_piece(struct stream *stream, const struct stream *then, float *floats) {
    const struct attention_tile *tile = stream->tile;
    const struct kernels *k = tile->run->k;
    const struct side *side = &stream->side;
    struct position_range left = stream->left;
    uint32_t page_tokens = tile->op->attention.layout.page_tokens;
    uint32_t page_end = left.begin - left.begin % page_tokens + page_tokens;
    struct piece piece = {.at = {left.begin, earlier(page_end, left.end)}, .type = side->type};
    const uint8_t *rows = stored_row(tile, side, left.begin);
    size_t count = piece.at.end - piece.at.begin, stride = elem_row_bytes(side->type, side->width);
    piece.rows = (struct kv_rows){rows, stride, count, look_ahead(stream, then)};
    stream->left.begin = piece.at.end;
    if (side->type == ELEM_F32 || (k->scores[side->type] && tile_queries(tile) <= DIRECT_QUERIES))
        return piece;
    fetch(piece.rows.next, count * stride);
    for (size_t i = 0; side->d < side->width && i < count; i++)
        k->dequantize[side->type](rows + i * stride, floats + i * side->d, side->d);
    if (side->d == side->width) k->dequantize[side->type](rows, floats, count * side->d);
    piece.type = ELEM_F32;
    piece.rows = (struct kv_rows){floats, side->d * sizeof *floats, count, NULL};
    return piece;
}

static bool all_see(const struct attention_tile *tile, const struct piece *piece) {
    return piece->at.begin >= tile->common.begin && piece->at.end <= tile->common.end;
}

/* What row r of the tile sees of a piece; false: nothing. */
static bool clip(const struct attention_tile *tile, const struct piece *piece, uint32_t r,
                 struct piece *part) {
    *part = *piece;
    part->at = overlap(piece->at, visible(tile->run, tile->op, tile->part, tile->first_row + r));
    part->rows.data =
        (const char *)piece->rows.data + (part->at.begin - piece->at.begin) * piece->rows.stride;
    part->rows.count = part->at.end - part->at.begin;
    return part->rows.count > 0;
}

/* scores[m][position - base] */
static void score(struct stream keys, const struct stream *then, const struct tile_scratch *scratch,
                  uint32_t base) {
    const struct attention_tile *tile = keys.tile;
    size_t d = keys.side.d, n_rep = tile->n_rep;
    while (keys.left.begin < keys.left.end) {
        struct piece piece = take_piece(&keys, then, scratch->rows), part;
        kernel_scores kernel = tile->run->k->scores[piece.type];
        float *scores = scratch->scores;
        if (all_see(tile, &piece)) {
            kernel(d, &piece.rows, scratch->q, tile_queries(tile), scores + (piece.at.begin - base),
                   ATTENTION_BLOCK);
            continue;
        }
        for (uint32_t r = 0; r < tile->n_rows; r++, scores += n_rep * ATTENTION_BLOCK)
            if (clip(tile, &piece, r, &part))
                kernel(d, &part.rows, scratch->q + r * n_rep * d, n_rep,
                       scores + (part.at.begin - base), ATTENTION_BLOCK);
    }
}

/* out[m] += sum of scores[m][position - base] * value */
static void mix(struct stream values, const struct stream *then, const struct tile_scratch *scratch,
                uint32_t base, float *out) {
    const struct attention_tile *tile = values.tile;
    size_t d = values.side.d, n_rep = tile->n_rep;
    while (values.left.begin < values.left.end) {
        struct piece piece = take_piece(&values, then, scratch->rows), part;
        kernel_mix kernel = tile->run->k->mix[piece.type];
        const float *scores = scratch->scores;
        if (all_see(tile, &piece)) {
            kernel(d, &piece.rows, scores + (piece.at.begin - base), ATTENTION_BLOCK,
                   tile_queries(tile), out);
            continue;
        }
        for (uint32_t r = 0; r < tile->n_rows; r++, scores += n_rep * ATTENTION_BLOCK)
            if (clip(tile, &piece, r, &part))
                kernel(d, &part.rows, scores + (part.at.begin - base), ATTENTION_BLOCK, n_rep,
                       out + r * n_rep * d);
    }
}

/* Turns scores into e^(score - max), each row over the positions that it sees. */
static void weigh(const struct attention_tile *tile, const struct tile_scratch *scratch,
                  struct position_range seen, uint32_t base, struct softmax_state *parts) {
    const struct kernels *k = tile->run->k;
    float softcap = tile->op->attention.softcap;
    for (uint32_t m = 0; m < tile_queries(tile); m++) {
        struct position_range range = overlap(
            seen, visible(tile->run, tile->op, tile->part, tile->first_row + m / tile->n_rep));
        size_t n = range.end - range.begin;
        float *row = scratch->scores + (size_t)m * ATTENTION_BLOCK + (range.begin - base);
        parts[m] = (struct softmax_state){-INFINITY, 0};
        if (n == 0) continue;
        if (softcap > 0) k->softcap(row, row, softcap, n);
        parts[m].max = k->max(row, n);
        parts[m].sum = k->exp_sum(row, parts[m].max, n);
    }
}

void tile_attend_block(const struct attention_tile *tile, const struct tile_scratch *scratch,
                       uint32_t block, float *out, struct softmax_state *parts,
                       struct tile_block then) {
    const struct kv_layout *layout = &tile->op->attention.layout;
    uint32_t base = block * ATTENTION_BLOCK;
    struct position_range seen = block_seen(tile, block);
    struct stream keys = {tile, side_of(layout, true), seen};
    struct stream values = {tile, side_of(layout, false), seen};
    struct stream after = {then.tile, keys.side, {0, 0}};
    if (then.tile) after.left = block_seen(then.tile, then.block);
    score(keys, &values, scratch, base);
    weigh(tile, scratch, seen, base, parts);
    memset(out, 0, (size_t)tile_queries(tile) * layout->d_v * sizeof *out);
    mix(values, &after, scratch, base, out);
}
