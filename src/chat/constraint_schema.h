/* constraint_schema.h - JSON Schema (draft 2020-12) as a grammar, between its parts.
 *
 * A *goal* is a set of schemas (or their negations) that a value must all satisfy; equal goals are
 * one, and each becomes one rule of the grammar, so that recursion through properties and items
 * ends. To write a goal it is brought into *forms*: alternatives, each a plain description per
 * type of value (for objects: names with goals, further names by pattern, counts, …). Conjunction
 * merges forms, disjunction lists them, negation is pushed down to keywords. What cannot be
 * expressed so is refused by name: nothing is approximated, with these exceptions, all of which
 * only make the set of answers smaller:
 *   - properties come in the order of the schema;
 *   - an object whose schema says "type": "object", lists `properties` and says nothing of others
 *     has no others: a model would invent them;
 *   - numbers have bounded digits, white space is bounded (constraint_json.h);
 *   - strings under `pattern`, `format`, `enum` or `const`, and names, are written without
 *     needless escapes;
 *   - `format` holds (the format-assertion vocabulary), and of some formats a plain part only. */
#ifndef HEARTH_CHAT_CONSTRAINT_SCHEMA_H
#define HEARTH_CHAT_CONSTRAINT_SCHEMA_H

#include <jansson.h>

#include "base/arena.h"
#include "chat/constraint_dfa.h"
#include "chat/constraint_json.h"

enum {
    SCHEMA_ARENA_BYTES = 256 << 20,
    SCHEMA_MAX_DEPTH = 128, /* of the document, and of references and applicators in place */
    SCHEMA_MAX_SITES = 1 << 14,
    SCHEMA_MAX_GOALS = 1 << 14,
    SCHEMA_MAX_ATOMS = 64,      /* of one goal */
    SCHEMA_MAX_FORMS = 1 << 11, /* of one goal, at any time */
    SCHEMA_MAX_PATTERNS = 1 << 8,
    SCHEMA_MAX_PATTERN_WORK = 1 << 21, /* states made in meeting patterns with each other */
    SCHEMA_MAX_BRANCHES = 4, /* of anyOf under unevaluated…: every subset is looked at */
    SCHEMA_MAX_SEEN = 16
};
#define SCHEMA_NO_MAXIMUM UINT32_MAX

/* ---- goals ---- */

struct atom {
    const json_t *schema;
    bool negated;
    bool value; /* `schema` is not a schema but the value itself (const) */
};

struct goal {
    struct goal *next_hashed, *next_to_write;
    uint32_t rule; /* GRAMMAR_NONE: not asked for yet */
    uint32_t n;
    struct atom atoms[];
};

/* ---- forms ---- */

enum value_type {
    VALUE_NULL = 1,
    VALUE_TRUE = 2,
    VALUE_FALSE = 4,
    VALUE_NUMBER = 8,
    VALUE_STRING = 16,
    VALUE_ARRAY = 32,
    VALUE_OBJECT = 64,
    VALUE_ANY = 127
};

/* A decimal number as written: at most DECIMAL_MAX digits on each side, no leading zeros, no
 * trailing ones behind the point. */
enum { DECIMAL_MAX = 40 };
struct decimal {
    bool negative;
    uint8_t n_whole, n_fraction; /* n_whole of zero: 1 */
    char whole[DECIMAL_MAX], fraction[DECIMAL_MAX];
};

struct bound {
    bool set, exclusive;
    struct decimal value;
};

enum whole_numbers { WHOLE_ANY, WHOLE_ONLY, WHOLE_NEVER };

struct number_form {
    enum whole_numbers whole;
    struct bound low, high;
    uint64_t step; /* a multiple of step / 10^step_places; 0: any */
    uint32_t step_places;
};

enum language_kind { LANGUAGE_PATTERN, LANGUAGE_FORMAT, LANGUAGE_VALUES };
struct language {
    const struct language *next;
    enum language_kind kind;
    const char *text; /* the pattern, or the format's expression */
    size_t n;
    const json_t *const *values; /* VALUES: strings */
    bool negated;
};

