/* template_parse_expression.c - expressions, from the loosest binding to the tightest:
 * conditional, or, and, not, comparison, + -, ~, * / // %, **, unary, postfix, filters
 * and tests. As in Jinja, ** associates to the left and ~ binds tighter than +. */
#include "chat/template_ast.h"

typedef struct node *subparser(struct parser *p);

static struct node *parse_unary(struct parser *p, bool with_filters);
static struct node *parse_primary(struct parser *p);

/* operand (op operand)*: `take` consumes an operator and returns its code, 0 when there
 * is none. A single operand stays itself. */
static struct node *parse_chain(struct parser *p, enum node_kind kind, subparser *operand,
                                uint8_t (*take)(struct parser *p)) {
    size_t offset = p->token.offset;
    struct node *first = operand(p);
    struct node_list items = {0};
    uint8_t op;
    while (first && (op = take(p)) != 0) {
        if (!items.first) parser_append(&items, first);
        struct node *next = operand(p);
        if (!next) return NULL;
        next->op = op;
        parser_append(&items, next);
    }
    if (!first || !items.first) return first;
    struct node *chain = parser_node(p, kind, offset);
    if (chain) chain->as.items = items.first;
    return chain;
}

static uint8_t take_power(struct parser *p) {
    return parser_skip_op(p, OP2('*', '*')) ? 'p' : 0;
}

static uint8_t take_product(struct parser *p) {
    return parser_skip_op(p, OP1('*'))        ? '*'
           : parser_skip_op(p, OP1('/'))      ? '/'
           : parser_skip_op(p, OP2('/', '/')) ? 'f'
           : parser_skip_op(p, OP1('%'))      ? '%'
                                              : 0;
}

static uint8_t take_concat(struct parser *p) {
    return parser_skip_op(p, OP1('~')) ? '~' : 0;
}

static uint8_t take_sum(struct parser *p) {
    return parser_skip_op(p, OP1('+')) ? '+' : parser_skip_op(p, OP1('-')) ? '-' : 0;
}

static bool at_not_in(struct parser *p) {
    if (!parser_at_name(p, "not")) return false;
    const struct token *next = parser_look(p);
    return next->kind == TOKEN_NAME && str_is(&next->text, "in");
}

static uint8_t take_comparison(struct parser *p) {
    static const struct {
        unsigned op;
        uint8_t code;
    } operators[] = {{OP2('=', '='), '='}, {OP2('!', '='), '!'}, {OP1('<'), '<'},
                     {OP1('>'), '>'},      {OP2('<', '='), 'l'}, {OP2('>', '='), 'g'}};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (parser_skip_op(p, operators[i].op)) return operators[i].code;
    if (parser_skip_name(p, "in")) return 'i';
    if (!at_not_in(p)) return 0;
    parser_advance(p);
    parser_advance(p);
    return 'n';
}

static uint8_t take_and(struct parser *p) {
    return parser_skip_name(p, "and") ? '&' : 0;
}

static uint8_t take_or(struct parser *p) {
    return parser_skip_name(p, "or") ? '|' : 0;
}

static struct node *parse_operand(struct parser *p) {
    return parse_unary(p, true);
}

static struct node *parse_power(struct parser *p) {
    return parse_chain(p, NODE_CHAIN, parse_operand, take_power);
}

static struct node *parse_product(struct parser *p) {
    return parse_chain(p, NODE_CHAIN, parse_power, take_product);
}

static struct node *parse_concat(struct parser *p) {
    return parse_chain(p, NODE_CONCAT, parse_product, take_concat);
}

static struct node *parse_sum(struct parser *p) {
    return parse_chain(p, NODE_CHAIN, parse_concat, take_sum);
}

static struct node *parse_comparison(struct parser *p) {
    return parse_chain(p, NODE_COMPARE, parse_sum, take_comparison);
}

static struct node *wrap(struct parser *p, enum node_kind kind, size_t offset, struct node *child) {
    struct node *n = child ? parser_node(p, kind, offset) : NULL;
    if (n) n->as.child = child;
    return n;
}

