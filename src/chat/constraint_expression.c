#include "chat/constraint_expression.h"

#include <stdlib.h>
#include <string.h>

/* ---- sets ---- */

bool set_add(struct arena *arena, struct character_set *set, uint32_t low, uint32_t high) {
    if (set->n == set->room) {
        uint32_t room = set->room ? 2 * set->room : 8;
        struct character_range *grown = arena_calloc(arena, room, sizeof *grown);
        if (!grown) return false;
        if (set->n) memcpy(grown, set->ranges, set->n * sizeof *grown);
        set->ranges = grown;
        set->room = room;
    }
    set->ranges[set->n++] = (struct character_range){low, high};
    return true;
}

static int compare_ranges(const void *a, const void *b) {
    const struct character_range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

void set_finish(struct character_set *set) {
    uint32_t n = 0;
    if (set->n == 0) return;
    qsort(set->ranges, set->n, sizeof *set->ranges, compare_ranges);
    for (uint32_t i = 1; i < set->n; i++) {
        if (set->ranges[i].low > set->ranges[n].high + 1)
            set->ranges[++n] = set->ranges[i];
        else if (set->ranges[i].high > set->ranges[n].high)
            set->ranges[n].high = set->ranges[i].high;
    }
    set->n = n + 1;
}

bool set_invert(struct arena *arena, struct character_set *set) {
    struct character_set others = {0};
    uint32_t next = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->ranges[i].low > next && !set_add(arena, &others, next, set->ranges[i].low - 1))
            return false;
        next = set->ranges[i].high + 1;
    }
    if (next <= CHARACTER_LAST && !set_add(arena, &others, next, CHARACTER_LAST)) return false;
    *set = others;
    return true;
}

bool set_holds(const struct character_set *set, uint32_t c) {
    for (uint32_t i = 0; i < set->n; i++)
        if (set->ranges[i].low <= c && c <= set->ranges[i].high) return true;
    return false;
}

struct expression *expression_new(struct arena *arena, enum expression_kind kind) {
    struct expression *x = arena_alloc(arena, sizeof *x);
    if (x) x->kind = kind;
    return x;
}

/* ---- spelling ---- */

static void hex_digit(struct grammar *g, uint32_t from, uint32_t digit, uint32_t to) {
    uint8_t lower = (uint8_t) "0123456789abcdef"[digit];
    grammar_bytes(g, from, lower, lower, to);
    if (digit > 9) grammar_bytes(g, from, (uint8_t)(lower - 32), (uint8_t)(lower - 32), to);
}