struct string_form {
    uint32_t least, most; /* characters */
    const struct language *languages;
};

struct contains {
    const struct goal *goal, *other; /* other: its negation, where `most` is bounded */
    uint32_t least, most;
};

struct array_form {
    const struct goal *const *first;
    uint32_t n_first;
    const struct goal *rest;
    uint32_t least, most;
    const struct contains *contains; /* at most one */
};

struct name {
    const char *text;
    size_t n;
    const struct goal *goal; /* of `properties`, required names and negations; others come on top */
    bool required;
};

/* Names that match the pattern have the goal. */
struct name_pattern {
    const struct name_pattern *next;
    const char *text;
    size_t n;
    const struct goal *goal;
};

/* What a keyword like additionalProperties leaves out: names in these objects. */
struct names_seen {
    const json_t *properties[SCHEMA_MAX_SEEN], *patterns[SCHEMA_MAX_SEEN];
    uint32_t n_properties, n_patterns;
    bool all; /* names are all seen */
    uint32_t items;
    bool all_items;
    bool unclear; /* what is seen depends on the value: `contains` */
};

struct other_names {
    const struct other_names *next;
    struct names_seen seen;
    const struct goal *goal;
};

struct object_form {
    const struct name *names; /* in order */
    uint32_t n_names;
    const struct name_pattern *patterns;
    const struct other_names *others;
    const struct goal *name_goal; /* propertyNames; NULL: any */
    uint32_t least, most;
    bool closed; /* no names but those listed, as nothing was said of others */
};

struct form {
    struct form *next;
    unsigned types;
    struct number_form number;
    struct string_form string;
    struct array_form array;
    struct object_form object;
    struct names_seen seen;
};

/* ---- the compiler ---- */

struct site {
    const json_t *schema;
    uint32_t parent; /* site; itself: the root */
    uint32_t base;   /* resource */
    const char *key; /* below the parent, as in a JSON pointer: borrowed or in the arena */
};

struct resource {
    const char *uri; /* without fragment */
    const json_t *root;
};

struct anchor {
    const char *name;
    uint32_t base;
    const json_t *schema;
    bool dynamic;
};

struct known_dfa {
    struct known_dfa *next;
    const char *text;
    size_t n;
    const void *values;
    struct dfa dfa;
};

struct schema_compiler {
    struct grammar *grammar;
    struct json_rules json;
    struct arena arena;
    const json_t *root;
    struct site *sites;
    uint32_t *site_slots; /* hashed by pointer; 0: free, else site + 1 */
    uint32_t n_sites, n_resources, n_anchors, resource_room, anchor_room;
    struct resource *resources;
    struct anchor *anchors;
    struct goal **goal_slots;
    struct goal *to_write, **to_write_end;
    uint32_t n_goals;
    struct known_dfa *dfas;
    uint32_t n_dfas, n_dfa_states, pattern_work;
    uint32_t depth;
    uint32_t watched; /* schemas around the current one that ask what was seen */
    const json_t *at; /* the schema that is being read, for errors */
    const char *keyword;
    hearth_status status;
    hearth_error *err;
};

