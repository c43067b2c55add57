/* constraint_gbnf.c - grammars in the notation of llama.cpp (its grammars/README.md).
 *
 * A recursive descent; its first failure sticks and moves to the end of the text, which ends
 * every loop. Tokens by number or name (<[12]>, <name>) belong to one vocabulary and are refused.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_compile.h"
#include "chat/constraint_expression.h"
#include "token/utf8.h"

enum { GBNF_MAX_NAME_BYTES = 256, GBNF_ARENA_BYTES = 64 << 20 };

struct gbnf_rule {
    uint32_t rule;
    bool defined;
    size_t used_at;
    const char *name; /* borrowed from names */
};

struct gbnf {
    const char *text;
    size_t at, n;
    struct grammar *grammar;
    struct arena arena;
    json_t *names; /* name → index into rules */
    const json_t *schemas;
    bool lenient; /* of schemas that cannot be held to */
    struct gbnf_rule *rules;
    size_t n_rules, rule_room;
    int depth;
    hearth_status status;
    hearth_error *err;
};

/* ---- failing ---- */

static void stop(struct gbnf *p, hearth_status status) {
    if (p->status == HEARTH_OK) p->status = status;
    p->at = p->n;
}

static struct expression *fail(struct gbnf *p, size_t at, hearth_status status, const char *format,
                               ...) __attribute__((format(printf, 4, 5)));

static struct expression *fail(struct gbnf *p, size_t at, hearth_status status, const char *format,
                               ...) {
    char message[HEARTH_ERROR_MESSAGE_BYTES / 2];
    size_t line = 1, column = 1;
    va_list args;
    if (p->status != HEARTH_OK) return NULL;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (size_t i = 0; i < at; i++) {
        column = p->text[i] == '\n' ? 1 : column + 1;
        line += p->text[i] == '\n';
    }
    stop(p, error_set(p->err, status, "grammar, line %zu, column %zu: %s", line, column, message));
    return NULL;
}

static struct expression *no_memory(struct gbnf *p) {
    stop(p, error_set(p->err, HEARTH_ERROR_NO_MEMORY, "no memory for a grammar"));
    return NULL;
}

static struct expression *make(struct gbnf *p, enum expression_kind kind) {
    struct expression *x = expression_new(&p->arena, kind);
    return x ? x : no_memory(p);
}

/* ---- characters ---- */

static char look(const struct gbnf *p) {
    return p->at < p->n ? p->text[p->at] : '\0';
}

static bool skip(struct gbnf *p, char c) {
    if (p->at >= p->n || p->text[p->at] != c) return false;
    p->at++;
    return true;
}

static void skip_space(struct gbnf *p, bool newlines) {
    while (p->at < p->n) {
        char c = p->text[p->at];
        if (c == '#') {
            while (p->at < p->n && p->text[p->at] != '\n')
                p->at++;
            continue;
        }
        if (c != ' ' && c != '\t' && !(newlines && (c == '\n' || c == '\r'))) return;
        p->at++;
    }
}

static uint32_t read_hex(struct gbnf *p, int n_digits) {
    uint32_t value = 0;
    for (int i = 0; i < n_digits; i++) {
        char c = look(p);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            fail(p, p->at, HEARTH_ERROR_ARGUMENT, "expected %d hexadecimal digits", n_digits);
            return 0;
        }
        value = value << 4 | (uint32_t)digit;
        p->at++;
    }
    return value;
}

static uint32_t read_escape(struct gbnf *p) {
    size_t at = p->at - 1;
    char c = look(p);
    if (p->at < p->n) p->at++;
    switch (c) {
    case 'x': return read_hex(p, 2);
    case 'u': return read_hex(p, 4);
    case 'U': return read_hex(p, 8);
    case 't': return '\t';
    case 'r': return '\r';
    case 'n': return '\n';
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^': return (uint32_t)(unsigned char)c;
    default: fail(p, at, HEARTH_ERROR_ARGUMENT, "unknown escape '\\%c'", c ? c : ' '); return 0;
    }
}

static uint32_t read_plain(struct gbnf *p) {
    uint32_t c = 0;
    size_t length = utf8_decode(p->text + p->at, p->n - p->at, &c);
    if (length == 0) fail(p, p->at, HEARTH_ERROR_ARGUMENT, "not UTF-8");
    if (p->status == HEARTH_OK) p->at += length;
    return c;
}

