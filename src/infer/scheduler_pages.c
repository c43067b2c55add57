/* Computed pages, and states of recurrent models at their ends: found, taken over, and kept. */
#include "infer/scheduler_parts.h"

#include <string.h>

uint32_t choice_computed(const struct scheduler *s, const struct choice *c) {
    uint32_t length = context_sequence_length(s->context, c->sequence);
    return length < c->n_tokens ? length : c->n_tokens;
}

/* Pages that are whole without the last token: of that the logits are wanted, so that it is
 * computed in any case. */
static uint32_t whole_pages(const struct choice *c) {
    return (c->n_tokens - 1) / CACHE_PAGE_TOKENS;
}

/* What a page holds is decided by its tokens and by the arithmetic of each. */
static void make_keys(const struct scheduler *s, const struct choice *c, uint32_t page,
                      uint32_t keys[CACHE_PAGE_TOKENS]) {
    for (uint32_t i = 0; i < CACHE_PAGE_TOKENS; i++) {
        uint32_t at = page * CACHE_PAGE_TOKENS + i;
        bool marked = s->marks_generated && at >= c->job->n_prompt;
        keys[i] = (uint32_t)c->tokens[at] | (marked ? UINT32_C(1) << 31 : 0);
    }
}

/* The computed page that follows the first `n` of c, of which `last` is the last one. */
static uint32_t find_page(const struct scheduler *s, const struct choice *c, uint32_t n,
                          uint32_t last) {
    uint32_t keys[CACHE_PAGE_TOKENS];
    if (choice_scores(c) && c->n_scored < (n + 1) * CACHE_PAGE_TOKENS) return PREFIX_ROOT;
    if (!s->tree || n >= whole_pages(c)) return PREFIX_ROOT;
    make_keys(s, c, n, keys);
    return prefix_tree_find(s->tree, last, keys);
}

static uint32_t last_kept(const struct scheduler *s, const struct choice *c) {
    return c->n_kept ? context_sequence_page(s->context, c->sequence, c->n_kept - 1) : c->job->root;
}

static bool has_all_kept(const struct scheduler *s, const struct choice *c) {
    return s->tree && choice_computed(s, c) == c->n_kept * CACHE_PAGE_TOKENS;
}

/* ---- waiting for another --------------------------------------------------------- */

/* Whether b computes the page next that c needs next, too. */
static bool computes_page_of(const struct scheduler *s, const struct choice *b,
                             const struct choice *c) {
    uint32_t page = c->n_kept, keys[CACHE_PAGE_TOKENS], others[CACHE_PAGE_TOKENS];
    if (b->n_kept != page || last_kept(s, b) != last_kept(s, c) || !has_all_kept(s, b) ||
        (page + 1) * CACHE_PAGE_TOKENS > b->n_tokens)
        return false;
    make_keys(s, b, page, others);
    make_keys(s, c, page, keys);
    return memcmp(keys, others, sizeof keys) == 0;
}

bool choice_can_follow(const struct scheduler *s, const struct choice *c) {
    if (s->recurrent || !has_all_kept(s, c) || choice_scores(c) || c->n_kept >= whole_pages(c))
        return false;
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        const struct choice *b = s->running[i];
        if (b && b != c && choice_precedes(b, c) && computes_page_of(s, b, c)) return true;
    }
    return false;
}

/* ---- taking over ------------------------------------------------------------------ */

uint32_t choice_pages_to_begin(const struct scheduler *s, const struct choice *c) {
    const struct page_table *table = context_pages(s->context);
    uint32_t n_pages = (c->n_tokens + CACHE_PAGE_TOKENS - 1) / CACHE_PAGE_TOKENS, found = 0;
    if (s->recurrent) return n_pages;
    uint32_t page = find_page(s, c, 0, c->job->root);
    while (page != PREFIX_ROOT && table->uses[page] > 0)
        page = find_page(s, c, ++found, page);
    return n_pages - found;
}

static void adopt_page(struct scheduler *s, struct choice *c, uint32_t page) {
    context_sequence_adopt(s->context, c->sequence, page);
    c->n_kept++;
    if (c->result.n_preempted > 0) return;
    c->result.n_reused += CACHE_PAGE_TOKENS;
    choice_refund(s, c, CACHE_PAGE_TOKENS);
}

/* A recurrent sequence goes on where a state was kept. The last page that is there at all shows
 * where it parts from another, so that its state will be wanted again (Pan et al., Marconi,
 * arXiv 2411.19379). */
