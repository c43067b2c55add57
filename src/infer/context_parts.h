/* context_parts.h - what the files of a context share; nobody else's business. */
#ifndef HEARTH_INFER_CONTEXT_PARTS_H
#define HEARTH_INFER_CONTEXT_PARTS_H

#include "infer/context.h"

/* A set of adapters as the device takes it. */
struct adapter_uses {
    struct adapter_use items[ADAPTER_SET_MAX];
    uint32_t n;
};

struct sequence {
    uint32_t *pages; /* [pages_per_sequence] */
    uint32_t n_pages, length;
    uint32_t before; /* its length before the running decode */
    bool fresh;      /* the recurrent state must be cleared by the next run */
    /* [n_slots], without keeps_states [1]: slots[i] holds the state at length kept_from + i, up to
     * `length`. */
    uint32_t *slots, kept_from;
    bool keeps_states;
    bool has_adapters; /* of its own, these; otherwise it uses the context's */
    struct adapter_uses adapters;
};

struct context {
    const struct model *model;
    struct device *device;
    struct executor *executor;
    struct context_options options;
    uint32_t n_ctx, pages_per_sequence, n_pages;
    uint32_t n_draft, n_slots; /* slots of a sequence that keeps states */
    uint32_t n_drafting;       /* sequences that can keep states at once */
    uint32_t n_states;         /* slots after those of all sequences */
    bool limited;
    struct sequence *sequences;
    uint32_t *page_storage, *slot_storage;
    uint32_t *spare_slots, n_spare; /* the first n_spare are nobody's; the last is taken next */
    struct page_table pages;
    /* The batch being built, [max_batch] each. */
    int32_t *tokens;
    uint32_t *positions, *row_run, *row_slots, *output_rows;
    struct batch_run *runs;
    struct adapter_item loaded[ADAPTER_LOADED_MAX]; /* adapter_use.adapter is i + 1 */
    size_t n_loaded;
    struct adapter_set adapters; /* of sequences without others */
    struct adapter_uses adapter_uses;
    context_observer observer;
    void *observer_context;
};

static inline uint32_t pages_for(uint32_t tokens) {
    return tokens / CACHE_PAGE_TOKENS + (tokens % CACHE_PAGE_TOKENS != 0);
}

static inline const struct adapter_uses *sequence_adapters(const struct context *context,
                                                           const struct sequence *sequence) {
    return sequence->has_adapters ? &sequence->adapters : &context->adapter_uses;
}

/* Free pages that a sequence takes to write positions [from, length), of which those before
 * its own length lie in one page: new ones, and one for a copy where the first is shared. */
uint32_t sequence_wants(const struct context *context, const struct sequence *sequence,
                        uint32_t from, uint32_t length);
/* Takes them; the sequence's own length is the caller's to change. */
hearth_status sequence_reserve(struct context *context, struct sequence *sequence, uint32_t from,
                               uint32_t length, hearth_error *err);
/* ---- context_states.c ---- */

hearth_status context_open_slots(struct context *context, hearth_error *err);
uint32_t context_first_saved_slot(const struct context *context);
/* Forgets states before the sequence's last, and gives back what held them. */
void sequence_drop_states(struct context *context, struct sequence *sequence);
/* Makes room for the states of a part that keeps them, which context_sequence_keep_states allowed,
 * and forgets those of the past for one that does not. */
void sequence_settle_states(struct context *context, struct sequence *sequence,
                            const struct context_part *part);

/* ---- context_sequences.c ---- */

/* HEARTH_ERROR_LIMIT when fewer are free. */
hearth_status sequence_check_pages(const struct context *context, uint64_t wanted,
                                   hearth_error *err);

#endif