static void spell_control(struct grammar *g, uint32_t from, uint32_t c, uint32_t to) {
    static const char short_of[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    uint32_t high = grammar_node(g), low = grammar_node(g);
    grammar_text(g, from, "\\u00", 4, high);
    hex_digit(g, high, c >> 4, low);
    hex_digit(g, low, c & 15, to);
    if (short_of[c]) grammar_text(g, from, (char[]){'\\', short_of[c]}, 2, to);
}

static void spell_all_controls(struct grammar *g, uint32_t from, uint32_t to) {
    uint32_t escape = grammar_node(g), high = grammar_node(g), low = grammar_node(g);
    grammar_text(g, from, "\\", 1, escape);
    for (const char *c = "bfnrt"; *c; c++)
        grammar_text(g, escape, c, 1, to);
    grammar_text(g, escape, "u00", 3, high);
    grammar_bytes(g, high, '0', '1', low);
    for (uint32_t digit = 0; digit < 16; digit++)
        hex_digit(g, low, digit, to);
}

static void spell_json(struct grammar *g, uint32_t from, uint32_t low, uint32_t high, uint32_t to) {
    if (low == 0 && high >= 0x1f)
        spell_all_controls(g, from, to);
    else
        for (uint32_t c = low; c <= high && c < 0x20; c++)
            spell_control(g, from, c, to);
    if (low <= '"' && '"' <= high) grammar_text(g, from, "\\\"", 2, to);
    if (low <= '\\' && '\\' <= high) grammar_text(g, from, "\\\\", 2, to);
    static const struct character_range plain[] = {
        {0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, CHARACTER_LAST}};
    for (size_t i = 0; i < 3; i++)
        grammar_characters(g, from, low > plain[i].low ? low : plain[i].low,
                           high < plain[i].high ? high : plain[i].high, to);
}

void spell_characters(struct grammar *g, uint32_t from, uint32_t low, uint32_t high, uint32_t to,
                      enum spelling spelling) {
    if (spelling == SPELLING_JSON)
        spell_json(g, from, low, high, to);
    else
        grammar_characters(g, from, low, high, to);
}

/* ---- writing ---- */

static bool is_small(const struct expression *x) {
    return x->kind == EXPRESSION_RULE ||
           (x->kind == EXPRESSION_SET &&
            (x->set.n == 0 || x->set.ranges[x->set.n - 1].high < 0x80));
}

/* What repeats, as a call of a rule of its own where that is shorter than copies. */
static void write_repeat(const struct expression *x, struct grammar *g, uint32_t from, uint32_t to,
                         enum spelling spelling, bool rules) {
    struct expression called = {.kind = EXPRESSION_RULE};
    const struct expression *item = x->first;
    bool endless = x->max == EXPRESSION_NO_LIMIT;
    uint32_t copies = endless ? x->min : x->max;
    if (rules && copies > 1 && !is_small(item)) {
        called.rule = grammar_rule(g);
        if (g->state != HEARTH_OK) return;
        struct grammar_rule rule = g->rules[called.rule];
        expression_write(item, g, rule.start, rule.end, spelling, rules);
        item = &called;
    }
    for (uint32_t i = 0; i < copies && g->state == HEARTH_OK; i++) {
        uint32_t next = grammar_node(g);
        if (i >= x->min) grammar_edge(g, from, EDGE_EMPTY, to);
        expression_write(item, g, from, next, spelling, rules);
        from = next;
    }
    if (endless) {
        uint32_t loop = grammar_node(g);
        grammar_edge(g, from, EDGE_EMPTY, loop);
        expression_write(item, g, loop, loop, spelling, rules);
        from = loop;
    }
    grammar_edge(g, from, EDGE_EMPTY, to);
}

static void write_sequence(const struct expression *x, struct grammar *g, uint32_t from,
                           uint32_t to, enum spelling spelling, bool rules) {
    if (!x->first) grammar_edge(g, from, EDGE_EMPTY, to);
    for (const struct expression *item = x->first; item; item = item->next) {
        uint32_t next = item->next ? grammar_node(g) : to;
        expression_write(item, g, from, next, spelling, rules);
        from = next;
    }
}

void expression_write(const struct expression *x, struct grammar *g, uint32_t from, uint32_t to,
                      enum spelling spelling, bool rules) {
    if (g->state != HEARTH_OK) return;
    switch (x->kind) {
    case EXPRESSION_SET:
        for (uint32_t i = 0; i < x->set.n; i++)
            spell_characters(g, from, x->set.ranges[i].low, x->set.ranges[i].high, to, spelling);
        break;
    case EXPRESSION_SEQUENCE: write_sequence(x, g, from, to, spelling, rules); break;
    case EXPRESSION_CHOICE:
        for (const struct expression *item = x->first; item; item = item->next)
            expression_write(item, g, from, to, spelling, rules);
        break;
    case EXPRESSION_REPEAT: write_repeat(x, g, from, to, spelling, rules); break;
    case EXPRESSION_RULE: grammar_call(g, from, x->rule, to); break;
    case EXPRESSION_BEGIN: grammar_edge(g, from, EDGE_BEGIN, to); break;
    case EXPRESSION_END: grammar_edge(g, from, EDGE_END, to); break;
    }
}