static struct node *parse_not(struct parser *p) {
    if (!parser_at_name(p, "not")) return parse_comparison(p);
    size_t offset = p->token.offset;
    if (!parser_enter(p)) return NULL;
    parser_advance(p);
    struct node *n = wrap(p, NODE_NOT, offset, parse_not(p));
    p->depth--;
    return n;
}

static struct node *parse_and(struct parser *p) {
    return parse_chain(p, NODE_AND, parse_not, take_and);
}

static struct node *parse_or(struct parser *p) {
    return parse_chain(p, NODE_OR, parse_and, take_or);
}

static struct node *parse_conditional(struct parser *p) {
    size_t offset = p->token.offset;
    struct node *yes = parse_or(p);
    while (yes && parser_skip_name(p, "if")) {
        struct node *n = parser_node(p, NODE_CONDITIONAL, offset);
        struct node *test = parse_or(p);
        if (!n || !test) return NULL;
        n->as.conditional.yes = yes;
        n->as.conditional.test = test;
        if (parser_skip_name(p, "else") && !(n->as.conditional.no = parse_expression(p, true)))
            return NULL;
        yes = n;
    }
    return yes;
}

struct node *parse_expression(struct parser *p, bool with_conditional) {
    if (!parser_enter(p)) return NULL;
    struct node *n = with_conditional ? parse_conditional(p) : parse_or(p);
    p->depth--;
    return p->status == HEARTH_OK ? n : NULL;
}

/* ---- tuples, targets ---- */

static bool at_tuple_end(const struct parser *p, const char *end_name) {
    return p->token.kind == TOKEN_VARIABLE_END || p->token.kind == TOKEN_BLOCK_END ||
           p->token.kind == TOKEN_END || parser_at_op(p, OP1(')')) ||
           (end_name && parser_at_name(p, end_name));
}

struct node *parse_tuple(struct parser *p, bool with_conditional, const char *end_name,
                         bool parenthesised) {
    size_t offset = p->token.offset;
    struct node_list items = {0};
    bool is_tuple = false;
    while (!at_tuple_end(p, end_name)) {
        struct node *item = parse_expression(p, with_conditional);
        if (!item) return NULL;
        parser_append(&items, item);
        if (!parser_skip_op(p, OP1(','))) break;
        is_tuple = true;
    }
    if (!is_tuple && items.first) return items.first;
    if (!is_tuple && !parenthesised) return parser_unexpected(p, "an expression");
    struct node *n = parser_node(p, NODE_TUPLE, offset);
    if (n) n->as.items = items.first;
    return n;
}

static bool is_reserved(const struct str *s) {
    static const char *const words[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_is(s, words[i])) return true;
    return false;
}

static struct node *parse_name(struct parser *p) {
    struct node *n = parser_node(p, NODE_NAME, p->token.offset);
    const struct str *text = parser_text(p, p->token.text);
    if (!n || !text) return NULL;
    n->as.name.text = text;
    n->as.name.number = parser_name(p, text);
    parser_advance(p);
    return n;
}

struct node *parse_name_target(struct parser *p) {
    if (p->token.kind != TOKEN_NAME) return parser_unexpected(p, "a name");
    if (is_reserved(&p->token.text))
        return parser_fail(p, p->token.offset, "cannot assign to '%.*s'", (int)p->token.text.length,
                           p->token.text.data);
    return parse_name(p);
}

static struct node *parse_target_item(struct parser *p, bool with_namespace) {
    if (parser_skip_op(p, OP1('('))) {
        if (!parser_enter(p)) return NULL;
        struct node *inner = parse_target(p, NULL, false);
        p->depth--;
        return inner && parser_expect_op(p, OP1(')')) ? inner : NULL;
    }
    struct node *name = parse_name_target(p);
    if (!name || !with_namespace || !parser_skip_op(p, OP1('.'))) return name;
    if (p->token.kind != TOKEN_NAME) return parser_unexpected(p, "an attribute's name");
    struct node *n = parser_node(p, NODE_NAMESPACE_TARGET, name->offset);
    const struct str *attribute = parser_text(p, p->token.text);
    if (!n || !attribute) return NULL;
    n->as.namespace_target.name = name->as.name.text;
    n->as.namespace_target.number = name->as.name.number;
    n->as.namespace_target.attribute = attribute;
    parser_advance(p);
    return n;
}

