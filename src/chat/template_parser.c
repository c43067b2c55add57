/* template_parser.c - statements; also compiles, closes and names.
 *
 * The parser is a recursive descent over the grammar of Jinja. Its first failure sticks
 * and turns the current token into TOKEN_END, which ends every loop; functions then
 * return NULL. Nesting is limited by TEMPLATE_NESTING_MAX. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "chat/template_ast.h"
#include "chat/template_unicode.h"

enum { TEMPLATE_TREE_MAX_BYTES = 512 << 20, TEMPLATE_NAMES_MAX = 100000 };

/* ---- tokens ---- */

static void parser_stop(struct parser *p, hearth_status status) {
    if (p->status == HEARTH_OK) p->status = status;
    p->token.kind = TOKEN_END;
    p->has_ahead = false;
}

struct node *parser_fail(struct parser *p, size_t offset, const char *format, ...) {
    if (p->status != HEARTH_OK) return NULL;
    char message[HEARTH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    parser_stop(p, source_error(p->template->source, offset, p->err, "%s", message));
    return NULL;
}

static void read_token(struct parser *p, struct token *token) {
    hearth_status status = lexer_next(&p->lexer, token);
    if (status != HEARTH_OK) parser_stop(p, status);
}

void parser_advance(struct parser *p) {
    if (p->status != HEARTH_OK) return;
    if (p->has_ahead)
        p->token = p->ahead;
    else
        read_token(p, &p->token);
    p->has_ahead = false;
}

const struct token *parser_look(struct parser *p) {
    if (!p->has_ahead && p->status == HEARTH_OK) {
        read_token(p, &p->ahead);
        p->has_ahead = p->status == HEARTH_OK;
    }
    if (!p->has_ahead) p->ahead = p->token;
    return &p->ahead;
}

bool parser_at_op(const struct parser *p, unsigned op) {
    return p->token.kind == TOKEN_OPERATOR && p->token.op == op;
}

bool parser_at_name(const struct parser *p, const char *name) {
    return p->token.kind == TOKEN_NAME && str_is(&p->token.text, name);
}

bool parser_skip_op(struct parser *p, unsigned op) {
    if (!parser_at_op(p, op)) return false;
    parser_advance(p);
    return true;
}

bool parser_skip_name(struct parser *p, const char *name) {
    if (!parser_at_name(p, name)) return false;
    parser_advance(p);
    return true;
}

struct node *parser_unexpected(struct parser *p, const char *expected) {
    const struct token *t = &p->token;
    struct str s = t->text;
    int shown = (int)text_offset(&s, 40);
    switch (t->kind) {
    case TOKEN_NAME:
        return parser_fail(p, t->offset, "expected %s, found '%.*s'", expected, shown, s.data);
    case TOKEN_STRING: return parser_fail(p, t->offset, "expected %s, found a string", expected);
    case TOKEN_INTEGER:
    case TOKEN_FLOAT: return parser_fail(p, t->offset, "expected %s, found a number", expected);
    case TOKEN_OPERATOR:
        return parser_fail(p, t->offset, "expected %s, found '%c%.1s'", expected,
                           (char)(t->op & 0xff), (char[2]){(char)(t->op >> 8), 0});
    case TOKEN_VARIABLE_END: return parser_fail(p, t->offset, "expected %s, found '}}'", expected);
    case TOKEN_BLOCK_END: return parser_fail(p, t->offset, "expected %s, found '%%}'", expected);
    default: return parser_fail(p, t->offset, "expected %s, found the template's end", expected);
    }
}

bool parser_expect_op(struct parser *p, unsigned op) {
    if (parser_skip_op(p, op)) return true;
    char expected[8];
    snprintf(expected, sizeof expected, "'%c%.1s'", (char)(op & 0xff),
             (char[2]){(char)(op >> 8), 0});
    parser_unexpected(p, expected);
    return false;
}

bool parser_expect_kind(struct parser *p, enum token_kind kind, const char *what) {
    if (p->token.kind == kind && p->status == HEARTH_OK) {
        parser_advance(p);
        return p->status == HEARTH_OK;
    }
    parser_unexpected(p, what);
    return false;
}

bool parser_enter(struct parser *p) {
    if (p->status != HEARTH_OK) return false;
    if (p->depth == TEMPLATE_NESTING_MAX) {
        parser_fail(p, p->token.offset, "nested deeper than %d levels", TEMPLATE_NESTING_MAX);
        p->status = HEARTH_ERROR_LIMIT;
        if (p->err) p->err->code = HEARTH_ERROR_LIMIT;
        return false;
    }
    p->depth++;
    return true;
}

/* ---- nodes and names ---- */

static void *parser_alloc(struct parser *p, size_t count, size_t size_bytes) {
    void *memory = arena_calloc(&p->template->arena, count, size_bytes);
    if (!memory && p->status == HEARTH_OK)
        parser_stop(p, error_set(p->err, HEARTH_ERROR_NO_MEMORY, "no memory for a template"));
    return memory;
}

struct node *parser_node(struct parser *p, enum node_kind kind, size_t offset) {
    if (p->status != HEARTH_OK) return NULL;
    struct node *n = parser_alloc(p, 1, sizeof *n);
    if (!n) return NULL;
    n->kind = (uint8_t)kind;
    n->offset = (uint32_t)offset;
    return n;
}

const struct str *parser_text(struct parser *p, struct str text) {
    struct str *copy = parser_alloc(p, 1, sizeof *copy);
    if (copy) *copy = text;
    return copy;
}

uint32_t parser_name(struct parser *p, const struct str *text) {
    struct chat_template *t = p->template;
    if (!text) return 0;
    for (size_t i = 0; i < t->n_names; i++)
        if (t->names[i]->length == text->length &&
            memcmp(t->names[i]->data, text->data, text->length) == 0)
            return (uint32_t)i;
    if (t->n_names == TEMPLATE_NAMES_MAX) {
        parser_fail(p, p->token.offset, "more than %d different names", TEMPLATE_NAMES_MAX);
        return 0;
    }
    if (t->n_names == p->names_capacity) {
        size_t capacity = p->names_capacity ? 2 * p->names_capacity : 64;
        const struct str **grown = parser_alloc(p, capacity, sizeof *grown);
        if (!grown) return 0;
        if (t->n_names) memcpy(grown, t->names, t->n_names * sizeof *grown);
        t->names = grown;
        p->names_capacity = capacity;
    }
    t->names[t->n_names] = text;
    return (uint32_t)t->n_names++;
}

void parser_append(struct node_list *list, struct node *n) {
    if (!n) return;
    if (!list->end) list->end = &list->first;
    *list->end = n;
    list->end = &n->next;
}

/* ---- statements ---- */

static struct node *parse_body(struct parser *p, const char *const *ends, size_t start);

/* The rest of a block tag, then statements up to one of `ends`, which becomes current. */
static struct node *parse_block_body(struct parser *p, const char *const *ends) {
    size_t start = p->token.offset;
    parser_skip_op(p, OP1(':'));
    if (!parser_expect_kind(p, TOKEN_BLOCK_END, "'%}'")) return NULL;
    return parse_body(p, ends, start);
}

static struct node *parse_closed_body(struct parser *p, const char *end) {
    struct node *body = parse_block_body(p, (const char *const[]){end, NULL});
    parser_advance(p);
    return body;
}

static struct node *parse_for(struct parser *p) {
    static const char *const ends[] = {"endfor", "else", NULL};
    struct node *n = parser_node(p, NODE_FOR, p->token.offset);
    parser_advance(p);
    struct node *target = parse_target(p, "in", false);
    if (!target || !n) return NULL;
    if (!parser_skip_name(p, "in")) return parser_unexpected(p, "'in'");
    n->as.loop.target = target;
    n->as.loop.iterable = parse_tuple(p, false, "recursive", false);
    if (parser_skip_name(p, "if")) n->as.loop.test = parse_expression(p, true);
    n->as.loop.recursive = parser_skip_name(p, "recursive");
    p->n_loops++;
    n->as.loop.body = parse_block_body(p, ends);
    p->n_loops--;
    bool has_else = parser_at_name(p, "else");
    parser_advance(p);
    if (has_else) n->as.loop.otherwise = parse_closed_body(p, "endfor");
    return n;
}

static struct node *parse_if(struct parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct node *first = NULL, **link = &first;
    for (bool more = true; more;) {
        struct node *n = parser_node(p, NODE_IF, p->token.offset);
        if (!n) return NULL;
        *link = n;
        link = &n->as.conditional.no;
        parser_advance(p);
        n->as.conditional.test = parse_tuple(p, false, NULL, false);
        n->as.conditional.yes = parse_block_body(p, ends);
        more = parser_at_name(p, "elif");
    }
    bool has_else = parser_at_name(p, "else");
    parser_advance(p);
    if (has_else) *link = parse_closed_body(p, "endif");
    return first;
}

static struct node *parse_set(struct parser *p) {
    struct node *n = parser_node(p, NODE_SET, p->token.offset);
    parser_advance(p);
    struct node *target = parse_target(p, NULL, true);
    if (!n || !target) return NULL;
    n->as.set.target = target;
    if (parser_skip_op(p, OP1('='))) {
        n->as.set.value = parse_tuple(p, true, NULL, false);
        return n;
    }
    n->kind = NODE_SET_BLOCK;
    n->as.set.value = parse_filters(p, NULL, false);
    n->as.set.body = parse_closed_body(p, "endset");
    return n;
}

static struct node *parse_with(struct parser *p) {
    struct node *n = parser_node(p, NODE_WITH, p->token.offset);
    struct node_list targets = {0}, values = {0};
    parser_advance(p);
    while (p->token.kind != TOKEN_BLOCK_END && p->token.kind != TOKEN_END) {
        if (targets.first && !parser_expect_op(p, OP1(','))) return NULL;
        parser_append(&targets, parse_target(p, NULL, false));
        if (!parser_expect_op(p, OP1('='))) return NULL;
        parser_append(&values, parse_expression(p, true));
    }
    if (!n) return NULL;
    n->as.set.target = targets.first;
    n->as.set.value = values.first;
    n->as.set.body = parse_closed_body(p, "endwith");
    return n;
}

static void parse_signature(struct parser *p, struct node *n) {
    struct node_list parameters = {0}, defaults = {0};
    if (!n || !parser_expect_op(p, OP1('('))) return;
    while (!parser_at_op(p, OP1(')')) && p->token.kind != TOKEN_END) {
        if (parameters.first && !parser_expect_op(p, OP1(','))) return;
        struct node *name = parse_name_target(p);
        if (!name) return;
        parser_append(&parameters, name);
        n->as.macro.n_parameters++;
        if (parser_skip_op(p, OP1('='))) {
            parser_append(&defaults, parse_expression(p, true));
            n->as.macro.n_defaults++;
        } else if (defaults.first) {
            parser_fail(p, name->offset, "a parameter without default follows one with default");
        }
    }
    parser_expect_op(p, OP1(')'));
    n->as.macro.parameters = parameters.first;
    n->as.macro.defaults = defaults.first;
}

static void parse_macro_body(struct parser *p, struct node *n, const char *end) {
    if (!n) return;
    struct enclosing_macro macro = {.outer = p->macro};
    unsigned n_loops = p->n_loops;
    p->macro = &macro;
    p->n_loops = 0;
    n->as.macro.body = parse_closed_body(p, end);
    p->n_loops = n_loops;
    p->macro = macro.outer;
    n->as.macro.takes_varargs = macro.varargs;
    n->as.macro.takes_kwargs = macro.kwargs;
    n->as.macro.takes_caller = macro.caller;
}

static struct node *parse_macro(struct parser *p) {
    struct node *n = parser_node(p, NODE_MACRO, p->token.offset);
    parser_advance(p);
    struct node *name = parse_name_target(p);
    if (!name || !n) return NULL;
    n->as.macro.name = name->as.name.text;
    n->as.macro.number = name->as.name.number;
    parse_signature(p, n);
    parse_macro_body(p, n, "endmacro");
    return n;
}

static struct node *parse_call_block(struct parser *p) {
    struct node *n = parser_node(p, NODE_CALL_BLOCK, p->token.offset);
    parser_advance(p);
    if (parser_at_op(p, OP1('('))) parse_signature(p, n);
    size_t offset = p->token.offset;
    struct node *call = parse_expression(p, true);
    if (!call || !n) return NULL;
    if (call->kind != NODE_CALL) return parser_fail(p, offset, "expected a call");
    n->as.macro.call = call;
    parse_macro_body(p, n, "endcall");
    return n;
}

static struct node *parse_filter_block(struct parser *p) {
    struct node *n = parser_node(p, NODE_FILTER_BLOCK, p->token.offset);
    parser_advance(p);
    if (!n) return NULL;
    n->as.set.value = parse_filters(p, NULL, true);
    n->as.set.body = parse_closed_body(p, "endfilter");
    return n;
}

static struct node *parse_generation(struct parser *p) {
    struct node *n = parser_node(p, NODE_SCOPE, p->token.offset);
    parser_advance(p);
    if (n) n->as.child = parse_closed_body(p, "endgeneration");
    return n;
}

static struct node *parse_named_block(struct parser *p) {
    struct node *n = parser_node(p, NODE_SCOPE, p->token.offset);
    parser_advance(p);
    struct node *name = parse_name_target(p);
    if (!n || !name) return NULL;
    parser_skip_name(p, "scoped");
    parser_skip_name(p, "required");
    n->as.child = parse_closed_body(p, "endblock");
    if (p->token.kind == TOKEN_NAME) parser_advance(p);
    return n;
}

/* Printing several values is printing their concatenation. */
static struct node *parse_print(struct parser *p) {
    struct node *n = parser_node(p, NODE_OUTPUT, p->token.offset);
    struct node *concat = parser_node(p, NODE_CONCAT, p->token.offset);
    struct node_list items = {0};
    parser_advance(p);
    while (p->token.kind != TOKEN_BLOCK_END && p->token.kind != TOKEN_END) {
        if (items.first && !parser_expect_op(p, OP1(','))) return NULL;
        parser_append(&items, parse_expression(p, true));
    }
    if (!n || !concat) return NULL;
    concat->as.items = items.first;
    n->as.child = concat;
    return n;
}

static struct node *parse_do(struct parser *p) {
    struct node *n = parser_node(p, NODE_DO, p->token.offset);
    parser_advance(p);
    if (n) n->as.child = parse_tuple(p, true, NULL, false);
    return n;
}

static struct node *parse_jump(struct parser *p) {
    bool is_break = parser_at_name(p, "break");
    if (p->n_loops == 0)
        return parser_fail(p, p->token.offset, "'%s' outside of a loop",
                           is_break ? "break" : "continue");
    struct node *n = parser_node(p, is_break ? NODE_BREAK : NODE_CONTINUE, p->token.offset);
    parser_advance(p);
    return n;
}

static struct node *parse_refused(struct parser *p) {
    struct str name = p->token.text;
    parser_fail(p, p->token.offset,
                "'%.*s' is not supported: a chat template is one text and reaches no other",
                (int)name.length, name.data);
    p->status = HEARTH_ERROR_UNSUPPORTED;
    if (p->err) p->err->code = HEARTH_ERROR_UNSUPPORTED;
    return NULL;
}

static const struct {
    const char *name;
    struct node *(*parse)(struct parser *p);
} statements[] = {
    {"if", parse_if},
    {"for", parse_for},
    {"set", parse_set},
    {"macro", parse_macro},
    {"generation", parse_generation},
    {"break", parse_jump},
    {"continue", parse_jump},
    {"call", parse_call_block},
    {"filter", parse_filter_block},
    {"with", parse_with},
    {"block", parse_named_block},
    {"print", parse_print},
    {"do", parse_do},
    {"include", parse_refused},
    {"import", parse_refused},
    {"from", parse_refused},
    {"extends", parse_refused},
    {"autoescape", parse_refused},
};

static struct node *parse_statement(struct parser *p) {
    if (p->token.kind != TOKEN_NAME) return parser_unexpected(p, "a tag's name");
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (str_is(&p->token.text, statements[i].name)) return statements[i].parse(p);
    return parser_fail(p, p->token.offset, "unknown tag '%.*s'",
                       (int)text_offset(&p->token.text, 40), p->token.text.data);
}

static bool at_end_tag(const struct parser *p, const char *const *ends) {
    for (; ends && *ends; ends++)
        if (parser_at_name(p, *ends)) return true;
    return false;
}

static struct node *parse_text(struct parser *p) {
    struct node *n = parser_node(p, NODE_TEXT, p->token.offset);
    const struct str *text = parser_text(p, p->token.text);
    if (n && text) n->as.constant = tpl_string_of(text);
    parser_advance(p);
    return n;
}

static struct node *parse_output(struct parser *p) {
    struct node *n = parser_node(p, NODE_OUTPUT, p->token.offset);
    parser_advance(p);
    struct node *value = parse_tuple(p, true, NULL, false);
    if (!n || !value || !parser_expect_kind(p, TOKEN_VARIABLE_END, "'}}'")) return NULL;
    n->as.child = value;
    return n;
}

static struct node *parse_body(struct parser *p, const char *const *ends, size_t start) {
    struct node_list body = {0};
    if (!parser_enter(p)) return NULL;
    while (p->status == HEARTH_OK && p->token.kind != TOKEN_END) {
        if (p->token.kind == TOKEN_DATA) {
            parser_append(&body, parse_text(p));
        } else if (p->token.kind == TOKEN_VARIABLE_BEGIN) {
            parser_append(&body, parse_output(p));
        } else {
            parser_advance(p);
            if (at_end_tag(p, ends)) {
                p->depth--;
                return body.first;
            }
            parser_append(&body, parse_statement(p));
            parser_expect_kind(p, TOKEN_BLOCK_END, "'%}'");
        }
    }
    p->depth--;
    if (ends && p->status == HEARTH_OK) {
        unsigned line, column;
        source_position(p->template->source, start, &line, &column);
        parser_fail(p, p->token.offset, "template ends inside the block of line %u: expected '%s'",
                    line, ends[0]);
    }
    return body.first;
}

/* ---- compiling ---- */

/* Line ends become \n and one at the very end is dropped, as Jinja does. */
static char *normalise(struct arena *arena, const char *source, size_t n, size_t *length) {
    char *text = arena_alloc(arena, n + 1);
    if (!text) return NULL;
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        text[out++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (out > 0 && text[out - 1] == '\n') out--;
    text[out] = '\0';
    *length = out;
    return text;
}

static uint32_t reserved_name(struct parser *p, const char *name) {
    return parser_name(p, parser_text(p, (struct str){name, strlen(name)}));
}

static hearth_status compile(struct chat_template *t, hearth_error *err) {
    struct parser p = {.template = t, .err = err};
    t->loop_name = reserved_name(&p, "loop");
    t->caller_name = reserved_name(&p, "caller");
    t->varargs_name = reserved_name(&p, "varargs");
    t->kwargs_name = reserved_name(&p, "kwargs");
    lexer_init(&p.lexer, t->source, t->length, &t->arena, err);
    parser_advance(&p);
    t->body = parse_body(&p, NULL, 0);
    return p.status;
}

hearth_status chat_template_open(struct chat_template **t, const char *source, size_t n,
                                 hearth_error *err) {
    *t = NULL;
    size_t bad;
    if (n > TEMPLATE_SOURCE_MAX_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "template has %zu bytes, at most %d are allowed",
                         n, TEMPLATE_SOURCE_MAX_BYTES);
    if (!text_is_valid(source, n, &bad))
        return error_set(err, HEARTH_ERROR_FORMAT, "template is not UTF-8: bad byte at %zu", bad);
    struct chat_template *made = mem_calloc(1, sizeof *made);
    if (!made) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a template");
    arena_init(&made->arena, TEMPLATE_TREE_MAX_BYTES);
    made->source = normalise(&made->arena, source, n, &made->length);
    hearth_status status = made->source
                               ? compile(made, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a template");
    if (status != HEARTH_OK) {
        chat_template_close(made);
        return status;
    }
    *t = made;
    return HEARTH_OK;
}

void chat_template_close(struct chat_template *t) {
    if (!t) return;
    arena_release(&t->arena);
    mem_free(t);
}
