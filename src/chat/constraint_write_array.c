/* constraint_write_array.c - arrays: a grid of the items written and of those found that
 * `contains` counts. */
#include "chat/constraint_schema.h"

struct array_writer {
    struct schema_compiler *c;
    const struct array_form *form;
    uint32_t items;   /* columns 0 … items; the last one repeats where there is no most */
    uint32_t counted; /* rows 0 … counted; the last one repeats where there is no most */
    uint32_t *nodes;  /* [items + 1][counted + 1] */
    uint32_t end;
};

static uint32_t node_at(const struct array_writer *w, uint32_t items, uint32_t counted) {
    return w->nodes[(size_t)items * (w->counted + 1) + counted];
}

/* One item from `from` to `to`, behind a comma unless it is the first. */
static void write_item(const struct array_writer *w, uint32_t items, const struct goal *goal,
                       uint32_t from, uint32_t to) {
    struct grammar *g = w->c->grammar;
    if (items > 0) {
        uint32_t comma = grammar_node(g), space = grammar_node(g);
        grammar_text(g, from, ",", 1, comma);
        grammar_call(g, comma, w->c->json.space, space);
        from = space;
    }
    grammar_call(g, from, goal_rule(w->c, goal), to);
}

static void write_place(const struct array_writer *w, uint32_t items, uint32_t counted) {
    const struct array_form *f = w->form;
    const struct contains *contains = f->contains;
    struct schema_compiler *c = w->c;
    uint32_t from = node_at(w, items, counted), next = items < w->items ? items + 1 : items;
    const struct goal *goal = items < f->n_first ? f->first[items] : f->rest;
    if (items >= f->least && (!contains || counted >= contains->least)) {
        uint32_t close = from;
        if (items > 0) close = grammar_node(c->grammar);
        if (items > 0) grammar_call(c->grammar, from, c->json.space, close);
        grammar_text(c->grammar, close, "]", 1, w->end);
    }
    if (items == f->most) return;
    if (!contains) {
        write_item(w, items, goal, from, node_at(w, next, 0));
        return;
    }
    uint32_t more = counted < w->counted ? counted + 1 : counted;
    bool counts_on = contains->most == SCHEMA_NO_MAXIMUM;
    if (counted < w->counted || counts_on)
        write_item(w, items, goal_both(c, goal, contains->goal), from, node_at(w, next, more));
    if (counted < w->counted || !counts_on)
        write_item(w, items, counts_on ? goal : goal_both(c, goal, contains->other), from,
                   node_at(w, next, counted));
    else
        write_item(w, items, goal, from, node_at(w, next, counted));
}

void write_array(struct schema_compiler *c, const struct array_form *f, uint32_t from,
                 uint32_t to) {
    struct grammar *g = c->grammar;
    struct array_writer w = {.c = c, .form = f, .end = to, .items = 1};
    bool any = f->n_first == 0 && f->rest == goal_any(c) && f->least == 0 && !f->contains &&
               f->most == SCHEMA_NO_MAXIMUM;
    if (any) {
        grammar_call(g, from, c->json.array, to);
        return;
    }
    if (f->n_first > w.items) w.items = f->n_first;
    if (f->least > w.items) w.items = f->least;
    if (f->most < SCHEMA_NO_MAXIMUM) w.items = f->most;
    if (f->contains)
        w.counted = f->contains->most < SCHEMA_NO_MAXIMUM ? f->contains->most : f->contains->least;
    uint64_t n_nodes = ((uint64_t)w.items + 1) * ((uint64_t)w.counted + 1);
    if (n_nodes > GRAMMAR_MAX_NODES) {
        schema_fail(c, HEARTH_ERROR_LIMIT, "arrays of so many items");
        return;
    }
    w.nodes = schema_alloc(c, n_nodes, sizeof *w.nodes);
    for (uint64_t i = 0; i < n_nodes && schema_ok(c); i++)
        w.nodes[i] = grammar_node(g);
    if (!schema_ok(c)) return;
    uint32_t begin = grammar_node(g);
    grammar_text(g, from, "[", 1, begin);
    grammar_call(g, begin, c->json.space, node_at(&w, 0, 0));
    for (uint32_t items = 0; items <= w.items && schema_ok(c); items++)
        for (uint32_t counted = 0; counted <= w.counted && schema_ok(c); counted++)
            write_place(&w, items, counted);
}