struct node *parse_target(struct parser *p, const char *end_name, bool with_namespace) {
    size_t offset = p->token.offset;
    struct node_list items = {0};
    bool is_tuple = false;
    while (!at_tuple_end(p, end_name)) {
        struct node *item = parse_target_item(p, with_namespace);
        if (!item) return NULL;
        parser_append(&items, item);
        if (!parser_skip_op(p, OP1(','))) break;
        is_tuple = true;
    }
    if (!items.first) return parser_unexpected(p, "a name");
    if (!is_tuple) return items.first;
    struct node *n = parser_node(p, NODE_TUPLE, offset);
    if (n) n->as.items = items.first;
    return n;
}

/* ---- literals ---- */

static struct node *constant(struct parser *p, struct value v) {
    struct node *n = parser_node(p, NODE_CONSTANT, p->token.offset);
    if (n) n->as.constant = v;
    parser_advance(p);
    return n;
}

/* Adjacent string literals are one string. */
static struct node *parse_string(struct parser *p) {
    const struct str *text = parser_text(p, p->token.text);
    struct node *n = text ? constant(p, tpl_string_of(text)) : NULL;
    while (n && p->token.kind == TOKEN_STRING) {
        struct str a = *n->as.constant.as.string, b = p->token.text;
        char *joined = arena_alloc(&p->template->arena, a.length + b.length + 1);
        if (!joined) return parser_fail(p, p->token.offset, "no memory for a template");
        memcpy(joined, a.data, a.length);
        memcpy(joined + a.length, b.data, b.length);
        text = parser_text(p, (struct str){joined, a.length + b.length});
        if (!text) return NULL;
        n->as.constant = tpl_string_of(text);
        parser_advance(p);
    }
    return n;
}

static struct node *parse_list(struct parser *p) {
    struct node *n = parser_node(p, NODE_LIST, p->token.offset);
    struct node_list items = {0};
    parser_advance(p);
    while (!parser_at_op(p, OP1(']'))) {
        if (items.first && !parser_expect_op(p, OP1(','))) return NULL;
        if (parser_at_op(p, OP1(']'))) break;
        struct node *item = parse_expression(p, true);
        if (!item) return NULL;
        parser_append(&items, item);
    }
    parser_advance(p);
    if (n) n->as.items = items.first;
    return n;
}

static struct node *parse_dict(struct parser *p) {
    struct node *n = parser_node(p, NODE_DICT, p->token.offset);
    struct node_list items = {0};
    parser_advance(p);
    while (!parser_at_op(p, OP1('}'))) {
        if (items.first && !parser_expect_op(p, OP1(','))) return NULL;
        if (parser_at_op(p, OP1('}'))) break;
        struct node *key = parse_expression(p, true);
        if (!key || !parser_expect_op(p, OP1(':'))) return NULL;
        struct node *value = parse_expression(p, true);
        if (!value) return NULL;
        parser_append(&items, key);
        parser_append(&items, value);
    }
    parser_advance(p);
    if (n) n->as.items = items.first;
    return n;
}

static void note_macro_name(struct parser *p, const struct str *name) {
    for (struct enclosing_macro *m = p->macro; m; m = m->outer) {
        m->varargs |= str_is(name, "varargs");
        m->kwargs |= str_is(name, "kwargs");
        m->caller |= str_is(name, "caller");
    }
}

static struct node *parse_word(struct parser *p) {
    const struct str *s = &p->token.text;
    if (str_is(s, "true") || str_is(s, "True")) return constant(p, tpl_bool(true));
    if (str_is(s, "false") || str_is(s, "False")) return constant(p, tpl_bool(false));
    if (str_is(s, "none") || str_is(s, "None")) return constant(p, tpl_none());
    note_macro_name(p, s);
    return parse_name(p);
}

