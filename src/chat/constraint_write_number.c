/* constraint_write_number.c - numbers within bounds, as an automaton over their digits.
 *
 * A state is what must be known of the digits so far: how they compare with the bounds cut to the
 * same number of digits, and their rest by the step. Bounded numbers are written without an
 * exponent, and zero without a sign. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_schema.h"

enum phase { AT_START, AFTER_SIGN, AFTER_ZERO, IN_WHOLE, AFTER_POINT, IN_FRACTION };
enum { NUMBER_SLOTS = 1 << 16, NUMBER_MAX_FRACTION = 16, STEP_MAX = 1 << 20 };

struct progress {
    uint8_t phase, n_whole, n_fraction;
    int8_t low, high;        /* digits so far against those of the bounds of the magnitude */
    bool negative, fraction; /* fraction: some digit behind the point is not zero */
    uint32_t rest;
};

struct number_builder {
    const struct number_form *form;
    struct bound low[2], high[2]; /* of the magnitude: of numbers 0 …, and of negative ones */
    bool possible[2];
    uint32_t most_whole, most_fraction;
    uint64_t step;
    uint32_t places;
    struct progress progress[DFA_MAX_STATES];
    uint16_t slots[NUMBER_SLOTS];
    struct dfa dfa;
    bool too_large, no_memory;
};

static void set_magnitudes(struct number_builder *b) {
    const struct bound *low = &b->form->low, *high = &b->form->high;
    const struct decimal zero = {.n_whole = 1, .whole = "0"};
    bool low_negative =
        low->set && (low->value.negative || decimal_compare(&low->value, &zero) == 0);
    bool high_negative =
        high->set && (high->value.negative || decimal_compare(&high->value, &zero) == 0);
    b->possible[0] = !high->set || !high->value.negative;
    b->possible[1] = !low->set || low_negative;
    if (low->set && !low->value.negative) b->low[0] = *low;
    b->high[0] = *high;
    b->low[1] = (struct bound){true, true, zero};
    if (high_negative && decimal_compare(&high->value, &zero) != 0) b->low[1] = *high;
    if (low_negative) b->high[1] = *low;
}

static void set_digits(struct number_builder *b) {
    const struct bound *bounds[] = {&b->form->low, &b->form->high};
    b->most_whole = JSON_DIGITS_MAX;
    b->most_fraction = NUMBER_MAX_FRACTION;
    for (int i = 0; i < 2; i++) {
        if (!bounds[i]->set) continue;
        if (bounds[i]->value.n_whole > b->most_whole) b->most_whole = bounds[i]->value.n_whole;
        if (bounds[i]->value.n_fraction > b->most_fraction)
            b->most_fraction = bounds[i]->value.n_fraction;
    }
    if (b->form->whole == WHOLE_ONLY) b->most_fraction = 0;
    if (b->step && b->places < b->most_fraction) b->most_fraction = b->places;
}

/* The step in lowest terms, and of whole numbers only where no others are asked for. */
static bool set_step(struct number_builder *b) {
    uint64_t step = b->form->step, ten = 1;
    uint32_t places = b->form->step_places;
    for (uint32_t i = 0; i < places; i++)
        ten *= 10;
    if (step && b->form->whole == WHOLE_ONLY) {
        uint64_t x = step, y = ten;
        while (y) {
            uint64_t rest = x % y;
            x = y;
            y = rest;
        }
        step /= x;
        places = 0;
    }
    for (; step && places > 0 && step % 10 == 0; step /= 10)
        places--;
    b->step = step;
    b->places = places;
    return step <= STEP_MAX;
}

/* ---- digits ---- */

static int8_t compare_digit(const struct bound *bound, const struct progress *p, char digit) {
    const struct decimal *d = &bound->value;
    char other = '0';
    if (p->phase == IN_FRACTION)
        other = p->n_fraction <= d->n_fraction ? d->fraction[p->n_fraction - 1] : '0';
    else if (p->n_whole <= d->n_whole)
        other = d->whole[p->n_whole - 1];
    else
        return 0;
    return (int8_t)((digit > other) - (digit < other));
}

/* The comparison of whole parts once both are known: more digits are more. */
static int8_t compare_wholes(const struct bound *bound, int8_t order, uint32_t n_whole) {
    if (!bound->set || n_whole == bound->value.n_whole) return order;
    return n_whole < bound->value.n_whole ? -1 : 1;
}

static void end_whole(const struct number_builder *b, struct progress *p) {
    p->low = compare_wholes(&b->low[p->negative], p->low, p->n_whole);
    p->high = compare_wholes(&b->high[p->negative], p->high, p->n_whole);
}

