/* constraint_machine.h - follows a grammar byte by byte.
 *
 * A state is the set of places where the text so far can be: pairs of a node and a stack of the
 * nodes to go on at when rules end. Stacks share their tails, and equal stacks are one (hash
 * consing). Equal sets are one state; steps between states are worked out once and kept in a
 * table, as in a lazily built automaton.
 *
 * Everything is bounded. Where a text nests too deeply or has too many readings the step is
 * refused as if the grammar did not allow it, so what is accepted always has the form; no place
 * is entered whose end would nest too deeply. When the tables are full, machine_flush keeps only
 * the states in use. */
#ifndef HEARTH_CHAT_CONSTRAINT_MACHINE_H
#define HEARTH_CHAT_CONSTRAINT_MACHINE_H

#include "chat/constraint_grammar.h"

enum {
    MACHINE_MAX_STATES = 1 << 15,
    MACHINE_MAX_PLACES = 1 << 20,   /* of all states together */
    MACHINE_MAX_FRAMES = 1 << 18,   /* of all stacks together */
    MACHINE_MAX_READINGS = 1 << 12, /* places looked at in one step */
    MACHINE_MAX_WORK = 1 << 22,     /* places looked at between calls of machine_is_full */
    MACHINE_MAX_NESTING = 256,      /* frames of one stack */
    MACHINE_REFUSED = 0             /* the state that nothing leads out of */
};

struct place {
    uint32_t node, stack; /* the stack is a frame; 0: empty */
};

struct frame {
    uint32_t node, parent; /* goes on at `node` when a rule ends */
    uint32_t depth;        /* frames from here to the bottom */
};

struct machine_state {
    uint32_t first_place, n_places;
    uint32_t deepest; /* frames of the deepest stack */
    int32_t floor;    /* the fewest frames a stack had when the state was worked out; -1: the root
                         had ended, or depth has refused a step */
    uint32_t peak;    /* the most frames that were needed then, with the way to an end */
    bool may_end;
};

struct machine;

/* Borrows `g`, which outlives it. */
hearth_status machine_open(struct machine **out, const struct grammar *g, hearth_error *err);
void machine_close(struct machine *m); /* NULL is fine */

uint32_t machine_start(const struct machine *m);
/* The state after one more byte; MACHINE_REFUSED too when a table was full (machine_is_full). */
uint32_t machine_next(struct machine *m, uint32_t state, uint8_t byte);

const struct machine_state *machine_state(const struct machine *m, uint32_t state);
const struct place *machine_places(const struct machine *m, uint32_t state);
const struct frame *machine_frame(const struct machine *m, uint32_t frame);

/* A table was full, memory short or MACHINE_MAX_WORK used up since this was last asked. */
bool machine_is_full(struct machine *m);
/* Too little room is left for a long walk. */
bool machine_is_crowded(const struct machine *m);
/* Forgets all states but the start and `*states[0 … n-1]`, which are renumbered. A failure
 * (HEARTH_ERROR_NO_MEMORY) leaves everything as it was. */
hearth_status machine_flush(struct machine *m, uint32_t **states, size_t n);

#endif