static struct node *parse_primary(struct parser *p) {
    switch (p->token.kind) {
    case TOKEN_NAME: return parse_word(p);
    case TOKEN_STRING: return parse_string(p);
    case TOKEN_INTEGER: return constant(p, tpl_int(p->token.integer));
    case TOKEN_FLOAT: return constant(p, tpl_float(p->token.real));
    default: break;
    }
    if (parser_at_op(p, OP1('['))) return parse_list(p);
    if (parser_at_op(p, OP1('{'))) return parse_dict(p);
    if (!parser_skip_op(p, OP1('('))) return parser_unexpected(p, "an expression");
    struct node *n = parse_tuple(p, true, NULL, true);
    return n && parser_expect_op(p, OP1(')')) ? n : NULL;
}

/* ---- postfix ---- */

static struct node *parse_argument(struct parser *p, bool *after_positional) {
    size_t offset = p->token.offset;
    if (parser_skip_op(p, OP1('*'))) {
        *after_positional = true;
        return wrap(p, NODE_SPREAD, offset, parse_expression(p, true));
    }
    if (parser_skip_op(p, OP2('*', '*'))) {
        *after_positional = true;
        return wrap(p, NODE_SPREAD_DICT, offset, parse_expression(p, true));
    }
    if (p->token.kind == TOKEN_NAME) {
        const struct token *next = parser_look(p);
        if (next->kind == TOKEN_OPERATOR && next->op == OP1('=')) {
            struct node *n = parser_node(p, NODE_KEYWORD, offset);
            const struct str *name = parser_text(p, p->token.text);
            parser_advance(p);
            parser_advance(p);
            struct node *value = parse_expression(p, true);
            if (!n || !name || !value) return NULL;
            n->as.keyword.name = name;
            n->as.keyword.value = value;
            *after_positional = true;
            return n;
        }
    }
    if (*after_positional)
        return parser_fail(p, offset, "a positional argument follows a keyword argument");
    return parse_expression(p, true);
}

static struct node *parse_arguments(struct parser *p) {
    struct node_list args = {0};
    bool after_positional = false;
    parser_advance(p);
    while (!parser_at_op(p, OP1(')'))) {
        if (args.first && !parser_expect_op(p, OP1(','))) return NULL;
        if (parser_at_op(p, OP1(')'))) break;
        struct node *arg = parse_argument(p, &after_positional);
        if (!arg) return NULL;
        parser_append(&args, arg);
    }
    parser_advance(p);
    return args.first;
}

static struct node *parse_call(struct parser *p, struct node *callee) {
    struct node *n = parser_node(p, NODE_CALL, p->token.offset);
    if (!n) return NULL;
    n->as.call.callee = callee;
    n->as.call.args = parse_arguments(p);
    return n;
}

static struct node *parse_dot(struct parser *p, struct node *object, size_t offset) {
    struct node *n = parser_node(p, NODE_ATTRIBUTE, offset);
    if (!n) return NULL;
    if (p->token.kind == TOKEN_NAME) {
        n->as.attribute.object = object;
        n->as.attribute.name = parser_text(p, p->token.text);
        parser_advance(p);
        return n;
    }
    if (p->token.kind != TOKEN_INTEGER) return parser_unexpected(p, "a name or number");
    n->kind = NODE_ITEM;
    n->as.item.object = object;
    n->as.item.key = constant(p, tpl_int(p->token.integer));
    return n;
}

static bool at_slice_end(const struct parser *p) {
    return parser_at_op(p, OP1(']')) || parser_at_op(p, OP1(',')) || parser_at_op(p, OP1(':'));
}

static struct node *parse_subscript_item(struct parser *p) {
    size_t offset = p->token.offset;
    struct node *bounds[3] = {0};
    if (!parser_at_op(p, OP1(':'))) {
        bounds[0] = parse_expression(p, true);
        if (!bounds[0] || !parser_at_op(p, OP1(':'))) return bounds[0];
    }
    for (size_t i = 1; i < 3 && parser_skip_op(p, OP1(':')); i++)
        if (!at_slice_end(p) && !(bounds[i] = parse_expression(p, true))) return NULL;
    struct node *n = parser_node(p, NODE_SLICE, offset);
    if (n) memcpy(n->as.slice.bounds, bounds, sizeof bounds);
    return n;
}

