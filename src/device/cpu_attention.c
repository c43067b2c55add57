/* Attention over the paged cache: who computes which tile.
 *
 * Where tiles are many, a thread computes a tile over all blocks of positions that it
 * sees. Where they are few, as for one row of a long sequence, every block of a tile is
 * work of its own: results of blocks meet in memory that all threads see, and are merged
 * after a barrier. Both ways add the same values in the same order. */
#include <math.h>
#include <string.h>

#include "device/attention_tile.h"

enum {
    MOST_TILE_ROWS = 64,
    TILES_PER_THREAD = 2,  /* tiles are made smaller until there are so many */
    ENOUGH_PER_THREAD = 16 /* fewer are split by blocks */
};

/* A thread's way through the tiles of a batch, the same on all threads. */
struct tile_walk {
    const struct cpu_run *run;
    const struct op *op;
    uint32_t tile_rows;
    bool few;
    uint32_t part, row; /* of the next tile: the run of the batch, the row of that run */
    size_t used;        /* floats of device->partials that earlier tiles take */
    /* The tile at hand: */
    struct attention_tile tile;
    uint32_t first_block, n_blocks;
    float *partials; /* [block][group] of struct partial, NULL: one thread computes all blocks */
};

/* What a block gives to a tile: out [queries][d_v], then softmax_state [queries]. */
static size_t partial_floats(uint32_t queries, const struct kv_layout *layout) {
    return (size_t)queries * (layout->d_v + sizeof(struct softmax_state) / sizeof(float));
}

static struct softmax_state *partial_states(float *partial, uint32_t queries,
                                            const struct kv_layout *layout) {
    return (struct softmax_state *)(void *)(partial + (size_t)queries * layout->d_v);
}

/* Room for all heads of one row over all positions of the cache, several times, so that
 * also the rows of a few sequences can be split. */
size_t cpu_attention_partial_floats(const struct device *device, const struct op *op) {
    enum { ROWS_OVER_ALL = 4, SHORT_ROWS = 64 };
    const struct kv_layout *layout = &op->attention.layout;
    uint64_t bytes = device->buffers[layout->k - 1].size_bytes; /* up to the last group's end */
    uint64_t n_groups = (bytes - 1) / layout->group_bytes + 1;
    uint64_t positions = n_groups * layout->group_pages * layout->page_tokens;
    size_t blocks = (size_t)(positions / ATTENTION_BLOCK) * ROWS_OVER_ALL + SHORT_ROWS;
    return blocks * partial_floats(op->attention.n_head, layout);
}

static struct tile_walk begin_walk(const struct cpu_run *run, const struct op *op) {
    uint32_t n_kv = op->attention.layout.n_head_kv, n_rep = op->attention.n_head / n_kv;
    size_t groups = (size_t)run->batch->n_rows * n_kv;
    uint32_t rows = attention_tile_queries(op) / n_rep;
    if (rows > MOST_TILE_ROWS) rows = MOST_TILE_ROWS;
    while (rows > 1 && groups / rows < (size_t)TILES_PER_THREAD * run->n_threads)
        rows /= 2;
    return (struct tile_walk){.run = run,
                              .op = op,
                              .tile_rows = rows,
                              .few = groups / rows < (size_t)ENOUGH_PER_THREAD * run->n_threads};
}

static bool next_tile(struct tile_walk *walk) {
    const struct batch *batch = walk->run->batch;
    const struct kv_layout *layout = &walk->op->attention.layout;
    while (walk->part < batch->n_runs && walk->row >= batch->runs[walk->part].n_rows) {
        walk->part++;
        walk->row = 0;
    }
    if (walk->part == batch->n_runs) return false;
    const struct batch_run *part = &batch->runs[walk->part];
    uint32_t left = part->n_rows - walk->row;
    uint32_t n_rows = left < walk->tile_rows ? left : walk->tile_rows;
    walk->tile = attention_tile_of(walk->run, walk->op, part, part->first_row + walk->row, n_rows);
    walk->row += n_rows;
    walk->first_block = walk->tile.seen.begin / ATTENTION_BLOCK;
    walk->n_blocks = (walk->tile.seen.end - 1) / ATTENTION_BLOCK + 1 - walk->first_block;
    size_t floats =
        partial_floats(tile_queries(&walk->tile), layout) * layout->n_head_kv * walk->n_blocks;
    bool split = walk->few && walk->n_blocks > 1 &&
                 floats <= walk->run->device->partials_floats - walk->used;
    walk->partials = split ? walk->run->device->partials + walk->used : NULL;
    if (split) walk->used += floats;
    return true;
}

static struct softmax_state first_state(const struct cpu_run *run, const struct op *op,
                                        uint32_t head) {
    const float *sinks = weight_vector(run, &op->w);
    return sinks ? (struct softmax_state){sinks[head], 1.0f} : (struct softmax_state){-INFINITY, 0};
}

/* Adds what a block gave. */
static void merge(const struct kernels *k, size_t d, struct softmax_state *state, float *out,
                  struct softmax_state part, const float *part_out) {
    if (part.sum == 0) return;
    float top = part.max > state->max ? part.max : state->max;
    float keep = expf(state->max - top), share = expf(part.max - top);
    state->max = top;
    state->sum = state->sum * keep + part.sum * share;
    if (keep != 1) k->scale(out, out, keep, d);
    k->axpy(out, share, part_out, d);
}

static float *output(const struct attention_tile *tile, uint32_t query) {
    uint32_t head = tile->group * tile->n_rep + query % tile->n_rep;
    return view_row(tile->run, tile->op->out, tile->first_row + query / tile->n_rep) +
           (size_t)head * tile->op->attention.layout.d_v;
}

