#include "chat/constraint_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define UNKNOWN UINT32_MAX /* a step that was not taken yet */

enum { SLOTS_SEEN = 4 * MACHINE_MAX_READINGS };

/* What a flush throws away. */
struct tables {
    struct machine_state *states;
    uint32_t *next; /* [states][classes] */
    struct place *places;
    struct frame *frames;
    uint32_t *state_slots, *frame_slots; /* hashed; 0: free */
    uint32_t n_states, n_places, n_frames;
    uint32_t state_room, place_room, frame_room; /* entries that the arrays have space for */
    uint32_t start;
};

struct machine {
    const struct grammar *grammar;
    struct tables t;
    /* One step: the places looked at, of which those that wait for a byte become the state. */
    struct place work[MACHINE_MAX_READINGS], waiting[MACHINE_MAX_READINGS];
    uint32_t seen[SLOTS_SEEN]; /* hashed indices into work, + 1, of step seen_in */
    uint32_t seen_in[SLOTS_SEEN];
    uint32_t step, n_work, n_waiting, peak;
    int32_t floor;
    bool may_end, shallow; /* shallow: depth refused a place */
    bool too_many;         /* places in one step */
    bool full;
    uint64_t looked_at; /* places, since machine_is_full was asked */
};

enum {
    STATE_SLOTS = 2 * MACHINE_MAX_STATES,
    FRAME_SLOTS = 2 * MACHINE_MAX_FRAMES,
    CROWDED_STATES = MACHINE_MAX_STATES / 2,
    CROWDED_PLACES = MACHINE_MAX_PLACES / 2,
    CROWDED_FRAMES = MACHINE_MAX_FRAMES / 2
};

