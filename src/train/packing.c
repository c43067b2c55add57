#include "train/packing.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* What is never torn apart: a sequence, or the two of a pair. */
struct unit {
    size_t example; /* the first, of the window's list */
    uint32_t n_examples, n_rows, bin;
};

struct bin {
    uint32_t n_rows, n_sequences;
};

struct packer {
    struct packing_options options;
    struct packing_state state; /* of the next batch */
    struct packing_statistics statistics;
    uint64_t n_records;

    bool is_loaded; /* the window at state.record is in what follows */
    uint64_t window_end;
    struct example_list list;
    struct unit *units;
    size_t n_units, units_capacity;
    struct bin *bins; /* [n_bins], as many as there are units at most */
    size_t n_bins;
    uint32_t *order; /* [n_bins] place -> bin */

    int32_t *tokens, *targets; /* [max_rows] */
    uint32_t *starts;          /* [max_rows + 1] */
};

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to pack sequences into batches");
}

/* ---- opening ---- */

static hearth_status check_options(const struct packing_options *o, hearth_error *err) {
    uint32_t longest = example_maker_max_length(o->maker);
    uint32_t n = dataset_is_preference(o->dataset) ? 2 : 1;
    if (dataset_count(o->dataset, o->part) == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "there are no records to %s",
                         o->part == PART_EVAL ? "evaluate with" : "train on");
    if (o->max_rows == 0 || !longest || (uint64_t)(longest - 1) * n > o->max_rows)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "batches of %u rows do not hold %s of up to %u tokens", o->max_rows,
                         n == 2 ? "two sequences" : "sequences", longest);
    if (o->max_sequences && o->max_sequences < n)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "preference pairs need at least 2 sequences per batch");
    return HEARTH_OK;
}

hearth_status packer_open(struct packer **out, const struct packing_options *options,
                          hearth_error *err) {
    *out = NULL;
    RETURN_IF_ERROR(check_options(options, err));
    struct packer *p = mem_calloc(1, sizeof *p);
    if (!p) return no_memory(err);
    p->options = *options;
    p->state.seed = options->seed;
    p->n_records = dataset_count(options->dataset, options->part);
    p->tokens = mem_alloc_array(options->max_rows, sizeof *p->tokens);
    p->targets = mem_alloc_array(options->max_rows, sizeof *p->targets);
    p->starts = mem_alloc_array((size_t)options->max_rows + 1, sizeof *p->starts);
    if (!p->tokens || !p->targets || !p->starts) {
        packer_close(p);
        return no_memory(err);
    }
    *out = p;
    return HEARTH_OK;
}

void packer_close(struct packer *p) {
    if (!p) return;
    example_list_release(&p->list);
    mem_free(p->units);
    mem_free(p->bins);
    mem_free(p->order);
    mem_free(p->tokens);
    mem_free(p->targets);
    mem_free(p->starts);
    mem_free(p);
}

/* ---- a window of records ---- */

static hearth_status add_record(struct packer *p, uint64_t i, hearth_error *err) {
    const struct packing_options *o = &p->options;
    struct dataset_sample sample;
    struct example_outcome outcome;
    uint64_t index =
        o->keep_order ? i : dataset_shuffled(p->n_records, p->state.seed, p->state.epoch, i);
    RETURN_IF_ERROR(dataset_read(o->dataset, o->part, index, &sample, err));
    hearth_status status = example_make(o->maker, &sample, &p->list, &outcome, err);
    if (status == HEARTH_OK && outcome.result != EXAMPLE_MADE && o->on_problem)
        o->on_problem(o->context, &sample.place, &outcome);
    dataset_sample_release(&sample);
    return status;
}

static hearth_status read_window(struct packer *p, hearth_error *err) {
    uint64_t enough = (uint64_t)p->options.max_rows * PACKING_WINDOW_BATCHES;
    example_list_clear(&p->list);
    p->window_end = p->state.record;
    while (p->window_end < p->n_records && p->list.tokens.count < enough &&
           p->window_end - p->state.record < PACKING_WINDOW_RECORDS)
        RETURN_IF_ERROR(add_record(p, p->window_end++, err));
    return HEARTH_OK;
}

