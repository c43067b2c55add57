/* constraint_expression.h - what GBNF and regular expressions are parsed to: a tree of texts, sets
 * of characters, sequences, choices and repetitions, which is then written into a grammar.
 *
 * Trees live in an arena; children are linked by `next`. */
#ifndef HEARTH_CHAT_CONSTRAINT_EXPRESSION_H
#define HEARTH_CHAT_CONSTRAINT_EXPRESSION_H

#include "base/arena.h"
#include "chat/constraint_grammar.h"

enum { EXPRESSION_MAX_NESTING = 128, EXPRESSION_MAX_REPEAT = 1 << 16, CHARACTER_LAST = 0x10ffff };

#define EXPRESSION_NO_LIMIT UINT32_MAX /* of a repetition */

enum expression_kind {
    EXPRESSION_SET,      /* one character */
    EXPRESSION_SEQUENCE, /* of none too: the empty text */
    EXPRESSION_CHOICE,   /* of none: nothing at all */
    EXPRESSION_REPEAT,   /* the only child, min … max times */
    EXPRESSION_RULE,     /* a call */
    EXPRESSION_BEGIN,    /* as the edges of these names */
    EXPRESSION_END
};

struct character_range {
    uint32_t low, high;
};

/* Sorted and apart after set_finish. */
struct character_set {
    struct character_range *ranges;
    uint32_t n, room;
};

struct expression {
    enum expression_kind kind;
    struct expression *first, *next;
    struct character_set set;
    uint32_t min, max, rule;
};

/* How characters are written. */
enum spelling {
    SPELLING_PLAIN, /* in UTF-8 */
    SPELLING_JSON   /* the inside of a JSON string: escaped where RFC 8259 (section 7) demands it,
                       and nowhere else */
};

/* false: no memory. */
bool set_add(struct arena *arena, struct character_set *set, uint32_t low, uint32_t high);
void set_finish(struct character_set *set);
/* The characters that are not in a finished set. */
bool set_invert(struct arena *arena, struct character_set *set);
bool set_holds(const struct character_set *set, uint32_t c);

struct expression *expression_new(struct arena *arena, enum expression_kind kind); /* or NULL */

/* The expression between two nodes. Repeated parts become rules where `rules` allows; otherwise
 * they are copied. */
void expression_write(const struct expression *x, struct grammar *g, uint32_t from, uint32_t to,
                      enum spelling spelling, bool rules);
/* The characters low … high in a spelling. */
void spell_characters(struct grammar *g, uint32_t from, uint32_t low, uint32_t high, uint32_t to,
                      enum spelling spelling);

#endif