/* A tile over all its blocks. */
static void attend_tile(const struct tile_walk *walk, const struct tile_scratch *scratch) {
    const struct attention_tile *tile = &walk->tile;
    const struct kernels *k = walk->run->k;
    uint32_t d_v = walk->op->attention.layout.d_v, end = walk->first_block + walk->n_blocks;
    tile_take_queries(tile, scratch);
    for (uint32_t m = 0; m < tile_queries(tile); m++) {
        scratch->states[m] =
            first_state(walk->run, walk->op, tile->group * tile->n_rep + m % tile->n_rep);
        memset(output(tile, m), 0, d_v * sizeof(float));
    }
    for (uint32_t block = walk->first_block; block < end; block++) {
        struct tile_block then = {block + 1 < end ? tile : NULL, block + 1};
        tile_attend_block(tile, scratch, block, scratch->out, scratch->parts, then);
        for (uint32_t m = 0; m < tile_queries(tile); m++)
            merge(k, d_v, &scratch->states[m], output(tile, m), scratch->parts[m],
                  scratch->out + (size_t)m * d_v);
    }
    for (uint32_t m = 0; m < tile_queries(tile); m++)
        k->scale(output(tile, m), output(tile, m), 1.0f / scratch->states[m].sum, d_v);
}

/* An item of a split tile is a block and a kv head, those of a block side by side. */
static float *partial_at(const struct tile_walk *walk, size_t item) {
    return walk->partials +
           item * partial_floats(tile_queries(&walk->tile), &walk->op->attention.layout);
}

static uint32_t item_block(const struct tile_walk *walk, size_t item) {
    return walk->first_block + (uint32_t)(item / walk->op->attention.layout.n_head_kv);
}

static uint32_t item_group(const struct tile_walk *walk, size_t item) {
    return (uint32_t)(item % walk->op->attention.layout.n_head_kv);
}

/* This thread's blocks of a tile; `turn`: items of earlier tiles. */
static void attend_blocks(const struct tile_walk *walk, const struct tile_scratch *scratch,
                          size_t turn) {
    const struct kv_layout *layout = &walk->op->attention.layout;
    struct attention_tile tile = walk->tile, next = walk->tile;
    uint32_t n_threads = walk->run->n_threads;
    size_t n_items = (size_t)walk->n_blocks * layout->n_head_kv;
    size_t item = (walk->run->thread + n_threads - turn % n_threads) % n_threads;
    for (; item < n_items; item += n_threads) {
        struct tile_block then = {NULL, 0};
        if (item + n_threads < n_items)
            then = (struct tile_block){&next, item_block(walk, item + n_threads)};
        tile.group = item_group(walk, item);
        next.group = item_group(walk, item + n_threads);
        tile_take_queries(&tile, scratch);
        float *partial = partial_at(walk, item);
        tile_attend_block(&tile, scratch, item_block(walk, item), partial,
                          partial_states(partial, tile_queries(&tile), layout), then);
    }
}

/* Query m of the tile: its blocks in order. */
static void merge_blocks(const struct tile_walk *walk, uint32_t m) {
    const struct attention_tile *tile = &walk->tile;
    const struct kv_layout *layout = &walk->op->attention.layout;
    const struct kernels *k = walk->run->k;
    struct softmax_state state =
        first_state(walk->run, walk->op, tile->group * tile->n_rep + m % tile->n_rep);
    float *out = output(tile, m);
    memset(out, 0, layout->d_v * sizeof *out);
    for (uint32_t block = 0; block < walk->n_blocks; block++) {
        float *partial = partial_at(walk, (size_t)block * layout->n_head_kv + tile->group);
        merge(k, layout->d_v, &state, out, partial_states(partial, tile_queries(tile), layout)[m],
              partial + (size_t)m * layout->d_v);
    }
    k->scale(out, out, 1.0f / state.sum, layout->d_v);
}

/* Later rows see more positions, so tiles go to threads to and fro. */
static bool my_turn(const struct cpu_run *run, size_t turn) {
    size_t place = turn % (2 * (size_t)run->n_threads);
    return (place < run->n_threads ? place : 2 * run->n_threads - 1 - place) == run->thread;
}

static void merge_split_tiles(const struct cpu_run *run, const struct op *op) {
    struct tile_walk walk = begin_walk(run, op);
    for (size_t turn = 0; next_tile(&walk);) {
        if (!walk.partials) continue;
        for (walk.tile.group = 0; walk.tile.group < op->attention.layout.n_head_kv;
             walk.tile.group++)
            for (uint32_t m = 0; m < tile_queries(&walk.tile); m++)
                if (turn++ % run->n_threads == run->thread) merge_blocks(&walk, m);
    }
}

void cpu_attention(const struct cpu_run *run, const struct op *op) {
    struct tile_scratch scratch = tile_scratch_of(op, run->device->thread_scratch[run->thread]);
    uint32_t n_kv = op->attention.layout.n_head_kv;
    struct tile_walk walk = begin_walk(run, op);
    size_t turn = 0, block_turn = 0;
    while (next_tile(&walk)) {
        if (walk.partials) {
            attend_blocks(&walk, &scratch, block_turn);
            block_turn += (size_t)walk.n_blocks * n_kv;
            continue;
        }
        for (walk.tile.group = 0; walk.tile.group < n_kv; walk.tile.group++)
            if (my_turn(run, turn++)) attend_tile(&walk, &scratch);
    }
    if (walk.used == 0) return;
    pool_barrier(run->device->pool);
    merge_split_tiles(run, op);
}
