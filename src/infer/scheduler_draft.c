/* Guesses of what running answers say next, checked in the pass of their next token. */
#include "infer/scheduler_parts.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "infer/speculation.h"

/* What drafts for one answer after the other. */
struct drafting_slot {
    struct speculation *speculation; /* NULL: nothing does, or it has failed */
    const struct choice *owner;      /* whose tokens it knows; NULL: nobody's */
    uint32_t n_known;                /* of them */
};

struct scheduler_drafts {
    struct pass_times times;
    uint32_t max_draft;
    uint32_t pass_rows;           /* of the pass that is being computed; 0: it is not measured */
    uint32_t n_slots, turn;       /* turn: of the sequence that drafts first */
    struct drafting_slot slots[]; /* by sequence, or one for all */
};

/* ---- opening and closing --------------------------------------------------------- */

static hearth_status open_slot(struct scheduler *s, uint32_t sequence, hearth_error *err) {
    const struct scheduler_drafting *drafting = s->options.drafting;
    struct speculation_options options = {.max_draft = drafting->max_draft,
                                          .min_draft = drafting->min_draft,
                                          .times = &s->drafts->times};
    struct drafter *drafter = NULL;
    RETURN_IF_ERROR(drafting->open(drafting->context, sequence, &drafter, err));
    return speculation_open(&s->drafts->slots[sequence].speculation, drafter, &options, s->n_ctx,
                            err);
}

hearth_status scheduler_open_drafts(struct scheduler *s, hearth_error *err) {
    const struct scheduler_drafting *drafting = s->options.drafting;
    if (!drafting || drafting->max_draft == 0) return HEARTH_OK;
    uint32_t n = drafting->single ? 1 : s->n_sequences;
    s->drafts = mem_calloc(1, sizeof *s->drafts + n * sizeof s->drafts->slots[0]);
    if (!s->drafts) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for drafts");
    s->drafts->n_slots = n;
    s->drafts->max_draft = drafting->max_draft;
    for (uint32_t i = 0; i < n; i++)
        RETURN_IF_ERROR(open_slot(s, i, err));
    return HEARTH_OK;
}

void scheduler_close_drafts(struct scheduler *s) {
    for (uint32_t i = 0; s->drafts && i < s->drafts->n_slots; i++)
        speculation_close(s->drafts->slots[i].speculation);
    mem_free(s->drafts);
}

/* ---- whose drafts ---------------------------------------------------------------- */

static struct drafting_slot *slot_of(const struct scheduler *s, const struct choice *c) {
    return &s->drafts->slots[s->drafts->n_slots > 1 ? c->sequence : 0];
}

void choice_leave_drafter(struct scheduler *s, struct choice *c) {
    c->n_draft = 0;
    if (!s->drafts) return;
    struct drafting_slot *slot = slot_of(s, c);
    if (slot->owner == c) slot->owner = NULL;
}

/* Whether all that this pass computes of sequence i is the row of an answer's last token. */
static bool answers(const struct scheduler *s, uint32_t i) {
    return s->rows[i] > 0 && choice_awaits_token(s, s->running[i]);
}

/* A single slot is the first one's, as long as that runs. */
static bool has_drafter(const struct scheduler *s, const struct choice *c) {
    const struct drafting_slot *slot = slot_of(s, c);
    if (!slot->speculation) return false;
    if (slot->owner || s->drafts->n_slots > 1) return !slot->owner || slot->owner == c;
    for (uint32_t i = 0; i < s->n_sequences; i++)
        if (answers(s, i) && choice_precedes(s->running[i], c)) return false;
    return true;
}

/* The slot knows all tokens of c from now on. */
static void follow(struct drafting_slot *slot, const struct choice *c) {
    if (slot->owner != c) {
        speculation_set(slot->speculation, c->tokens, c->n_tokens);
        slot->n_known = c->n_tokens;
        slot->owner = c;
    }
    while (slot->n_known < c->n_tokens)
        speculation_push(slot->speculation, c->tokens[slot->n_known++]);
}

/* ---- how much -------------------------------------------------------------------- */

/* What a pass computes so far. */
struct load {
    uint32_t rows;
    bool has_prompts;
    uint64_t pages; /* free ones that it takes */
};

static struct load load_of(const struct scheduler *s) {
    struct load load = {.pages = scheduler_pages_wanted(s)};
    for (uint32_t i = 0; i < s->n_sequences; i++) {
        if (s->rows[i] == 0) continue;
        load.rows += s->rows[i];
        load.has_prompts |= choice_computed(s, s->running[i]) < s->running[i]->job->n_prompt;
    }
    return load;
}

static uint32_t smaller(uint32_t a, uint64_t b) {
    return a < b ? a : (uint32_t)b;
}