static uint32_t mix(uint32_t a, uint32_t b) {
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

/* ---- tables ---- */

static void tables_release(struct tables *t) {
    mem_free(t->states);
    mem_free(t->next);
    mem_free(t->places);
    mem_free(t->frames);
    mem_free(t->state_slots);
    mem_free(t->frame_slots);
    *t = (struct tables){0};
}

static bool grow(void **array, uint32_t *room, uint32_t wanted, size_t size) {
    uint32_t larger = *room ? *room : 64;
    if (wanted <= *room) return true;
    while (larger < wanted)
        larger *= 2;
    void *grown = mem_realloc_array(*array, larger, size);
    if (!grown) return false;
    *array = grown;
    *room = larger;
    return true;
}

static bool tables_room(struct machine *m, uint32_t n_places) {
    struct tables *t = &m->t;
    uint32_t room = t->state_room;
    void *states = t->states, *next = t->next, *places = t->places;
    if (t->n_states == MACHINE_MAX_STATES || n_places > MACHINE_MAX_PLACES - t->n_places)
        return false;
    bool ok = grow(&states, &room, t->n_states + 1, sizeof *t->states);
    t->states = states;
    room = t->state_room;
    ok = ok && grow(&next, &room, t->n_states + 1, m->grammar->n_classes * sizeof *t->next);
    t->next = next;
    if (ok) t->state_room = room;
    ok = ok && grow(&places, &t->place_room, t->n_places + n_places + 1, sizeof *t->places);
    t->places = places;
    return ok;
}

/* The frame that goes on at `node`, then at `parent`; 0: full. */
static uint32_t push(struct machine *m, uint32_t node, uint32_t parent) {
    struct tables *t = &m->t;
    uint32_t slot = mix(node, parent) % FRAME_SLOTS;
    for (; t->frame_slots[slot]; slot = (slot + 1) % FRAME_SLOTS) {
        const struct frame *f = &t->frames[t->frame_slots[slot]];
        if (f->node == node && f->parent == parent) return t->frame_slots[slot];
    }
    void *frames = t->frames;
    bool ok = t->n_frames < MACHINE_MAX_FRAMES &&
              grow(&frames, &t->frame_room, t->n_frames + 1, sizeof *t->frames);
    t->frames = frames;
    if (!ok) {
        m->full = true;
        return 0;
    }
    t->frames[t->n_frames] =
        (struct frame){.node = node, .parent = parent, .depth = t->frames[parent].depth + 1};
    t->frame_slots[slot] = t->n_frames;
    return t->n_frames++;
}

/* ---- one step ---- */

static void begin_step(struct machine *m) {
    m->step++;
    m->n_work = m->n_waiting = 0;
    m->floor = MACHINE_MAX_NESTING;
    m->peak = 0;
    m->may_end = m->shallow = m->too_many = false;
}

/* So many frames are needed for a place; false: too many. */
static bool needs(struct machine *m, uint32_t frames) {
    if (frames > MACHINE_MAX_NESTING) {
        m->shallow = true;
        return false;
    }
    if (frames > m->peak) m->peak = frames;
    return true;
}

static void visit(struct machine *m, uint32_t node, uint32_t stack) {
    const struct grammar_node *n = &m->grammar->nodes[node];
    uint32_t depth = m->t.frames[stack].depth;
    if (n->need == GRAMMAR_NO_END) return;
    if (!needs(m, depth + n->need)) return;
    uint32_t slot = mix(node, stack) % SLOTS_SEEN;
    for (; m->seen_in[slot] == m->step; slot = (slot + 1) % SLOTS_SEEN) {
        const struct place *p = &m->work[m->seen[slot]];
        if (p->node == node && p->stack == stack) return;
    }
    if (m->n_work == MACHINE_MAX_READINGS) {
        m->too_many = true;
        return;
    }
    if ((int32_t)depth < m->floor) m->floor = (int32_t)depth;
    m->seen_in[slot] = m->step;
    m->seen[slot] = m->n_work;
    m->work[m->n_work++] = (struct place){node, stack};
}

static void call(struct machine *m, const struct grammar_edge *edge, uint32_t stack) {
    const struct grammar *g = m->grammar;
    const struct grammar_node *back = &g->nodes[edge->to];
    uint32_t start = g->rules[edge->rule].start;
    if (back->need == GRAMMAR_NO_END || g->nodes[start].need == GRAMMAR_NO_END) return;
    if (back->tail) {
        visit(m, start, stack);
        return;
    }
    uint32_t depth = m->t.frames[stack].depth;
    if (!needs(m, depth + back->need) || !needs(m, depth + 1)) return;
    uint32_t frame = push(m, edge->to, stack);
    if (frame) visit(m, start, frame);
}

static void rule_ends(struct machine *m, uint32_t stack) {
    const struct frame *f = &m->t.frames[stack];
    if (stack == 0)
        m->may_end = true;
    else
        visit(m, f->node, f->parent);
}

/* Follows edges that read nothing; `work` is the list of what is still to follow. */
static void close_step(struct machine *m) {
    const struct grammar *g = m->grammar;
    for (uint32_t i = 0; i < m->n_work; i++) {
        struct place p = m->work[i];
        bool waits = false;
        if (g->nodes[p.node].ends) rule_ends(m, p.stack);
        for (uint32_t e = g->nodes[p.node].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            const struct grammar_edge *edge = &g->edges[e];
            if (edge->kind == EDGE_EMPTY)
                visit(m, edge->to, p.stack);
            else if (edge->kind == EDGE_CALL)
                call(m, edge, p.stack);
            else
                waits |= g->nodes[edge->to].need != GRAMMAR_NO_END;
        }
        if (waits) m->waiting[m->n_waiting++] = p;
    }
}

static int compare_places(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->node != y->node) return x->node < y->node ? -1 : 1;
    return (x->stack > y->stack) - (x->stack < y->stack);
}

static bool is_this_step(const struct machine *m, uint32_t state) {
    const struct machine_state *s = &m->t.states[state];
    return s->may_end == m->may_end && s->n_places == m->n_waiting &&
           memcmp(m->t.places + s->first_place, m->waiting, m->n_waiting * sizeof *m->waiting) == 0;
}