static hearth_status make_units(struct packer *p, hearth_error *err) {
    p->n_units = 0;
    if (p->units_capacity < p->list.n) {
        mem_free(p->units);
        mem_free(p->bins);
        mem_free(p->order);
        p->units = mem_alloc_array(p->list.n, sizeof *p->units);
        p->bins = mem_alloc_array(p->list.n, sizeof *p->bins);
        p->order = mem_alloc_array(p->list.n, sizeof *p->order);
        p->units_capacity = p->units && p->bins && p->order ? p->list.n : 0;
        if (!p->units_capacity) return no_memory(err);
    }
    for (size_t i = 0; i < p->list.n;) {
        struct unit *unit = &p->units[p->n_units++];
        const struct example *e = &p->list.items[i];
        *unit = (struct unit){.example = i, .n_examples = e->kind == EXAMPLE_CHOSEN ? 2 : 1};
        for (uint32_t k = 0; k < unit->n_examples; k++)
            unit->n_rows += e[k].n_tokens - 1;
        i += unit->n_examples;
    }
    return HEARTH_OK;
}

static void shuffle_units(struct packer *p, struct rng *rng) {
    for (size_t i = p->n_units; i > 1; i--) {
        size_t k = (size_t)(rng_u64(rng) % i);
        struct unit swapped = p->units[i - 1];
        p->units[i - 1] = p->units[k];
        p->units[k] = swapped;
    }
}

/* By length, then in the order of the records, so that the result is one. */
static int compare_units(const void *a, const void *b) {
    const struct unit *x = a, *y = b;
    if (x->n_rows != y->n_rows) return x->n_rows < y->n_rows ? -1 : 1;
    return (x->example > y->example) - (x->example < y->example);
}

static bool fits(const struct packer *p, const struct bin *bin, const struct unit *unit) {
    const struct packing_options *o = &p->options;
    return unit->n_rows <= o->max_rows - bin->n_rows &&
           (!o->max_sequences || bin->n_sequences + unit->n_examples <= o->max_sequences);
}

/* First fit (Johnson 1973), or next fit of the sorted ones: only the last bin is open. */
static void fill_bins(struct packer *p) {
    size_t open = 0;
    p->n_bins = 0;
    for (size_t i = 0; i < p->n_units; i++) {
        struct unit *unit = &p->units[i];
        size_t b = p->options.method == PACK_BY_LENGTH && p->n_bins > 0 ? p->n_bins - 1 : open;
        while (b < p->n_bins && !fits(p, &p->bins[b], unit))
            b++;
        if (b == p->n_bins) p->bins[p->n_bins++] = (struct bin){0};
        unit->bin = (uint32_t)b;
        p->bins[b].n_rows += unit->n_rows;
        p->bins[b].n_sequences += unit->n_examples;
        while (open < p->n_bins && p->bins[open].n_rows == p->options.max_rows)
            open++;
    }
}

static void order_bins(struct packer *p, struct rng *rng) {
    for (size_t i = 0; i < p->n_bins; i++)
        p->order[i] = (uint32_t)i;
    for (size_t i = p->n_bins; i > 1 && !p->options.keep_order; i--) {
        size_t k = (size_t)(rng_u64(rng) % i);
        uint32_t swapped = p->order[i - 1];
        p->order[i - 1] = p->order[k];
        p->order[k] = swapped;
    }
}

static hearth_status load_window(struct packer *p, hearth_error *err) {
    struct rng rng;
    RETURN_IF_ERROR(read_window(p, err));
    RETURN_IF_ERROR(make_units(p, err));
    rng_seed(&rng, p->state.seed ^ (p->state.epoch << 40) ^ p->state.record);
    if (p->options.method == PACK_BY_LENGTH)
        qsort(p->units, p->n_units, sizeof *p->units, compare_units);
    else if (!p->options.keep_order)
        shuffle_units(p, &rng);
    fill_bins(p);
    order_bins(p, &rng);
    p->is_loaded = true;
    return HEARTH_OK;
}

/* ---- batches ---- */

