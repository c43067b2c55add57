/* constraint_json.h - the grammar of JSON (RFC 8259) as an answer should be written.
 *
 * White space is bounded: between tokens nothing, a space, or one or two newlines and up to 20
 * spaces or tabs; none before a colon or a comma. Numbers have at most JSON_DIGITS_MAX digits
 * before and JSON_FRACTION_MAX after the point and an exponent of at most two digits, which every
 * parser holds. */
#ifndef HEARTH_CHAT_CONSTRAINT_JSON_H
#define HEARTH_CHAT_CONSTRAINT_JSON_H

#include "chat/constraint_grammar.h"

enum { JSON_DIGITS_MAX = 16, JSON_FRACTION_MAX = 100, JSON_INDENT_LIMIT = 20 };

/* Rules by what they hold. */
struct json_rules {
    uint32_t space, value, object, array, string, character, number, integer;
};

void json_rules_write(struct json_rules *rules, struct grammar *g);

#endif
