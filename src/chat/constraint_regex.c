/* constraint_regex.c - a recursive descent whose first failure sticks. */
#include "chat/constraint_regex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "chat/constraint_compile.h"
#include "chat/constraint_dfa.h"
#include "token/utf8.h"

enum { REGEX_ARENA_BYTES = 64 << 20 };

struct regex {
    const char *text;
    size_t at, n;
    struct arena *arena;
    int depth;
    hearth_status status;
    hearth_error *err;
};

/* ---- failing and looking ---- */

static void *fail(struct regex *p, size_t at, hearth_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void *fail(struct regex *p, size_t at, hearth_status status, const char *format, ...) {
    char message[HEARTH_ERROR_MESSAGE_BYTES / 2];
    va_list args;
    if (p->status != HEARTH_OK) return NULL;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    p->status = error_set(p->err, status, "regular expression, byte %zu: %s", at + 1, message);
    p->at = p->n;
    return NULL;
}

static void *no_memory(struct regex *p) {
    return fail(p, p->at, HEARTH_ERROR_NO_MEMORY, "no memory");
}

static void *unsupported(struct regex *p, size_t at, const char *what) {
    return fail(p, at, HEARTH_ERROR_UNSUPPORTED, "%s cannot be held to", what);
}

static char look(const struct regex *p) {
    return p->at < p->n ? p->text[p->at] : '\0';
}

static bool skip(struct regex *p, const char *text) {
    size_t n = strlen(text);
    if (p->n - p->at < n || memcmp(p->text + p->at, text, n) != 0) return false;
    p->at += n;
    return true;
}

static struct expression *make(struct regex *p, enum expression_kind kind) {
    struct expression *x = expression_new(p->arena, kind);
    return x ? x : no_memory(p);
}

static void add(struct regex *p, struct character_set *set, uint32_t low, uint32_t high) {
    if (!set_add(p->arena, set, low, high)) no_memory(p);
}

static void invert(struct regex *p, struct character_set *set) {
    set_finish(set);
    if (!set_invert(p->arena, set)) no_memory(p);
}

/* ---- escapes ---- */

static uint32_t read_hex(struct regex *p, int n_digits) {
    uint32_t value = 0;
    size_t begin = p->at;
    for (int i = 0; i < n_digits; i++, p->at++) {
        const char *digits = "0123456789abcdefABCDEF";
        const char *found = look(p) ? strchr(digits, look(p)) : NULL;
        if (!found) {
            fail(p, begin, HEARTH_ERROR_ARGUMENT, "expected %d hexadecimal digits", n_digits);
            return 0;
        }
        uint32_t digit = (uint32_t)(found - digits);
        value = value << 4 | (digit > 15 ? digit - 6 : digit);
    }
    return value;
}

/* After \u: four digits, two such surrogates, or {…}. */
static uint32_t read_unicode(struct regex *p) {
    size_t begin = p->at;
    uint32_t c = 0;
    if (skip(p, "{")) {
        size_t close = p->at;
        while (close < p->n && p->text[close] != '}')
            close++;
        if (close == p->n || close == p->at || close - p->at > 8)
            fail(p, begin, HEARTH_ERROR_ARGUMENT, "expected \\u{…} with up to 8 digits");
        else
            c = read_hex(p, (int)(close - p->at));
        skip(p, "}");
    } else {
        c = read_hex(p, 4);
        if (c >= 0xd800 && c <= 0xdbff && skip(p, "\\u")) {
            uint32_t low = read_hex(p, 4);
            c = low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00)
                                               : low | 0xd800;
        }
    }
    if (p->status == HEARTH_OK && (c > CHARACTER_LAST || (c >= 0xd800 && c <= 0xdfff)))
        fail(p, begin, HEARTH_ERROR_ARGUMENT, "U+%X is not a character", (unsigned)c);
    return c;
}

