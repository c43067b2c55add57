/* context.h - many sequences over one model: who owns which cache pages, and ragged
 * batches.
 *
 * A sequence is a timeline of positions 0 .. length-1 whose keys and values lie in
 * pages it owns, plus one slot of recurrent state, or n_draft + 2 of them while drafts
 * may be taken back. context_decode extends several sequences at once; each part's
 * result is the same alone or among others, and in pieces of any size, by the part's own
 * `prompt`.
 *
 * Sequences may share pages; whoever writes to a shared one gets a copy first.
 *
 * Invariants: (1) pages are counted (page_table.h), and what others need is never written; (2)
 * after a failed decode every sequence is as long as before, except those of a recurrent model that
 * had begun to advance without keeping states: they are empty; what was refused beforehand changes
 * nothing; (3) no allocation in decode. One thread at a time. */
#ifndef HEARTH_INFER_CONTEXT_H
#define HEARTH_INFER_CONTEXT_H

#include "device/device.h"
#include "infer/page_table.h"
#include "model/executor.h"

struct context;

struct context_options {
    unsigned n_threads;   /* 0: one per core */
    uint32_t n_ctx;       /* positions of the longest sequence; 0: what fits, see below */
    uint32_t n_sequences; /* at least 1 */
    /* Of all sequences together; 0: so many that each can be of length n_ctx. Others become what
     * the budget holds, and what one sequence of that length needs. */
    uint32_t n_pages;
    uint32_t max_batch; /* rows computed at once; 0: 512 */
    uint32_t n_draft;   /* tokens of a sequence that may be taken back, at most */
    /* Sequences of recurrent models that may do so at the same time; 0: all. */
    uint32_t n_drafting;
    uint32_t n_states;        /* of recurrent models, saved beside those of sequences, at most */
    enum elem k_type, v_type; /* of the cache */
    bool activations_f32;     /* exact arithmetic with quantised weights */
    uint64_t max_bytes;       /* cache and scratch, without the weights; 0: what is free */
    bool next;                /* the model's own head predicts a further token: context_predict */
    const struct topology_nodes *nodes; /* that threads are tied to; outlives it; NULL: none */
};

/* F16 cache, one sequence, everything else automatic. */
struct context_options context_defaults(void);

/* With n_ctx 0 the context is the model's own, or the longest whose cache fits the
 * budget; context_limited then says so. */
hearth_status context_open(struct context **out, const struct model *model,
                           const struct context_options *options, hearth_error *err);
void context_close(struct context *context);

uint32_t context_length(const struct context *context); /* n_ctx in force */
bool context_limited(const struct context *context);    /* by memory, below the model's own */
/* n_draft in force: for a recurrent model as many as states fit an eighth of the budget,
 * and none where the context would have to be shorter for them. */
uint32_t context_n_draft(const struct context *context);
/* n_states in force: 0 for other models, and otherwise bounded in the same way. */
uint32_t context_n_states(const struct context *context);
uint64_t context_cache_bytes(const struct context *context);
uint64_t context_allocated_bytes(const struct context *context);
const char *context_device(const struct context *context);
const struct model *context_model(const struct context *context);

struct context_part {
    uint32_t sequence;     /* 0 .. n_sequences - 1 */
    const int32_t *tokens; /* appended to the sequence */
    uint32_t n_tokens;
    bool all_logits; /* of every token; otherwise of the last only when `last_logits` */
    bool last_logits;
    /* At most n_draft + 1 tokens: a recurrent sequence keeps its state after each of them,
     * and so over several such parts in turn while all of them are no more than that. Where
     * n_drafting sequences do so, others are refused (HEARTH_ERROR_LIMIT). */
    bool keep_states;
    /* The tokens are given, not generated: they may be computed in the faster arithmetic
     * of prompts (plan.h), which differs from that of generated tokens by its rounding. */
    bool prompt;
};

/* Rows of logits in the order of parts and tokens, [rows][n_vocab]; NULL if no part
 * asks for any. Parts longer than a batch are computed in pieces. HEARTH_ERROR_LIMIT: more
 * tokens than the context holds, or more pages than are free. */
hearth_status context_decode(struct context *context, const struct context_part *parts,
                             size_t n_parts, float *logits, hearth_error *err);
/* What the model's head for further tokens predicts after `token` at `position`, [n_vocab]; the
 * context is opened with `next`. It has seen the sequence before `position`, which is 1 to the
 * sequence's length, or one more than in the call before: there the head goes on by itself.
 * The sequence stays what it is, but what it holds from `position` on is to be forgotten before
 * it is read again. */
hearth_status context_predict(struct context *context, uint32_t sequence, uint32_t position,
                              int32_t token, float *logits, hearth_error *err);
/* Embedding of one text, [n_embd], pooled as the model says and of length 1; the sequence
 * is left empty. A text is computed in one batch, except for causal models that pool the
 * last token. Encoders hold batches of n_ctx (which is 2048 at most unless asked for) and
 * cache in F32, whatever the options say. */
hearth_status context_embed(struct context *context, uint32_t sequence, const int32_t *tokens,
                            uint32_t n_tokens, float *out, hearth_error *err);