static uint32_t deepest_waiting(const struct machine *m) {
    uint32_t deepest = 0;
    for (uint32_t i = 0; i < m->n_waiting; i++)
        if (m->t.frames[m->waiting[i].stack].depth > deepest)
            deepest = m->t.frames[m->waiting[i].stack].depth;
    return deepest;
}

/* The state of the places that wait, new or known; MACHINE_REFUSED: none, or no room. */
static uint32_t end_step(struct machine *m) {
    struct tables *t = &m->t;
    if (m->n_waiting == 0 && !m->may_end) return MACHINE_REFUSED;
    qsort(m->waiting, m->n_waiting, sizeof *m->waiting, compare_places);
    int32_t floor = m->may_end || m->shallow ? -1 : m->floor;
    uint32_t hash = m->may_end;
    for (uint32_t i = 0; i < m->n_waiting; i++)
        hash = mix(hash ^ m->waiting[i].node, m->waiting[i].stack);
    uint32_t slot = hash % STATE_SLOTS;
    for (; t->state_slots[slot]; slot = (slot + 1) % STATE_SLOTS) {
        uint32_t known = t->state_slots[slot];
        if (!is_this_step(m, known)) continue;
        if (floor < t->states[known].floor) t->states[known].floor = floor;
        if (m->peak > t->states[known].peak) t->states[known].peak = m->peak;
        return known;
    }
    if (!tables_room(m, m->n_waiting)) {
        m->full = true;
        return MACHINE_REFUSED;
    }
    uint32_t state = t->n_states++;
    t->states[state] = (struct machine_state){.first_place = t->n_places,
                                              .n_places = m->n_waiting,
                                              .deepest = deepest_waiting(m),
                                              .floor = floor,
                                              .peak = m->peak,
                                              .may_end = m->may_end};
    memcpy(t->places + t->n_places, m->waiting, m->n_waiting * sizeof *m->waiting);
    t->n_places += m->n_waiting;
    for (uint32_t c = 0; c < m->grammar->n_classes; c++)
        t->next[(size_t)state * m->grammar->n_classes + c] = UNKNOWN;
    t->state_slots[slot] = state;
    return state;
}

static uint32_t take_step(struct machine *m, uint32_t state, uint32_t class) {
    const struct grammar *g = m->grammar;
    const struct machine_state *s = &m->t.states[state];
    uint8_t byte = g->class_first[class];
    bool was_full = m->full;
    if (m->looked_at > MACHINE_MAX_WORK) {
        m->full = true;
        return MACHINE_REFUSED;
    }
    begin_step(m);
    m->full = false;
    for (uint32_t i = 0; i < s->n_places; i++) {
        struct place p = m->t.places[s->first_place + i];
        for (uint32_t e = g->nodes[p.node].edges; e != GRAMMAR_NONE; e = g->edges[e].next) {
            const struct grammar_edge *edge = &g->edges[e];
            if (edge->kind == EDGE_BYTES && edge->low <= byte && byte <= edge->high)
                visit(m, edge->to, p.stack);
        }
    }
    close_step(m);
    m->looked_at += m->n_work + s->n_places;
    uint32_t next = m->full || m->too_many ? MACHINE_REFUSED : end_step(m);
    if (m->shallow) m->t.states[state].floor = -1;
    if (!m->full) m->t.next[(size_t)state * g->n_classes + class] = next;
    m->full |= was_full;
    return next;
}

uint32_t machine_next(struct machine *m, uint32_t state, uint8_t byte) {
    uint32_t class = m->grammar->class_of[byte];
    uint32_t next = m->t.next[(size_t)state * m->grammar->n_classes + class];
    return next != UNKNOWN ? next : take_step(m, state, class);
}

/* ---- opening and flushing ---- */