static uint64_t more_pages(const struct choice *c, uint32_t n_draft) {
    return scheduler_pages_of(c->n_tokens + n_draft) - scheduler_pages_of(c->n_tokens);
}

/* Tokens that may be drafted: that can become part of the answer, and for which nobody gives up
 * pages. */
static uint32_t draft_room(const struct scheduler *s, const struct choice *c,
                           const struct load *load) {
    const struct page_table *table = context_pages(s->context);
    uint64_t spare = (uint64_t)table->n_free + table->n_idle - load->pages;
    uint32_t in_page = scheduler_pages_of(c->n_tokens) * CACHE_PAGE_TOKENS - c->n_tokens;
    uint32_t room = smaller(s->drafts->max_draft, c->max_length - c->n_tokens);
    room = smaller(room, in_page + spare * CACHE_PAGE_TOKENS);
    room = smaller(room, s->max_batch > load->rows ? s->max_batch - load->rows : 0);
    room = smaller(room, s->score_rows); /* all logits are wanted of drafts, too */
    if (!s->recurrent) return room;
    /* A state that is kept for prompts to come is that at the end of a sequence. */
    if (s->tree) room = smaller(room, in_page);
    return smaller(room, context_n_draft(s->context));
}

/* The token that ends an answer is never computed, nor is what would follow it. */
static uint32_t tokens_before_end(const struct scheduler *s, const struct choice *c,
                                  const struct draft *draft) {
    uint32_t n = 0;
    while (n < draft->n && !choice_ends_with(s, c, draft->tokens[n]))
        n++;
    return n;
}

/* A drafter that fails is not asked again; answers do not depend on it. */
static void draft_for(struct scheduler *s, struct choice *c, struct load *load) {
    struct drafting_slot *slot = slot_of(s, c);
    uint32_t room = draft_room(s, c, load);
    const struct draft *draft;
    if (room == 0 || !context_sequence_keep_states(s->context, c->sequence)) return;
    follow(slot, c);
    /* Drafters may use the pages of what they draft. */
    scheduler_free_pages(s, load->pages + more_pages(c, room));
    if (speculation_propose_beside(slot->speculation, load->rows, s->n_running, room, &draft,
                                   NULL) != HEARTH_OK) {
        speculation_close(slot->speculation);
        *slot = (struct drafting_slot){0};
        return;
    }
    c->n_draft = tokens_before_end(s, c, draft);
    if (c->n_draft == 0) return;
    memcpy(c->tokens + c->n_tokens, draft->tokens, c->n_draft * sizeof *c->tokens);
    c->result.n_drafted += c->n_draft;
    s->rows[c->sequence] += c->n_draft;
    s->score_rows -= c->n_draft;
    load->rows += c->n_draft;
    load->pages += more_pages(c, c->n_draft);
}

/* Prompts make passes long and have another arithmetic: such passes are not measured. */
void scheduler_add_drafts(struct scheduler *s) {
    struct scheduler_drafts *d = s->drafts;
    if (!d) return;
    struct load load = load_of(s);
    for (uint32_t k = 0; k < s->n_sequences; k++) {
        uint32_t i = (d->turn + k) % s->n_sequences;
        if (answers(s, i) && has_drafter(s, s->running[i])) draft_for(s, s->running[i], &load);
    }
    d->turn++;
    d->pass_rows = load.has_prompts ? 0 : load.rows;
}

void scheduler_measure_pass(struct scheduler *s, double seconds) {
    if (s->drafts && s->drafts->pass_rows > 0)
        pass_times_measure(&s->drafts->times, s->drafts->pass_rows, seconds);
}

/* ---- what becomes of them -------------------------------------------------------- */

static void drop_draft(struct scheduler *s, struct choice *c) {
    if (c->n_draft == 0) return;
    bool kept = context_sequence_truncate(s->context, c->sequence, c->n_tokens);
    assert(kept); /* the pass that computed them kept its states */
    (void)kept;
    c->n_draft = 0;
}

void choice_check_draft(struct scheduler *s, struct choice *c, int32_t token) {
    if (c->n_draft > 0 && c->tokens[c->n_tokens] == token) {
        c->n_draft--;
        c->result.n_accepted++;
    } else
        drop_draft(s, c);
}

bool choice_is_ahead(struct scheduler *s, struct choice *c) {
    if (context_sequence_length(s->context, c->sequence) < c->n_tokens) return false;
    pthread_mutex_lock(&s->mutex);
    bool cancelled = c->job->cancelled;
    pthread_mutex_unlock(&s->mutex);
    if (cancelled) drop_draft(s, c);
    return !cancelled;
}