uint32_t context_sequence_length(const struct context *context, uint32_t sequence);
/* Forgets positions from `length` on, and gives back pages that hold none. A recurrent model can
 * only forget all, or go back to where a state was kept: otherwise the sequence is emptied and
 * false is returned. */
bool context_sequence_truncate(struct context *context, uint32_t sequence, uint32_t length);

/* Sees the inputs of the model's linear layers from the next decode on (device.h says
 * how it is called); `weight` is the model's tensor. NULL: none. */
typedef void (*context_observer)(void *observer_context, const struct tensor *weight,
                                 const struct device_input *input, unsigned thread,
                                 unsigned n_threads);
void context_observe(struct context *context, context_observer observer, void *observer_context);

/* Adds what every pass costs at least (plan_cost.h) to `cost` from now on; NULL: no more. */
void context_count(struct context *context, struct plan_cost *cost);

const struct context_options *context_settings(const struct context *context); /* in force */

/* ---- adapters (adapter.h) ----------------------------------------------------- */

/* Loads these instead of all others; NULL: none. Every sequence uses them from its next part on,
 * each with its scale. Adapters are borrowed while they are loaded. */
hearth_status context_set_adapters(struct context *context, const struct adapter_set *adapters,
                                   hearth_error *err);
/* More of them, between two decodes, that nobody uses yet: a decomposed one with its scale or not
 * at all, others with any. HEARTH_ERROR_LIMIT: ADAPTER_LOADED_MAX can be loaded. */
hearth_status context_load_adapters(struct context *context, const struct adapter_item *adapters,
                                    size_t n, hearth_error *err);
/* What sequences use that were given none of their own. A set names loaded adapters in the order in
 * which they were loaded, each once (HEARTH_ERROR_NOT_FOUND, _ARGUMENT). */
hearth_status context_use_adapters(struct context *context, const struct adapter_set *adapters,
                                   hearth_error *err);
const struct adapter_set *context_adapters(const struct context *context);
/* What an empty sequence (HEARTH_ERROR_ARGUMENT) uses until it is given others or
 * context_set_adapters is called; NULL: what the others use. Its rows are those that it would have
 * alone in a context of these adapters, whatever others use beside it. */
hearth_status context_sequence_set_adapters(struct context *context, uint32_t sequence,
                                            const struct adapter_set *adapters, hearth_error *err);

/* ---- pages of several sequences ---------------------------------------------- */

struct page_table *context_pages(struct context *context);
/* Whether prompts have an arithmetic of their own here: where not, context_part's `prompt`
 * changes nothing. */
bool context_has_prompts(const struct context *context);
/* Free pages that appending so many tokens takes. */
uint32_t context_pages_wanted(const struct context *context, uint32_t sequence, uint32_t n_tokens);
/* The page of positions 32 i .. 32 i + 31. */
uint32_t context_sequence_page(const struct context *context, uint32_t sequence, uint32_t i);
/* A sequence whose length is a multiple of 32, and below n_ctx by as much, uses one more page,
 * that holds what follows. A recurrent one then needs its state there: context_load_state. */
void context_sequence_adopt(struct context *context, uint32_t sequence, uint32_t page);
/* Uses another page, that holds the same, in place of its i-th one. */
void context_sequence_exchange(struct context *context, uint32_t sequence, uint32_t i,
                               uint32_t page);
/* Whether the sequence may have a part that keeps states, which others then may not: until it is
 * empty, or has a part without. */
bool context_sequence_keep_states(struct context *context, uint32_t sequence);
/* The recurrent state at a sequence's end, to and from place i of context_n_states. */
hearth_status context_save_state(struct context *context, uint32_t sequence, uint32_t i,
                                 hearth_error *err);
hearth_status context_load_state(struct context *context, uint32_t sequence, uint32_t i,
                                 hearth_error *err);
/* `to` becomes like `from`, with its adapters; takes no free page. It can go back
 * (context_sequence_truncate) to before that only where that needs no states. */
hearth_status context_sequence_fork(struct context *context, uint32_t from, uint32_t to,
                                    hearth_error *err);

/* ---- sequences as bytes ---------------------------------------------------- */

/* Positions 32 i .. 32 i + 31 of a sequence as cache_read_page gives them, zeros beyond its
 * length; and the recurrent state at its length, of 0 bytes where a model has none. */
uint64_t context_page_bytes(const struct context *context);
uint64_t context_state_bytes(const struct context *context);
hearth_status context_read_page(const struct context *context, uint32_t sequence, uint32_t i,
                                uint8_t *out, hearth_error *err);
hearth_status context_read_state(const struct context *context, uint32_t sequence, uint8_t *out,
                                 hearth_error *err);

/* A sequence whose length is a multiple of 32, and below n_ctx by as much, has one more page, of
 * which context_read_page gave these bytes; nothing changes where that fails. A recurrent one then
 * needs its state there. */
hearth_status context_append_page(struct context *context, uint32_t sequence, const uint8_t *bytes,
                                  hearth_error *err);
hearth_status context_write_state(struct context *context, uint32_t sequence, const uint8_t *bytes,
                                  hearth_error *err);

#endif