static void put_sequence(struct packer *p, const struct example *e, struct train_batch *batch) {
    const int32_t *ids = p->list.tokens.ids + e->first;
    const uint8_t *trained = p->list.trained + e->first;
    for (uint32_t i = 0; i + 1 < e->n_tokens; i++, batch->n_rows++) {
        p->tokens[batch->n_rows] = ids[i];
        p->targets[batch->n_rows] = trained[i + 1] ? ids[i + 1] : -1;
    }
    p->starts[++batch->n_sequences] = batch->n_rows;
    p->statistics.n_trained += e->n_trained;
}

static void put_batch(struct packer *p, uint32_t bin, struct train_batch *batch) {
    *batch = (struct train_batch){.tokens = p->tokens, .targets = p->targets, .starts = p->starts};
    p->starts[0] = 0;
    for (size_t i = 0; i < p->n_units; i++) {
        const struct unit *unit = &p->units[i];
        if (unit->bin != bin) continue;
        for (uint32_t k = 0; k < unit->n_examples; k++)
            put_sequence(p, &p->list.items[unit->example + k], batch);
    }
    p->statistics.n_batches++;
    p->statistics.n_sequences += batch->n_sequences;
    p->statistics.n_rows += batch->n_rows;
    p->statistics.n_room += p->options.max_rows;
}

/* To the next window when this one is used up; true: it is the first of an epoch. */
static bool advance(struct packer *p) {
    if (p->state.batch < p->n_bins) return false;
    p->state.batch = 0;
    p->state.record = p->window_end;
    p->is_loaded = false;
    if (p->state.record < p->n_records) return false;
    p->state.record = 0;
    p->state.epoch++;
    return true;
}

/* A window with a batch in it. Windows whose records were all dropped are passed by; an
 * epoch of them has nothing to train on. */
static hearth_status find_window(struct packer *p, bool *new_epoch, hearth_error *err) {
    uint64_t first_epoch = p->state.epoch;
    *new_epoch = false;
    while (!p->is_loaded || p->state.batch == p->n_bins) {
        if (p->is_loaded) *new_epoch |= advance(p);
        if (p->state.epoch > first_epoch + 1)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "no record of the data is left to train on: all were dropped");
        if (!p->is_loaded) RETURN_IF_ERROR(load_window(p, err));
    }
    return HEARTH_OK;
}

hearth_status packer_next(struct packer *p, struct train_batch *batch, bool *epoch_ends,
                          hearth_error *err) {
    bool new_epoch;
    RETURN_IF_ERROR(find_window(p, &new_epoch, err));
    put_batch(p, p->order[p->state.batch], batch);
    batch->number = rng_at(rng_at(p->state.epoch, p->state.record), p->state.batch);
    p->state.batch++;
    if (!epoch_ends) return HEARTH_OK;
    /* The rows are copied: the next window may be loaded to see whether there is one. */
    *epoch_ends = false;
    return p->state.batch < p->n_bins ? HEARTH_OK : find_window(p, epoch_ends, err);
}

double packer_progress(const struct packer *p) {
    double window = p->is_loaded ? (double)(p->window_end - p->state.record) : 0;
    double done = p->is_loaded && p->n_bins > 0 ? (double)p->state.batch / (double)p->n_bins : 0;
    return ((double)p->state.record + window * done) / (double)p->n_records;
}

struct packing_state packer_state(const struct packer *p) {
    return p->state;
}

hearth_status packer_seek(struct packer *p, struct packing_state state, hearth_error *err) {
    p->state = state;
    p->is_loaded = false;
    if (state.record >= p->n_records)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the run was at record %llu, but the data has %llu: it is other data",
                         (unsigned long long)state.record, (unsigned long long)p->n_records);
    RETURN_IF_ERROR(load_window(p, err));
    if (state.batch <= p->n_bins) return HEARTH_OK;
    p->is_loaded = false;
    p->state.batch = 0;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "the run was at batch %llu of a window that has %zu: data, model or lengths "
                     "are others",
                     (unsigned long long)state.batch, p->n_bins);
}

struct packing_statistics packer_statistics(const struct packer *p) {
    return p->statistics;
}