static uint32_t read_character(struct gbnf *p) {
    size_t at = p->at;
    if (at == p->n) return 0;
    uint32_t c = skip(p, '\\') ? read_escape(p) : read_plain(p);
    if (c > CHARACTER_LAST || (c >= 0xd800 && c <= 0xdfff))
        fail(p, at, HEARTH_ERROR_ARGUMENT, "U+%X is not a character", (unsigned)c);
    return c;
}

/* ---- items ---- */

static struct expression *parse_choice(struct gbnf *p, bool nested);

static struct expression *parse_literal(struct gbnf *p) {
    size_t begin = p->at++;
    struct expression *list = make(p, EXPRESSION_SEQUENCE);
    if (!list) return NULL;
    struct expression **end = &list->first;
    while (p->at < p->n && look(p) != '"') {
        uint32_t c = read_character(p);
        struct expression *one = make(p, EXPRESSION_SET);
        if (p->status != HEARTH_OK) return NULL;
        if (!set_add(&p->arena, &one->set, c, c)) return no_memory(p);
        *end = one;
        end = &one->next;
    }
    if (!skip(p, '"')) return fail(p, begin, HEARTH_ERROR_ARGUMENT, "a text without an end");
    return list;
}

static struct expression *parse_set(struct gbnf *p) {
    size_t begin = p->at++;
    bool inverted = skip(p, '^');
    struct expression *x = make(p, EXPRESSION_SET);
    if (!x) return NULL;
    while (p->at < p->n && look(p) != ']') {
        size_t at = p->at;
        uint32_t low = read_character(p), high = low;
        if (look(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            high = read_character(p);
        }
        if (high < low) fail(p, at, HEARTH_ERROR_ARGUMENT, "a range that ends before it begins");
        if (p->status != HEARTH_OK) return NULL;
        if (!set_add(&p->arena, &x->set, low, high)) return no_memory(p);
    }
    if (!skip(p, ']')) return fail(p, begin, HEARTH_ERROR_ARGUMENT, "a set without an end");
    set_finish(&x->set);
    if (inverted && !set_invert(&p->arena, &x->set)) return no_memory(p);
    return x;
}

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* The rule of the name that is read here, new or known; NULL: a failure. */
static struct gbnf_rule *read_name(struct gbnf *p) {
    char name[GBNF_MAX_NAME_BYTES];
    size_t begin = p->at, n = 0;
    while (is_name_byte(look(p)) && n < sizeof name - 1)
        name[n++] = p->text[p->at++];
    name[n] = '\0';
    if (n == 0 || n == sizeof name - 1) {
        fail(p, begin, HEARTH_ERROR_ARGUMENT, n ? "a name that is too long" : "expected a name");
        return NULL;
    }
    json_t *known = json_object_get(p->names, name);
    if (known) return &p->rules[json_integer_value(known)];
    if (p->n_rules == p->rule_room) {
        size_t room = p->rule_room ? 2 * p->rule_room : 32;
        struct gbnf_rule *grown = mem_realloc_array(p->rules, room, sizeof *grown);
        if (grown) p->rules = grown;
        if (grown) p->rule_room = room;
    }
    if (p->n_rules == p->rule_room ||
        json_object_set_new(p->names, name, json_integer((json_int_t)p->n_rules)) != 0) {
        no_memory(p);
        return NULL;
    }
    p->rules[p->n_rules] =
        (struct gbnf_rule){.rule = grammar_rule(p->grammar),
                           .used_at = begin,
                           .name = json_object_iter_key(json_object_iter_at(p->names, name))};
    return &p->rules[p->n_rules++];
}

static struct expression *parse_item(struct gbnf *p) {
    struct expression *x = NULL;
    switch (look(p)) {
    case '"': return parse_literal(p);
    case '[': return parse_set(p);
    case '.':
        p->at++;
        x = make(p, EXPRESSION_SET);
        if (x && !set_add(&p->arena, &x->set, 0, CHARACTER_LAST)) return no_memory(p);
        return x;
    case '(': {
        size_t begin = p->at++;
        if (p->depth == EXPRESSION_MAX_NESTING)
            return fail(p, begin, HEARTH_ERROR_LIMIT, "nested deeper than %d",
                        EXPRESSION_MAX_NESTING);
        p->depth++;
        x = parse_choice(p, true);
        p->depth--;
        if (!skip(p, ')')) return fail(p, begin, HEARTH_ERROR_ARGUMENT, "'(' without ')'");
        return x;
    }
    case '<':
    case '!':
        return fail(p, p->at, HEARTH_ERROR_UNSUPPORTED, "tokens by number or name are not held to");
    default: {
        const struct gbnf_rule *rule = read_name(p);
        x = rule ? make(p, EXPRESSION_RULE) : NULL;
        if (x) x->rule = rule->rule;
        return x;
    }
    }
}

/* ---- repetitions ---- */

static uint32_t read_count(struct gbnf *p, uint32_t without) {
    size_t begin = p->at;
    uint32_t count = 0;
    while (look(p) >= '0' && look(p) <= '9' && count <= EXPRESSION_MAX_REPEAT)
        count = count * 10 + (uint32_t)(p->text[p->at++] - '0');
    if (p->at == begin) return without;
    if (count > EXPRESSION_MAX_REPEAT)
        fail(p, begin, HEARTH_ERROR_LIMIT, "more than %d repetitions", EXPRESSION_MAX_REPEAT);
    return count;
}

static void read_counts(struct gbnf *p, uint32_t *min, uint32_t *max) {
    size_t begin = p->at - 1;
    skip_space(p, false);
    bool bare = look(p) == ',' || look(p) == '}';
    *min = read_count(p, 0);
    *max = *min;
    skip_space(p, false);
    if (skip(p, ',')) {
        skip_space(p, false);
        *max = read_count(p, EXPRESSION_NO_LIMIT);
        skip_space(p, false);
        bare &= *max == EXPRESSION_NO_LIMIT;
    }
    if (!skip(p, '}') || bare || *max < *min)
        fail(p, begin, HEARTH_ERROR_ARGUMENT, "expected {m}, {m,}, {,n} or {m,n} with m <= n");
}

/* The item with what stands behind it: * + ? {m,n}, each applied to the whole before it. */
static struct expression *parse_repeated(struct gbnf *p, bool nested) {
    struct expression *x = parse_item(p);
    for (int n = 0; p->status == HEARTH_OK; n++) {
        uint32_t min = 0, max = EXPRESSION_NO_LIMIT;
        skip_space(p, nested);
        size_t at = p->at;
        if (skip(p, '+'))
            min = 1;
        else if (skip(p, '?'))
            max = 1;
        else if (skip(p, '{'))
            read_counts(p, &min, &max);
        else if (!skip(p, '*'))
            return x;
        if (n == EXPRESSION_MAX_NESTING)
            return fail(p, at, HEARTH_ERROR_LIMIT, "repeated more than %d times over",
                        EXPRESSION_MAX_NESTING);
        struct expression *repeat = make(p, EXPRESSION_REPEAT);
        if (!repeat) return NULL;
        repeat->min = min;
        repeat->max = max;
        repeat->first = x;
        x = repeat;
    }
    return NULL;
}

/* ---- rules ---- */

static struct expression *parse_sequence(struct gbnf *p, bool nested) {
    struct expression *list = make(p, EXPRESSION_SEQUENCE);
    if (!list) return NULL;
    struct expression **end = &list->first;
    while (p->at < p->n && !strchr("|)\n\r", look(p))) {
        struct expression *x = parse_repeated(p, nested);
        if (!x) return NULL;
        *end = x;
        end = &x->next;
    }
    return list;
}

static struct expression *parse_choice(struct gbnf *p, bool nested) {
    struct expression *list = make(p, EXPRESSION_CHOICE);
    if (!list) return NULL;
    struct expression **end = &list->first;
    do {
        skip_space(p, true);
        struct expression *x = parse_sequence(p, nested);
        if (!x) return NULL;
        *end = x;
        end = &x->next;
    } while (skip(p, '|'));
    return list;
}

static void parse_rule(struct gbnf *p) {
    size_t begin = p->at;
    struct gbnf_rule *rule = read_name(p);
    if (!rule) return;
    size_t index = (size_t)(rule - p->rules);
    if (rule->defined) fail(p, begin, HEARTH_ERROR_ARGUMENT, "'%s' is a rule already", rule->name);
    rule->defined = true;
    skip_space(p, false);
    if (p->n - p->at < 3 || memcmp(p->text + p->at, "::=", 3) != 0) {
        fail(p, p->at, HEARTH_ERROR_ARGUMENT, "expected '::=' after the name of a rule");
        return;
    }
    p->at += 3;
    struct expression *x = parse_choice(p, false);
    if (!x || p->status != HEARTH_OK) return;
    if (look(p) == ')') fail(p, p->at, HEARTH_ERROR_ARGUMENT, "')' without '('");
    if (p->grammar->state != HEARTH_OK) return;
    struct grammar_rule at = p->grammar->rules[p->rules[index].rule];
    expression_write(x, p->grammar, at.start, at.end, SPELLING_PLAIN, true);
}

static bool can_be_held_to(const json_t *schema) {
    struct grammar alone;
    grammar_init(&alone);
    hearth_status status = constraint_compile_schema(&alone, schema, NULL);
    grammar_release(&alone);
    return status == HEARTH_OK;
}

/* The schema, or what can be held to of it. Given; NULL: no memory. */
static json_t *held_schema(const json_t *schema) {
    json_t *type = json_object_get(schema, "type");
    json_t *typed = type ? json_pack("{s:O}", "type", type) : NULL;
    if (!can_be_held_to(schema)) {
        if (typed && can_be_held_to(typed)) return typed;
        json_decref(typed);
        return json_true();
    }
    json_decref(typed);
    return json_incref((json_t *)(uintptr_t)schema);
}

/* A rule that the text leaves to a schema. */
static void write_schema(struct gbnf *p, struct gbnf_rule *rule) {
    json_t *schema = json_object_get(p->schemas, rule->name);
    uint32_t written;
    if (!schema) return;
    rule->defined = true;
    if (p->grammar->state != HEARTH_OK) return; /* which grammar_finish reports */
    schema = p->lenient ? held_schema(schema) : json_incref(schema);
    hearth_status status = constraint_write_schema(p->grammar, schema, &written, p->err);
    json_decref(schema);
    if (status != HEARTH_OK) {
        stop(p, status);
        return;
    }
    struct grammar_rule at = p->grammar->rules[rule->rule];
    grammar_call(p->grammar, at.start, written, at.end);
}

static void check_names(struct gbnf *p) {
    for (size_t i = 0; i < p->n_rules && p->status == HEARTH_OK; i++)
        if (!p->rules[i].defined) write_schema(p, &p->rules[i]);
    for (size_t i = 0; i < p->n_rules && p->status == HEARTH_OK; i++)
        if (!p->rules[i].defined)
            fail(p, p->rules[i].used_at, HEARTH_ERROR_ARGUMENT, "there is no rule '%s'",
                 p->rules[i].name);
    if (p->status == HEARTH_OK && !json_object_get(p->names, "root"))
        stop(p, error_set(p->err, HEARTH_ERROR_ARGUMENT, "the grammar has no rule 'root'"));
}

/* Says which rule begins with itself. */
static hearth_status finish(struct gbnf *p) {
    uint32_t cycle;
    const json_t *root = json_object_get(p->names, "root");
    hearth_status status =
        grammar_finish(p->grammar, p->rules[json_integer_value(root)].rule, &cycle, p->err);
    for (size_t i = 0; cycle != GRAMMAR_NONE && i < p->n_rules; i++)
        if (p->rules[i].rule == cycle)
            fail(p, p->rules[i].used_at, HEARTH_ERROR_ARGUMENT,
                 "rule '%s' begins with itself; write it as a repetition", p->rules[i].name);
    return status;
}

hearth_status constraint_compile_gbnf(struct grammar *g, const char *text, const json_t *schemas,
                                      bool lenient, hearth_error *err) {
    struct gbnf p = {.text = text,
                     .grammar = g,
                     .schemas = schemas,
                     .lenient = lenient,
                     .err = err,
                     .status = HEARTH_OK};
    if (!text) return error_set(err, HEARTH_ERROR_ARGUMENT, "the grammar is missing");
    p.n = strlen(text);
    if (p.n > CONSTRAINT_MAX_TEXT_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "a grammar of %zu bytes; at most %d are read",
                         p.n, CONSTRAINT_MAX_TEXT_BYTES);
    arena_init(&p.arena, GBNF_ARENA_BYTES);
    p.names = json_object();
    if (!p.names) no_memory(&p);
    for (skip_space(&p, true); p.at < p.n; skip_space(&p, true))
        parse_rule(&p);
    check_names(&p);
    if (p.status == HEARTH_OK) p.status = finish(&p);
    json_decref(p.names);
    mem_free(p.rules);
    arena_release(&p.arena);
    return p.status;
}
