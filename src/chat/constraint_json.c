#include "chat/constraint_json.h"

#include <string.h>

#include "chat/constraint_compile.h"
#include "chat/constraint_expression.h"

static void text(struct grammar *g, uint32_t from, const char *word, uint32_t to) {
    grammar_text(g, from, word, strlen(word), to);
}

static void write_space(struct grammar *g, struct grammar_rule rule) {
    grammar_edge(g, rule.start, EDGE_EMPTY, rule.end);
    text(g, rule.start, " ", rule.end);
    uint32_t line = grammar_node(g), indent = grammar_node(g);
    text(g, rule.start, "\n", line);
    text(g, line, "\n", indent);
    grammar_edge(g, line, EDGE_EMPTY, indent);
    for (int i = 0; i < JSON_INDENT_LIMIT; i++) {
        uint32_t next = grammar_node(g);
        grammar_edge(g, indent, EDGE_EMPTY, rule.end);
        text(g, indent, " ", next);
        text(g, indent, "\t", next);
        indent = next;
    }
    grammar_edge(g, indent, EDGE_EMPTY, rule.end);
}

static void hex_digits(struct grammar *g, uint32_t from, uint32_t to) {
    grammar_bytes(g, from, '0', '9', to);
    grammar_bytes(g, from, 'A', 'F', to);
    grammar_bytes(g, from, 'a', 'f', to);
}

/* \uXXXX: a character of the basic plane, or a pair of surrogates. */
static void write_unicode_escape(struct grammar *g, uint32_t from, uint32_t to) {
    uint32_t any3 = grammar_node(g), any2 = grammar_node(g), any1 = grammar_node(g);
    uint32_t after_d = grammar_node(g), pair2 = grammar_node(g), pair1 = grammar_node(g);
    uint32_t second = grammar_node(g), low_d = grammar_node(g), low3 = grammar_node(g);
    grammar_bytes(g, from, '0', '9', any3);
    for (const char *c = "ABCEFabcef"; *c; c++)
        grammar_bytes(g, from, (uint8_t)*c, (uint8_t)*c, any3);
    text(g, from, "D", after_d);
    text(g, from, "d", after_d);
    grammar_bytes(g, after_d, '0', '7', any2);
    hex_digits(g, any3, any2);
    hex_digits(g, any2, any1);
    hex_digits(g, any1, to);
    for (const char *c = "89ABab"; *c; c++)
        grammar_bytes(g, after_d, (uint8_t)*c, (uint8_t)*c, pair2);
    hex_digits(g, pair2, pair1);
    hex_digits(g, pair1, second);
    text(g, second, "\\u", low_d);
    text(g, low_d, "D", low3);
    text(g, low_d, "d", low3);
    for (const char *c = "CDEFcdef"; *c; c++)
        grammar_bytes(g, low3, (uint8_t)*c, (uint8_t)*c, any2);
}

static void write_character(struct grammar *g, struct grammar_rule rule) {
    uint32_t escape = grammar_node(g), unicode = grammar_node(g);
    grammar_bytes(g, rule.start, ' ', '"' - 1, rule.end);
    grammar_bytes(g, rule.start, '"' + 1, '\\' - 1, rule.end);
    grammar_characters(g, rule.start, '\\' + 1, CHARACTER_LAST, rule.end);
    text(g, rule.start, "\\", escape);
    for (const char *c = "\"\\/bfnrt"; *c; c++)
        grammar_bytes(g, escape, (uint8_t)*c, (uint8_t)*c, rule.end);
    text(g, escape, "u", unicode);
    write_unicode_escape(g, unicode, rule.end);
}

/* The same as calls of `character`, without a call for each. */
static void write_string(struct grammar *g, struct grammar_rule rule) {
    uint32_t inside = grammar_node(g);
    text(g, rule.start, "\"", inside);
    write_character(g, (struct grammar_rule){.start = inside, .end = inside});
    text(g, inside, "\"", rule.end);
}

/* From `first` to `most` digits. */
static void digits(struct grammar *g, uint32_t from, int least, int most, uint32_t to) {
    for (int i = 0; i < most; i++) {
        uint32_t next = grammar_node(g);
        if (i >= least) grammar_edge(g, from, EDGE_EMPTY, to);
        grammar_bytes(g, from, '0', '9', next);
        from = next;
    }
    grammar_edge(g, from, EDGE_EMPTY, to);
}

