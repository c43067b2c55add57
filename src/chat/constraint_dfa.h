/* constraint_dfa.h - deterministic automata over bytes: what patterns, names and numbers become so
 * that they can be met, subtracted and found empty. */
#ifndef HEARTH_CHAT_CONSTRAINT_DFA_H
#define HEARTH_CHAT_CONSTRAINT_DFA_H

#include "chat/constraint_grammar.h"

enum {
    DFA_MAX_STATES = 1 << 14,
    DFA_MAX_STEPS = 1 << 23, /* of building one */
    DFA_NOWHERE = 0,         /* the state that nothing leads out of */
    DFA_START = 1
};

struct dfa {
    uint16_t (*next)[256]; /* [n_states] */
    bool *accepts;         /* [n_states] */
    uint32_t n_states, room;
};

enum dfa_operation { DFA_BOTH, DFA_FIRST_ONLY };

/* All return HEARTH_ERROR_LIMIT (too many states or steps) or _NO_MEMORY, and then leave `out`
 * zeroed. dfa_release: a zeroed one is fine. */

/* Of one rule without calls; EDGE_BEGIN and EDGE_END hold at the text's beginning and end. */
hearth_status dfa_from_rule(struct dfa *out, const struct grammar *g, uint32_t rule,
                            hearth_error *err);
hearth_status dfa_combine(struct dfa *out, const struct dfa *a, const struct dfa *b,
                          enum dfa_operation operation, hearth_error *err);
void dfa_release(struct dfa *dfa);

/* For whoever builds one state by state, DFA_NOWHERE and DFA_START first. -1: full, 0: no memory,
 * 1: added. */
int dfa_add_state(struct dfa *dfa, bool accepts);

bool dfa_is_empty(const struct dfa *dfa);
bool dfa_accepts(const struct dfa *dfa, const char *text, size_t n);
/* Its texts between two nodes. */
void dfa_write(const struct dfa *dfa, struct grammar *g, uint32_t from, uint32_t to);

#endif