/* \d \w \s \p{…} and their opposites; false: `c` is none of them. */
static bool read_class(struct regex *p, char c, struct character_set *set) {
    static const struct character_range spaces[] = {
        {'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
        {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    size_t begin = p->at - 2;
    char kind = (char)(c | 0x20);
    if (!strchr("dwsp", kind) || !c) return false;
    if (kind == 'p') {
        const char *close = memchr(p->text + p->at, '}', p->n - p->at);
        if (look(p) != '{' || !close) {
            fail(p, begin, HEARTH_ERROR_ARGUMENT, "expected \\%c{…}", c);
            return true;
        }
        size_t n = (size_t)(close - p->text) - p->at - 1;
        if (!regex_category(p->arena, set, p->text + p->at + 1, n))
            unsupported(p, begin, "a property that is not a general category");
        else
            p->at += n + 2;
    }
    if (kind != 's' && kind != 'p') add(p, set, '0', '9');
    if (kind == 'w') {
        add(p, set, 'A', 'Z');
        add(p, set, '_', '_');
        add(p, set, 'a', 'z');
    }
    for (size_t i = 0; kind == 's' && i < sizeof spaces / sizeof *spaces; i++)
        add(p, set, spaces[i].low, spaces[i].high);
    if (c != kind)
        invert(p, set);
    else
        set_finish(set);
    return true;
}

/* What stands after a backslash, as one character. */
static uint32_t read_escape(struct regex *p, bool in_set) {
    static const char names[] = "tnvfr0", values[] = "\t\n\v\f\r";
    size_t begin = p->at - 1;
    char c = look(p);
    const char *found = c ? strchr(names, c) : NULL;
    if (p->at < p->n) p->at++;
    if (found && c == '0' && look(p) >= '0' && look(p) <= '9') found = NULL;
    if (found) return (uint32_t)values[found - names];
    if (c == 'x') return read_hex(p, 2);
    if (c == 'u') return read_unicode(p);
    if (c == 'c' && ((look(p) | 0x20) >= 'a' && (look(p) | 0x20) <= 'z'))
        return (uint32_t)p->text[p->at++] & 31;
    if (c == 'b' && in_set) return '\b';
    if (c == 'b' || c == 'B')
        unsupported(p, begin, "a word boundary");
    else if ((c >= '1' && c <= '9') || c == 'k')
        unsupported(p, begin, "a back reference");
    else if (!c || !strchr("^$\\.*+?()[]{}|/-\"' #&~@!%,:;<=>`_", c))
        fail(p, begin, HEARTH_ERROR_ARGUMENT, "unknown escape '\\%c'", c >= ' ' ? c : ' ');
    return (uint32_t)(unsigned char)c;
}

static uint32_t read_plain(struct regex *p) {
    uint32_t c = 0;
    size_t length = p->at < p->n ? utf8_decode(p->text + p->at, p->n - p->at, &c) : 0;
    if (length == 0)
        fail(p, p->at, HEARTH_ERROR_ARGUMENT, "not UTF-8");
    else
        p->at += length;
    return c;
}

/* ---- items ---- */

static struct expression *parse_choice(struct regex *p);

/* One end of a range; true: it was a class, already in the set. */
static bool read_set_end(struct regex *p, struct character_set *set, uint32_t *c) {
    struct character_set class = {0};
    if (!skip(p, "\\")) {
        *c = read_plain(p);
        return false;
    }
    if (p->at < p->n && strchr("dDwWsSpP", look(p))) {
        char letter = p->text[p->at++];
        read_class(p, letter, &class);
        for (uint32_t i = 0; i < class.n; i++)
            add(p, set, class.ranges[i].low, class.ranges[i].high);
        return true;
    }
    *c = read_escape(p, true);
    return false;
}

static struct expression *parse_set(struct regex *p, size_t begin) {
    struct expression *x = make(p, EXPRESSION_SET);
    bool inverted = skip(p, "^");
    if (!x) return NULL;
    while (p->status == HEARTH_OK && p->at < p->n && look(p) != ']') {
        uint32_t low = 0, high = 0;
        size_t at = p->at;
        bool class = read_set_end(p, &x->set, &low);
        bool range = look(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']';
        high = low;
        if (range && !class) {
            p->at++;
            class = read_set_end(p, &x->set, &high);
            if (class) fail(p, at, HEARTH_ERROR_ARGUMENT, "a range that ends with a class");
        }
        if (high < low) fail(p, at, HEARTH_ERROR_ARGUMENT, "a range that ends before it begins");
        if (!class && p->status == HEARTH_OK) add(p, &x->set, low, high);
    }
    if (!skip(p, "]")) return fail(p, begin, HEARTH_ERROR_ARGUMENT, "'[' without ']'");
    set_finish(&x->set);
    if (inverted) invert(p, &x->set);
    return x;
}

static struct expression *parse_group(struct regex *p, size_t begin) {
    if (skip(p, "?=") || skip(p, "?!") || skip(p, "?<=") || skip(p, "?<!"))
        return unsupported(p, begin, "look-around");
    if (skip(p, "?<")) {
        while (p->at < p->n && look(p) != '>')
            p->at++;
        skip(p, ">");
    } else if (!skip(p, "?:") && look(p) == '?') {
        return unsupported(p, begin, "a group of this kind");
    }
    if (p->depth == EXPRESSION_MAX_NESTING)
        return fail(p, begin, HEARTH_ERROR_LIMIT, "nested deeper than %d", EXPRESSION_MAX_NESTING);
    p->depth++;
    struct expression *x = parse_choice(p);
    p->depth--;
    if (!skip(p, ")")) return fail(p, begin, HEARTH_ERROR_ARGUMENT, "'(' without ')'");
    return x;
}

static struct expression *parse_item(struct regex *p) {
    size_t begin = p->at;
    if (skip(p, "(")) return parse_group(p, begin);
    if (skip(p, "[")) return parse_set(p, begin);
    if (skip(p, "^")) return make(p, EXPRESSION_BEGIN);
    if (skip(p, "$")) return make(p, EXPRESSION_END);
    if (strchr("*+?", look(p)))
        return fail(p, begin, HEARTH_ERROR_ARGUMENT, "nothing to repeat before '%c'", look(p));
    struct expression *x = make(p, EXPRESSION_SET);
    if (!x) return NULL;
    if (skip(p, ".")) {
        add(p, &x->set, '\n', '\n');
        add(p, &x->set, '\r', '\r');
        add(p, &x->set, 0x2028, 0x2029);
        invert(p, &x->set);
        return x;
    }
    uint32_t c;
    if (look(p) == '\\' && p->at + 1 < p->n && strchr("dDwWsSpP", p->text[p->at + 1])) {
        p->at += 2;
        read_class(p, p->text[p->at - 1], &x->set);
        return x;
    }
    c = skip(p, "\\") ? read_escape(p, false) : read_plain(p);
    add(p, &x->set, c, c);
    return x;
}

/* ---- quantifiers ---- */

/* {m}, {m,} or {m,n}; false: a brace that stands for itself. */
static bool read_counts(struct regex *p, uint32_t *min, uint32_t *max) {
    size_t begin = p->at++;
    uint64_t counts[2] = {0, 0};
    bool given[2] = {false, false}, comma = false;
    for (int i = 0; i < 2; i++) {
        for (; look(p) >= '0' && look(p) <= '9'; p->at++, given[i] = true)
            if (counts[i] <= EXPRESSION_MAX_REPEAT)
                counts[i] = counts[i] * 10 + (uint64_t)(look(p) - '0');
        if (i == 0 && !(comma = skip(p, ","))) break;
    }
    if (!given[0] || !skip(p, "}")) {
        p->at = begin;
        return false;
    }
    if (counts[0] > EXPRESSION_MAX_REPEAT || counts[1] > EXPRESSION_MAX_REPEAT)
        fail(p, begin, HEARTH_ERROR_LIMIT, "more than %d repetitions", EXPRESSION_MAX_REPEAT);
    else if (given[1] && counts[1] < counts[0])
        fail(p, begin, HEARTH_ERROR_ARGUMENT, "{m,n} with m > n");
    *min = (uint32_t)counts[0];
    *max = given[1] ? (uint32_t)counts[1] : comma ? EXPRESSION_NO_LIMIT : *min;
    return true;
}

static struct expression *parse_repeated(struct regex *p) {
    struct expression *x = parse_item(p);
    uint32_t min = 0, max = EXPRESSION_NO_LIMIT;
    size_t at = p->at;
    if (!x || p->status != HEARTH_OK) return NULL;
    if (skip(p, "+"))
        min = 1;
    else if (skip(p, "?"))
        max = 1;
    else if (look(p) == '{') {
        if (!read_counts(p, &min, &max)) return x;
    } else if (!skip(p, "*")) {
        return x;
    }
    skip(p, "?");
    if (look(p) && strchr("*+?", look(p)))
        return fail(p, at, HEARTH_ERROR_ARGUMENT, "a quantifier after a quantifier");
    struct expression *repeat = make(p, EXPRESSION_REPEAT);
    if (!repeat) return NULL;
    repeat->first = x;
    repeat->min = min;
    repeat->max = max;
    return repeat;
}

static struct expression *parse_sequence(struct regex *p) {
    struct expression *list = make(p, EXPRESSION_SEQUENCE);
    if (!list) return NULL;
    struct expression **end = &list->first;
    while (p->at < p->n && look(p) != '|' && look(p) != ')') {
        struct expression *x = parse_repeated(p);
        if (!x) return NULL;
        *end = x;
        end = &x->next;
    }
    return list;
}

static struct expression *parse_choice(struct regex *p) {
    struct expression *list = make(p, EXPRESSION_CHOICE);
    if (!list) return NULL;
    struct expression **end = &list->first;
    do {
        struct expression *x = parse_sequence(p);
        if (!x) return NULL;
        *end = x;
        end = &x->next;
    } while (skip(p, "|"));
    return list;
}

hearth_status regex_parse(struct expression **out, struct arena *arena, const char *text, size_t n,
                          hearth_error *err) {
    struct regex p = {.text = text, .n = n, .arena = arena, .status = HEARTH_OK, .err = err};
    *out = NULL;
    if (n > REGEX_MAX_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "a regular expression of %zu bytes; at most %d are read", n,
                         REGEX_MAX_BYTES);
    struct expression *x = parse_choice(&p);
    if (p.status == HEARTH_OK && p.at < n) fail(&p, p.at, HEARTH_ERROR_ARGUMENT, "')' without '('");
    if (p.status == HEARTH_OK) *out = x;
    return p.status;
}

/* ---- a constraint of its own ---- */

static bool has_anchor(const struct expression *x) {
    for (; x; x = x->next)
        if (x->kind == EXPRESSION_BEGIN || x->kind == EXPRESSION_END || has_anchor(x->first))
            return true;
    return false;
}

/* Anchors need the automaton that knows where the text begins and ends. */
static hearth_status write_anchored(struct grammar *g, const struct expression *x, uint32_t root,
                                    hearth_error *err) {
    struct grammar scratch;
    struct dfa dfa = {0};
    grammar_init(&scratch);
    uint32_t rule = grammar_rule(&scratch);
    if (scratch.state == HEARTH_OK)
        expression_write(x, &scratch, scratch.rules[rule].start, scratch.rules[rule].end,
                         SPELLING_PLAIN, false);
    hearth_status status = dfa_from_rule(&dfa, &scratch, rule, err);
    if (status == HEARTH_OK) dfa_write(&dfa, g, g->rules[root].start, g->rules[root].end);
    dfa_release(&dfa);
    grammar_release(&scratch);
    return status;
}

hearth_status constraint_compile_regex(struct grammar *g, const char *text, hearth_error *err) {
    struct arena arena;
    struct expression *x;
    uint32_t cycle;
    if (!text) return error_set(err, HEARTH_ERROR_ARGUMENT, "the regular expression is missing");
    arena_init(&arena, REGEX_ARENA_BYTES);
    hearth_status status = regex_parse(&x, &arena, text, strlen(text), err);
    uint32_t root = grammar_rule(g);
    if (status == HEARTH_OK && g->state == HEARTH_OK) {
        if (has_anchor(x))
            status = write_anchored(g, x, root, err);
        else
            expression_write(x, g, g->rules[root].start, g->rules[root].end, SPELLING_PLAIN, true);
    }
    arena_release(&arena);
    return status == HEARTH_OK ? grammar_finish(g, root, &cycle, err) : status;
}
