/* Slots of recurrent states: every sequence has one, and those that keep states for a while have
 * more, out of a store that fewer sequences share. */
#include "infer/context_parts.h"

#include "base/mem.h"

hearth_status context_open_slots(struct context *c, hearth_error *err) {
    uint32_t n = c->options.n_sequences, n_more = c->n_drafting * (c->n_slots - 1);
    c->slot_storage = mem_calloc((size_t)n * c->n_slots, sizeof *c->slot_storage);
    c->spare_slots = mem_calloc((size_t)n_more + 1, sizeof *c->spare_slots);
    if (!c->slot_storage || !c->spare_slots)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the states of %u sequences",
                         n);
    for (uint32_t i = 0; i < n; i++) {
        c->sequences[i].slots = c->slot_storage + (size_t)i * c->n_slots;
        c->sequences[i].slots[0] = i;
    }
    while (c->n_spare < n_more) {
        c->spare_slots[c->n_spare] = n + n_more - 1 - c->n_spare;
        c->n_spare++;
    }
    return HEARTH_OK;
}

uint32_t context_first_saved_slot(const struct context *c) {
    return c->options.n_sequences + c->n_drafting * (c->n_slots - 1);
}

bool context_sequence_keep_states(struct context *c, uint32_t sequence) {
    struct sequence *s = &c->sequences[sequence];
    if (s->keeps_states || c->n_slots == 1) return true;
    if (c->n_spare < c->n_slots - 1) return false;
    for (uint32_t i = 1; i < c->n_slots; i++)
        s->slots[i] = c->spare_slots[--c->n_spare];
    return s->keeps_states = true;
}

void sequence_drop_states(struct context *c, struct sequence *s) {
    uint32_t now = s->length - s->kept_from, slot = s->slots[now];
    s->slots[now] = s->slots[0];
    s->slots[0] = slot;
    s->kept_from = s->length;
    if (!s->keeps_states) return;
    /* What was used last is used first, as long as it is in the caches. */
    for (uint32_t i = c->n_slots - 1; i > 0; i--)
        c->spare_slots[c->n_spare++] = s->slots[i];
    s->keeps_states = false;
}

void sequence_settle_states(struct context *c, struct sequence *s,
                            const struct context_part *part) {
    uint32_t now = s->length - s->kept_from;
    if (part->keep_states && now + part->n_tokens < c->n_slots) return;
    sequence_drop_states(c, s);
    if (part->keep_states) context_sequence_keep_states(c, (uint32_t)(s - c->sequences));
}