static hearth_status adopt_to_state(struct scheduler *s, struct choice *c, hearth_error *err) {
    uint32_t n = c->n_kept, with_state = n, state = PREFIX_ROOT, page = last_kept(s, c);
    while ((page = find_page(s, c, n, page)) != PREFIX_ROOT) {
        n++;
        if (prefix_tree_state(s->tree, page) == PREFIX_ROOT) continue;
        state = prefix_tree_state(s->tree, page);
        with_state = n;
    }
    if (n > c->n_branch) c->n_branch = n;
    if (state == PREFIX_ROOT) return HEARTH_OK;
    while (c->n_kept < with_state)
        adopt_page(s, c, find_page(s, c, c->n_kept, last_kept(s, c)));
    return context_load_state(s->context, c->sequence, state, err);
}

hearth_status choice_adopt_pages(struct scheduler *s, struct choice *c, hearth_error *err) {
    uint32_t page;
    if (!has_all_kept(s, c)) return HEARTH_OK;
    if (s->recurrent) return adopt_to_state(s, c, err);
    while ((page = find_page(s, c, c->n_kept, last_kept(s, c))) != PREFIX_ROOT)
        adopt_page(s, c, page);
    return HEARTH_OK;
}

/* ---- keeping ----------------------------------------------------------------------- */

uint32_t choice_part_end(const struct scheduler *s, const struct choice *c) {
    uint32_t done = choice_computed(s, c), n_prompt = c->job->n_prompt;
    uint32_t end = done < n_prompt ? n_prompt : c->n_tokens;
    if (!s->recurrent || !s->tree) return end;
    const uint32_t states[] = {c->n_branch * CACHE_PAGE_TOKENS, whole_pages(c) * CACHE_PAGE_TOKENS};
    for (int i = 0; i < 2; i++)
        if (states[i] > done && states[i] < end) end = states[i];
    return end;
}

/* The states of an answer move on with it: what its prompt left is more likely to be wanted. */
static hearth_status keep_state(struct scheduler *s, struct choice *c, hearth_error *err) {
    uint32_t page = last_kept(s, c), done = choice_computed(s, c);
    bool generated = done > c->job->n_prompt, ends = done == c->job->n_prompt;
    if (!s->recurrent || done != c->n_kept * CACHE_PAGE_TOKENS ||
        prefix_tree_state(s->tree, page) != PREFIX_ROOT)
        return HEARTH_OK;
    if (!generated && !ends && c->n_kept != c->n_branch && c->n_kept != whole_pages(c))
        return HEARTH_OK;
    if (generated && c->n_state > 0)
        prefix_tree_drop_state(s->tree,
                               context_sequence_page(s->context, c->sequence, c->n_state - 1));
    c->n_state = generated ? c->n_kept : 0;
    uint32_t state = prefix_tree_take_state(s->tree, page);
    hearth_status status = context_save_state(s->context, c->sequence, state, err);
    if (status != HEARTH_OK) prefix_tree_drop_state(s->tree, page);
    return status;
}

hearth_status choice_keep_pages(struct scheduler *s, struct choice *c, hearth_error *err) {
    uint32_t keys[CACHE_PAGE_TOKENS], before = c->n_kept;
    while (s->tree && (c->n_kept + 1) * CACHE_PAGE_TOKENS <= choice_computed(s, c)) {
        uint32_t own = context_sequence_page(s->context, c->sequence, c->n_kept);
        make_keys(s, c, c->n_kept, keys);
        uint32_t page = prefix_tree_add(s->tree, last_kept(s, c), keys, own);
        if (page != own) context_sequence_exchange(s->context, c->sequence, c->n_kept, page);
        c->n_kept++;
    }
    return c->n_kept > before ? keep_state(s, c, err) : HEARTH_OK;
}

void choice_leave(struct scheduler *s, struct choice *c) {
    choice_leave_drafter(s, c);
    for (uint32_t i = c->n_kept; i > 0; i--)
        prefix_tree_touch(s->tree, context_sequence_page(s->context, c->sequence, i - 1));
    context_sequence_truncate(s->context, c->sequence, 0);
    if (c->job->leader == c) c->job->leader = NULL;
    s->running[c->sequence] = NULL;
    s->n_running--;
    c->job->client->n_running--;
    c->sequence = NO_SEQUENCE;
    c->n_kept = c->n_state = 0;
}