/* Each part's failures stick in the compiler and return NULL, so that callers may go on. */
void *schema_fail(struct schema_compiler *c, hearth_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void *schema_no_memory(struct schema_compiler *c);
void *schema_alloc(struct schema_compiler *c, size_t count, size_t size);
static inline bool schema_ok(const struct schema_compiler *c) {
    return c->status == HEARTH_OK && c->grammar->state == HEARTH_OK;
}

/* constraint_reference.c: what $ref, $id and anchors mean. */
void schema_scan(struct schema_compiler *c);
const json_t *schema_resolve(struct schema_compiler *c, const json_t *schema, const char *reference,
                             bool dynamic);
void schema_pointer(const struct schema_compiler *c, const json_t *schema, char *out, size_t size);

/* constraint_goal.c */
const struct goal *goal_of(struct schema_compiler *c, const json_t *schema, bool negated,
                           bool value);
const struct goal *goal_any(struct schema_compiler *c);
const struct goal *goal_none(struct schema_compiler *c);
const struct goal *goal_both(struct schema_compiler *c, const struct goal *a, const struct goal *b);
/* The rule that writes it, now or later. */
uint32_t goal_rule(struct schema_compiler *c, const struct goal *goal);

/* constraint_form.c: lists of forms, "or" along the list. NULL: none. */
struct form *form_new(struct schema_compiler *c, unsigned types);
struct form *forms_both(struct schema_compiler *c, const struct form *a, const struct form *b);
struct form *forms_either(struct schema_compiler *c, struct form *a, struct form *b);
bool forms_apart(struct schema_compiler *c, const struct form *a, const struct form *b);
/* Adds names, or their goals and demands to those that are there. */
void form_names(struct schema_compiler *c, struct form *f, const struct name *more, uint32_t n);
void form_language(struct schema_compiler *c, struct form *f, struct language language);
void form_first_items(struct schema_compiler *c, struct form *f, uint32_t n);

/* constraint_keyword.c, constraint_negation.c, constraint_applicator.c, constraint_value.c: what
 * schemas and values say. */
struct form *forms_of_goal(struct schema_compiler *c, const struct goal *goal);
struct form *forms_of_schema(struct schema_compiler *c, const json_t *schema);
struct form *forms_without_schema(struct schema_compiler *c, const json_t *schema);
struct form *forms_in_place(struct schema_compiler *c, const json_t *schema, struct form *forms);
struct form *forms_without_in_place(struct schema_compiler *c, const json_t *schema);
struct form *forms_of_value(struct schema_compiler *c, const json_t *value);
struct form *forms_without_value(struct schema_compiler *c, const json_t *value);
struct form *forms_of_values(struct schema_compiler *c, const json_t *values);
/* The types of `type`, where there is one. */
void form_types(struct schema_compiler *c, const json_t *schema, struct form *f);
/* A count of `keyword`, at most UINT32_MAX - 1; `without` where it is missing. */
uint32_t schema_count(struct schema_compiler *c, const json_t *schema, const char *keyword,
                      uint32_t without);
bool decimal_read(struct decimal *out, const json_t *number); /* false: too many digits */
int decimal_compare(const struct decimal *a, const struct decimal *b);
bool number_step(struct number_form *form, const json_t *number); /* false: too fine */
const char *format_expression(const char *format, bool *known);   /* NULL: none */

/* constraint_write_….c: forms between two nodes of the grammar. */
void write_number(struct schema_compiler *c, const struct number_form *f, uint32_t from,
                  uint32_t to);
void write_string(struct schema_compiler *c, const struct string_form *f, uint32_t from,
                  uint32_t to);
void write_array(struct schema_compiler *c, const struct array_form *f, uint32_t from, uint32_t to);
void write_object(struct schema_compiler *c, const struct object_form *f, uint32_t from,
                  uint32_t to);
/* The dfa of a pattern (kept for later), or of all strings when `text` is NULL. */
const struct dfa *pattern_dfa(struct schema_compiler *c, const char *text, size_t n);
/* The strings of a form, as the insides of JSON strings, into `out`; false: failed. */
bool string_dfa(struct schema_compiler *c, const struct string_form *f, struct dfa *out);
/* A text as the inside of a JSON string. */
void write_spelled(struct grammar *g, uint32_t from, const char *text, size_t n, uint32_t to);
/* Replaces `*dfa` by what it has (not) in common with another. */
bool dfa_restrict(struct schema_compiler *c, struct dfa *dfa, const struct dfa *by,
                  enum dfa_operation operation);

#endif
