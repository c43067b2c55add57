/* constraint_grammar.h - a grammar over bytes, as rules that call each other.
 *
 * A rule is a small automaton (a recursive transition network, Woods 1970): nodes joined by edges
 * that read a byte, read nothing, or call a rule and go on where it ends. Every node belongs to
 * one rule. Writers add nodes and edges without looking at each step: the first failure (too
 * large, no memory) sticks, later calls do nothing, and grammar_finish reports it.
 *
 * After grammar_finish the grammar is immutable. What cannot lead to an end has need ==
 * GRAMMAR_NO_END and is never entered, so whoever follows the other nodes never meets a dead end.
 */
#ifndef HEARTH_CHAT_CONSTRAINT_GRAMMAR_H
#define HEARTH_CHAT_CONSTRAINT_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    GRAMMAR_MAX_NODES = 1 << 19,
    GRAMMAR_MAX_EDGES = 1 << 20,
    GRAMMAR_MAX_RULES = 1 << 17,
    GRAMMAR_NO_END = UINT16_MAX
};

#define GRAMMAR_NONE UINT32_MAX /* no edge, no rule */

enum edge_kind {
    EDGE_EMPTY,
    EDGE_BYTES, /* one byte of low … high */
    EDGE_CALL,
    EDGE_BEGIN, /* nothing, at the text's beginning; only in what becomes a dfa */
    EDGE_END    /* nothing, at the text's end; likewise */
};

struct grammar_edge {
    uint32_t to, rule, next;
    uint8_t kind, low, high;
};

struct grammar_node {
    uint32_t edges; /* the first; GRAMMAR_NONE: none */
    uint16_t need;  /* calls that must nest from here to the rule's end, at least */
    bool ends;      /* the rule may end here */
    bool tail;      /* and nothing else may happen: a call that goes on here keeps no return */
};

struct grammar_rule {
    uint32_t start, end;
};

struct grammar {
    struct grammar_node *nodes;
    struct grammar_edge *edges;
    struct grammar_rule *rules;
    uint32_t n_nodes, n_edges, n_rules, node_room, edge_room, rule_room;
    uint32_t root;       /* a rule */
    hearth_status state; /* of writing */
    uint8_t class_of[256];
    uint8_t class_first[256]; /* a byte of each class: bytes of a class lead to the same places */
    uint32_t n_classes;
};

void grammar_init(struct grammar *g);
void grammar_release(struct grammar *g);

/* New rules have a start and an end without a way between them. */
uint32_t grammar_rule(struct grammar *g);
uint32_t grammar_node(struct grammar *g);
void grammar_edge(struct grammar *g, uint32_t from, enum edge_kind kind, uint32_t to);
void grammar_bytes(struct grammar *g, uint32_t from, uint8_t low, uint8_t high, uint32_t to);
void grammar_call(struct grammar *g, uint32_t from, uint32_t rule, uint32_t to);
void grammar_text(struct grammar *g, uint32_t from, const char *text, size_t n, uint32_t to);
/* Several texts from the same node to the same end, beginnings shared: what is written there
 * otherwise must not read bytes. */
void grammar_share_text(struct grammar *g, uint32_t from, const char *text, size_t n, uint32_t to);
/* The UTF-8 forms of the characters low … high (RFC 3629): surrogates are left out. */
void grammar_characters(struct grammar *g, uint32_t from, uint32_t low, uint32_t high, uint32_t to);

/* Fixes the root and works out what following it needs. HEARTH_ERROR_LIMIT, _NO_MEMORY: of
 * writing; HEARTH_ERROR_ARGUMENT: no text has this form, or a rule begins with itself, which
 * `*left_recursive` then names (GRAMMAR_NONE otherwise). */
hearth_status grammar_finish(struct grammar *g, uint32_t root, uint32_t *left_recursive,
                             hearth_error *err);

#endif