static bool tables_open(struct machine *m) {
    struct tables *t = &m->t;
    *t = (struct tables){.state_slots = mem_calloc(STATE_SLOTS, sizeof *t->state_slots),
                         .frame_slots = mem_calloc(FRAME_SLOTS, sizeof *t->frame_slots)};
    void *frames = NULL;
    bool ok =
        t->state_slots && t->frame_slots && grow(&frames, &t->frame_room, 1, sizeof *t->frames);
    t->frames = frames;
    if (!ok || !tables_room(m, 0)) return false;
    t->frames[0] = (struct frame){0};
    t->n_frames = 1;
    t->states[MACHINE_REFUSED] = (struct machine_state){0};
    for (uint32_t c = 0; c < m->grammar->n_classes; c++)
        t->next[c] = MACHINE_REFUSED;
    t->n_states = 1;
    begin_step(m);
    visit(m, m->grammar->rules[m->grammar->root].start, 0);
    close_step(m);
    t->start = m->full || m->too_many ? MACHINE_REFUSED : end_step(m);
    return t->start != MACHINE_REFUSED;
}

hearth_status machine_open(struct machine **out, const struct grammar *g, hearth_error *err) {
    struct machine *m = mem_calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a grammar");
    m->grammar = g;
    if (!tables_open(m)) {
        bool too_many = m->too_many || m->shallow;
        machine_close(m);
        if (too_many)
            return error_set(err, HEARTH_ERROR_LIMIT,
                             "the grammar begins in more than %d ways, or nests deeper than %d",
                             MACHINE_MAX_READINGS, MACHINE_MAX_NESTING);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a grammar");
    }
    *out = m;
    return HEARTH_OK;
}

void machine_close(struct machine *m) {
    if (!m) return;
    tables_release(&m->t);
    mem_free(m);
}

/* The same stack in the new tables; 0 also for a full table, as m->full tells. */
static uint32_t copy_stack(struct machine *m, const struct tables *old, uint32_t stack) {
    uint32_t nodes[MACHINE_MAX_NESTING], n = 0, copy = 0;
    for (; stack; stack = old->frames[stack].parent)
        nodes[n++] = old->frames[stack].node;
    while (n > 0 && !m->full)
        copy = push(m, nodes[--n], copy);
    return copy;
}

static uint32_t copy_state(struct machine *m, const struct tables *old, uint32_t state) {
    const struct machine_state *s = &old->states[state];
    if (state == MACHINE_REFUSED) return MACHINE_REFUSED;
    begin_step(m);
    m->floor = s->floor;
    m->peak = s->peak;
    m->may_end = s->may_end;
    m->n_waiting = s->n_places;
    for (uint32_t i = 0; i < s->n_places; i++) {
        struct place p = old->places[s->first_place + i];
        m->waiting[i] = (struct place){p.node, copy_stack(m, old, p.stack)};
    }
    return m->full ? MACHINE_REFUSED : end_step(m);
}

hearth_status machine_flush(struct machine *m, uint32_t **states, size_t n) {
    struct tables old = m->t;
    uint32_t *copies = mem_alloc_array(n + 1, sizeof *copies);
    m->full = false;
    bool ok = copies && tables_open(m);
    for (size_t i = 0; ok && i < n; i++) {
        copies[i] = copy_state(m, &old, *states[i]);
        ok = !m->full;
    }
    if (!ok) {
        if (copies) tables_release(&m->t);
        m->t = old;
    }
    for (size_t i = 0; ok && i < n; i++)
        *states[i] = copies[i];
    if (ok) tables_release(&old);
    mem_free(copies);
    return ok ? HEARTH_OK : HEARTH_ERROR_NO_MEMORY;
}

uint32_t machine_start(const struct machine *m) {
    return m->t.start;
}

const struct machine_state *machine_state(const struct machine *m, uint32_t state) {
    return &m->t.states[state];
}

const struct place *machine_places(const struct machine *m, uint32_t state) {
    return m->t.places + m->t.states[state].first_place;
}

const struct frame *machine_frame(const struct machine *m, uint32_t frame) {
    return &m->t.frames[frame];
}

bool machine_is_full(struct machine *m) {
    bool full = m->full;
    m->full = false;
    m->looked_at = 0;
    return full;
}

bool machine_is_crowded(const struct machine *m) {
    return m->t.n_states > CROWDED_STATES || m->t.n_places > CROWDED_PLACES ||
           m->t.n_frames > CROWDED_FRAMES;
}