static void write_whole(struct grammar *g, uint32_t from, uint32_t to) {
    uint32_t more = grammar_node(g);
    grammar_bytes(g, from, '1', '9', more);
    digits(g, more, 0, JSON_DIGITS_MAX - 1, to);
}

static void write_integer(struct grammar *g, struct grammar_rule rule) {
    uint32_t positive = grammar_node(g);
    text(g, rule.start, "0", rule.end);
    text(g, rule.start, "-", positive);
    write_whole(g, rule.start, rule.end);
    write_whole(g, positive, rule.end);
}

static void write_number(struct grammar *g, struct grammar_rule rule) {
    uint32_t whole = grammar_node(g), point = grammar_node(g), fraction = grammar_node(g);
    uint32_t exponent = grammar_node(g), sign = grammar_node(g), power = grammar_node(g);
    text(g, rule.start, "-", whole);
    grammar_edge(g, rule.start, EDGE_EMPTY, whole);
    text(g, whole, "0", point);
    write_whole(g, whole, point);
    text(g, point, ".", fraction);
    digits(g, fraction, 1, JSON_FRACTION_MAX, exponent);
    grammar_edge(g, point, EDGE_EMPTY, exponent);
    grammar_edge(g, exponent, EDGE_EMPTY, rule.end);
    text(g, exponent, "e", sign);
    text(g, exponent, "E", sign);
    text(g, sign, "+", power);
    text(g, sign, "-", power);
    grammar_edge(g, sign, EDGE_EMPTY, power);
    digits(g, power, 1, 2, rule.end);
}

/* open (item (, item)*)? close, where an object's items have a name. */
static void write_container(struct grammar *g, const struct json_rules *r, struct grammar_rule rule,
                            const char *brackets, bool named) {
    uint32_t empty = grammar_node(g), first = grammar_node(g), item = grammar_node(g);
    uint32_t after = grammar_node(g), last = grammar_node(g), comma = grammar_node(g);
    grammar_text(g, rule.start, brackets, 1, empty);
    grammar_call(g, empty, r->space, first);
    grammar_text(g, first, brackets + 1, 1, rule.end);
    grammar_edge(g, first, EDGE_EMPTY, item);
    if (named) {
        uint32_t name = grammar_node(g), colon = grammar_node(g), value = grammar_node(g);
        grammar_call(g, item, r->string, name);
        text(g, name, ":", colon);
        grammar_call(g, colon, r->space, value);
        grammar_call(g, value, r->value, after);
    } else {
        grammar_call(g, item, r->value, after);
    }
    text(g, after, ",", comma);
    grammar_call(g, comma, r->space, item);
    grammar_call(g, after, r->space, last);
    grammar_text(g, last, brackets + 1, 1, rule.end);
}

static void write_value(struct grammar *g, const struct json_rules *r, struct grammar_rule rule) {
    static const char *const words[] = {"null", "true", "false"};
    for (int i = 0; i < 3; i++)
        text(g, rule.start, words[i], rule.end);
    grammar_call(g, rule.start, r->object, rule.end);
    grammar_call(g, rule.start, r->array, rule.end);
    grammar_call(g, rule.start, r->string, rule.end);
    grammar_call(g, rule.start, r->number, rule.end);
}

void json_rules_write(struct json_rules *r, struct grammar *g) {
    *r = (struct json_rules){.space = grammar_rule(g),
                             .value = grammar_rule(g),
                             .object = grammar_rule(g),
                             .array = grammar_rule(g),
                             .string = grammar_rule(g),
                             .character = grammar_rule(g),
                             .number = grammar_rule(g),
                             .integer = grammar_rule(g)};
    if (g->state != HEARTH_OK) return;
    write_space(g, g->rules[r->space]);
    write_value(g, r, g->rules[r->value]);
    write_container(g, r, g->rules[r->object], "{}", true);
    write_container(g, r, g->rules[r->array], "[]", false);
    write_string(g, g->rules[r->string]);
    write_character(g, g->rules[r->character]);
    write_number(g, g->rules[r->number]);
    write_integer(g, g->rules[r->integer]);
}

hearth_status constraint_compile_json(struct grammar *g, hearth_error *err) {
    struct json_rules rules;
    uint32_t cycle;
    json_rules_write(&rules, g);
    return grammar_finish(g, rules.object, &cycle, err);
}