static bool take_digit(const struct number_builder *b, struct progress *p, char digit) {
    bool fraction = p->phase == AFTER_POINT || p->phase == IN_FRACTION;
    if (p->phase == AFTER_ZERO) return false;
    if (fraction ? p->n_fraction == b->most_fraction : p->n_whole == b->most_whole) return false;
    if (fraction) {
        p->phase = IN_FRACTION;
        p->n_fraction++;
        p->fraction |= digit != '0';
    } else {
        p->phase = digit == '0' && p->n_whole == 0 ? AFTER_ZERO : IN_WHOLE;
        p->n_whole++;
    }
    const struct bound *low = &b->low[p->negative], *high = &b->high[p->negative];
    if (low->set && p->low == 0) p->low = compare_digit(low, p, digit);
    if (high->set && p->high == 0) p->high = compare_digit(high, p, digit);
    if (b->step) p->rest = (uint32_t)(((uint64_t)p->rest * 10 + (uint64_t)(digit - '0')) % b->step);
    return true;
}

/* The progress after one more character; false: no number goes on like that. */
static bool advance(const struct number_builder *b, struct progress *p, char c) {
    if (c >= '0' && c <= '9') {
        if (p->phase == AT_START && !b->possible[0]) return false;
        return take_digit(b, p, c);
    }
    if (c == '-') {
        bool ok = p->phase == AT_START && b->possible[1];
        p->phase = AFTER_SIGN;
        p->negative = true;
        return ok;
    }
    if ((p->phase != AFTER_ZERO && p->phase != IN_WHOLE) || b->most_fraction == 0) return false;
    end_whole(b, p);
    p->phase = AFTER_POINT;
    return true;
}

static bool is_within(const struct bound *bound, int8_t order, uint32_t n_fraction, int wanted) {
    if (!bound->set) return true;
    if (order == 0 && n_fraction < bound->value.n_fraction) order = -1;
    return order == wanted || (order == 0 && !bound->exclusive);
}

static bool is_number(const struct number_builder *b, struct progress p) {
    uint64_t rest = p.rest;
    if (p.phase != AFTER_ZERO && p.phase != IN_WHOLE && p.phase != IN_FRACTION) return false;
    if (p.phase != IN_FRACTION) end_whole(b, &p);
    for (uint32_t i = p.n_fraction; b->step && i < b->places; i++)
        rest = rest * 10 % b->step;
    if (b->step && rest != 0) return false;
    if (b->form->whole == WHOLE_NEVER && !p.fraction) return false;
    return is_within(&b->low[p.negative], p.low, p.n_fraction, 1) &&
           is_within(&b->high[p.negative], p.high, p.n_fraction, -1);
}

/* ---- states ---- */

static bool same_progress(const struct progress *a, const struct progress *b) {
    return a->phase == b->phase && a->n_whole == b->n_whole && a->n_fraction == b->n_fraction &&
           a->low == b->low && a->high == b->high && a->negative == b->negative &&
           a->fraction == b->fraction && a->rest == b->rest;
}

static uint16_t state_of(struct number_builder *b, struct progress p) {
    uint64_t key = (uint64_t)p.phase | (uint64_t)p.n_whole << 3 | (uint64_t)p.n_fraction << 9 |
                   (uint64_t)(uint8_t)p.low << 15 | (uint64_t)(uint8_t)p.high << 23 |
                   (uint64_t)p.negative << 31 | (uint64_t)p.fraction << 32 | (uint64_t)p.rest << 33;
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 48);
    for (; b->slots[at]; at = (at + 1) % NUMBER_SLOTS)
        if (same_progress(&b->progress[b->slots[at]], &p)) return b->slots[at];
    int added = dfa_add_state(&b->dfa, is_number(b, p));
    if (added != 1) {
        b->too_large |= added != 0;
        b->no_memory |= added == 0;
        return DFA_NOWHERE;
    }
    b->slots[at] = (uint16_t)(b->dfa.n_states - 1);
    b->progress[b->slots[at]] = p;
    return b->slots[at];
}

static void build(struct number_builder *b) {
    b->no_memory |= dfa_add_state(&b->dfa, false) != 1;
    if (!b->no_memory) state_of(b, (struct progress){0});
    for (uint32_t s = DFA_START; s < b->dfa.n_states; s++) {
        for (const char *c = "0123456789-."; *c && !b->too_large && !b->no_memory; c++) {
            struct progress p = b->progress[s];
            uint16_t to = advance(b, &p, *c) ? state_of(b, p) : DFA_NOWHERE;
            b->dfa.next[s][(uint8_t)*c] = to;
        }
    }
}

void write_number(struct schema_compiler *c, const struct number_form *f, uint32_t from,
                  uint32_t to) {
    bool bounded = f->low.set || f->high.set || f->step;
    if (!bounded && f->whole != WHOLE_NEVER) {
        grammar_call(c->grammar, from, f->whole == WHOLE_ONLY ? c->json.integer : c->json.number,
                     to);
        return;
    }
    struct number_builder *b = mem_calloc(1, sizeof *b);
    if (!b) {
        schema_no_memory(c);
        return;
    }
    b->form = f;
    b->too_large = !set_step(b);
    set_magnitudes(b);
    set_digits(b);
    if (!b->too_large) build(b);
    if (b->no_memory) schema_no_memory(c);
    if (b->too_large)
        schema_fail(c, HEARTH_ERROR_UNSUPPORTED, "'multipleOf' with so many different rests");
    if (schema_ok(c)) dfa_write(&b->dfa, c->grammar, from, to);
    dfa_release(&b->dfa);
    mem_free(b);
}