static struct node *parse_subscript(struct parser *p, struct node *object, size_t offset) {
    struct node_list keys = {0};
    while (!parser_at_op(p, OP1(']'))) {
        if (keys.first && !parser_expect_op(p, OP1(','))) return NULL;
        struct node *key = parse_subscript_item(p);
        if (!key) return NULL;
        parser_append(&keys, key);
    }
    parser_advance(p);
    struct node *n = parser_node(p, NODE_ITEM, offset), *key = keys.first;
    if (!n) return NULL;
    if (!key || key->next) {
        if (!(key = parser_node(p, NODE_TUPLE, offset))) return NULL;
        key->as.items = keys.first;
    }
    n->as.item.object = object;
    n->as.item.key = key;
    return n;
}

static struct node *parse_postfix(struct parser *p, struct node *n) {
    while (n) {
        size_t offset = p->token.offset;
        if (parser_skip_op(p, OP1('.')))
            n = parse_dot(p, n, offset);
        else if (parser_skip_op(p, OP1('[')))
            n = parse_subscript(p, n, offset);
        else if (parser_at_op(p, OP1('(')))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

struct node *parse_filters(struct parser *p, struct node *input, bool inline_first) {
    struct node *n = input;
    while (parser_at_op(p, OP1('|')) || inline_first) {
        if (!inline_first) parser_advance(p);
        inline_first = false;
        if (p->token.kind != TOKEN_NAME) return parser_unexpected(p, "a filter's name");
        struct node *filter = parser_node(p, NODE_FILTER, p->token.offset);
        const struct str *name = parser_text(p, p->token.text);
        if (!filter || !name) return NULL;
        filter->as.apply.input = n;
        filter->as.apply.name = name;
        filter->as.apply.native = tpl_find_filter(name);
        parser_advance(p);
        if (parser_at_op(p, OP1('('))) filter->as.apply.args = parse_arguments(p);
        n = filter;
    }
    return n;
}

static bool at_test_argument(const struct parser *p) {
    switch (p->token.kind) {
    case TOKEN_STRING:
    case TOKEN_INTEGER:
    case TOKEN_FLOAT: return true;
    case TOKEN_NAME:
        return !parser_at_name(p, "else") && !parser_at_name(p, "or") &&
               !parser_at_name(p, "and") && !parser_at_name(p, "if");
    default: return parser_at_op(p, OP1('[')) || parser_at_op(p, OP1('{'));
    }
}

static struct node *parse_test(struct parser *p, struct node *input) {
    size_t offset = p->token.offset;
    parser_advance(p);
    bool negated = parser_skip_name(p, "not");
    if (p->token.kind != TOKEN_NAME) return parser_unexpected(p, "a test's name");
    struct node *n = parser_node(p, NODE_TEST, offset);
    const struct str *name = parser_text(p, p->token.text);
    if (!n || !name) return NULL;
    n->as.apply.input = input;
    n->as.apply.name = name;
    n->as.apply.native = tpl_find_test(name);
    parser_advance(p);
    if (parser_at_op(p, OP1('('))) {
        n->as.apply.args = parse_arguments(p);
    } else if (at_test_argument(p)) {
        if (parser_at_name(p, "is")) return parser_fail(p, offset, "tests cannot be chained");
        n->as.apply.args = parse_postfix(p, parse_primary(p));
        if (!n->as.apply.args) return NULL;
    }
    return negated ? wrap(p, NODE_NOT, offset, n) : n;
}

static struct node *parse_unary(struct parser *p, bool with_filters) {
    size_t offset = p->token.offset;
    struct node *n;
    if (!parser_enter(p)) return NULL;
    if (parser_skip_op(p, OP1('-')))
        n = wrap(p, NODE_NEGATE, offset, parse_unary(p, false));
    else if (parser_skip_op(p, OP1('+')))
        n = wrap(p, NODE_POSITIVE, offset, parse_unary(p, false));
    else
        n = parse_primary(p);
    n = parse_postfix(p, n);
    while (n && with_filters) {
        if (parser_at_op(p, OP1('|')))
            n = parse_filters(p, n, false);
        else if (parser_at_name(p, "is"))
            n = parse_test(p, n);
        else if (parser_at_op(p, OP1('(')))
            n = parse_call(p, n);
        else
            break;
    }
    p->depth--;
    return p->status == HEARTH_OK ? n : NULL;
}
