/* template_ast.h - the tree a template is compiled to, and the lexer that feeds it.
 *
 * Nodes live in the template's arena. A list of nodes is linked through `next`. Chains of
 * equal precedence (a + b - c, a ~ b, a and b) are flat lists, so that a long chain is
 * not a deep tree. Positions are byte offsets into the normalised source; line and column
 * are counted only when a message needs them. */
#ifndef HEARTH_CHAT_TEMPLATE_AST_H
#define HEARTH_CHAT_TEMPLATE_AST_H

#include "chat/template_value.h"

enum token_kind {
    TOKEN_END,
    TOKEN_DATA,
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_OPERATOR
};

/* Operators by their text: one or two characters in an integer. */
#define OP1(a) ((unsigned)(a))
#define OP2(a, b) ((unsigned)(a) | (unsigned)(b) << 8)

struct token {
    enum token_kind kind;
    unsigned op;
    uint32_t offset;
    struct str text; /* data (after stripping), name, string (unescaped) */
    int64_t integer;
    double real;
};

enum { LEXER_BRACKETS_MAX = 2 * TEMPLATE_NESTING_MAX };

struct lexer {
    const char *source;
    size_t length, position;
    enum { LEX_DATA, LEX_VARIABLE, LEX_BLOCK } state;
    enum token_kind pending; /* begin token that follows the data just returned, or END */
    uint32_t pending_offset;
    bool line_starting; /* the match before ended with a newline */
    bool raw;           /* inside {% raw %} */
    char brackets[LEXER_BRACKETS_MAX];
    size_t n_brackets;
    struct arena *arena;
    hearth_error *err;
};

void lexer_init(struct lexer *lexer, const char *source, size_t length, struct arena *arena,
                hearth_error *err);
hearth_status lexer_next(struct lexer *lexer, struct token *token);
void source_position(const char *source, size_t offset, unsigned *line, unsigned *column);
/* "template line L column C: ..." */
hearth_status source_error(const char *source, size_t offset, hearth_error *err, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));

enum node_kind {
    /* expressions */
    NODE_CONSTANT,
    NODE_NAME,
    NODE_LIST,
    NODE_TUPLE,
    NODE_DICT,  /* items: key, value, key, value, … */
    NODE_CHAIN, /* items joined by the binary operator in each item's link */
    NODE_CONCAT,
    NODE_AND,
    NODE_OR,
    NODE_COMPARE, /* items as in a chain */
    NODE_NOT,
    NODE_NEGATE,
    NODE_POSITIVE,
    NODE_CONDITIONAL, /* a if b else c */
    NODE_ATTRIBUTE,
    NODE_ITEM,
    NODE_SLICE,
    NODE_CALL,
    NODE_FILTER,
    NODE_TEST,
    NODE_KEYWORD,     /* name = value in a call */
    NODE_SPREAD,      /* *value */
    NODE_SPREAD_DICT, /* **value */
    NODE_NAMESPACE_TARGET,
    /* statements */
    NODE_TEXT,
    NODE_OUTPUT,
    NODE_IF,
    NODE_FOR,
    NODE_SET,
    NODE_SET_BLOCK,
    NODE_WITH,
    NODE_MACRO,
    NODE_CALL_BLOCK,
    NODE_FILTER_BLOCK,
    NODE_SCOPE, /* generation, block */
    NODE_DO,
    NODE_BREAK,
    NODE_CONTINUE
};

struct node {
    uint8_t kind;
    uint8_t op; /* how this item joins its chain: + - * / f(loor) % p(ower);
                   compare: = ! < > l(e) g(e) i(n) n(ot in) */
    uint32_t offset;
    struct node *next;
    union {
        struct value constant; /* constant, text */
        struct {
            const struct str *text;
            uint32_t number;
        } name;
        struct node *items; /* list, tuple, dict, chains */
        struct node *child; /* not, negate, output, spread, break … */
        struct {
            struct node *test, *yes, *no;
        } conditional; /* also if: bodies; `no` may start with another if */
        struct {
            struct node *object;
            const struct str *name;
        } attribute;
        struct {
            struct node *object, *key;
        } item;
        struct {
            struct node *bounds[3];
        } slice;
        struct {
            struct node *callee, *args;
        } call;
        struct {
            struct node *input, *args; /* input NULL: the block's text */
            const struct native *native;
            const struct str *name;
        } apply; /* filter, test */
        struct {
            const struct str *name;
            struct node *value;
        } keyword;
        struct {
            const struct str *name, *attribute;
            uint32_t number;
        } namespace_target;
        struct {
            struct node *target, *iterable, *test, *body, *otherwise;
            bool recursive;
        } loop;
        struct {
            struct node *target, *value, *body; /* value: expression or filter over the body */
        } set;                                  /* also with (targets, values), filter block */
        struct {
            const struct str *name;
            struct node *parameters, *defaults; /* defaults belong to the last parameters */
            struct node *body, *call;           /* call: of a call block */
            uint32_t number, n_parameters, n_defaults;
            bool takes_varargs, takes_kwargs, takes_caller;
        } macro;
    } as;
};

struct chat_template {
    struct arena arena;
    const char *source;
    size_t length;
    struct node *body;
    const struct str **names; /* by number */
    size_t n_names;
    uint32_t loop_name, caller_name, varargs_name, kwargs_name;
};

/* ---- the parser (template_parser.c, template_parse_expression.c) ---- */

struct enclosing_macro {
    struct enclosing_macro *outer;
    bool varargs, kwargs, caller;
};

struct parser {
    struct chat_template *template;
    struct lexer lexer;
    struct token token, ahead; /* current, and the one after when has_ahead */
    bool has_ahead;
    hearth_status status; /* sticky */
    hearth_error *err;
    unsigned depth, n_loops;
    struct enclosing_macro *macro;
    size_t names_capacity;
};

/* A list of nodes being built. */
struct node_list {
    struct node *first, **end;
};

struct node *parser_fail(struct parser *p, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void parser_advance(struct parser *p);
const struct token *parser_look(struct parser *p); /* the token after the current one */
bool parser_at_op(const struct parser *p, unsigned op);
bool parser_at_name(const struct parser *p, const char *name);
bool parser_skip_op(struct parser *p, unsigned op);
bool parser_skip_name(struct parser *p, const char *name);
bool parser_expect_op(struct parser *p, unsigned op);
bool parser_expect_kind(struct parser *p, enum token_kind kind, const char *what);
struct node *parser_unexpected(struct parser *p, const char *expected);
bool parser_enter(struct parser *p);
void parser_append(struct node_list *list, struct node *n);
struct node *parser_node(struct parser *p, enum node_kind kind, size_t offset);
const struct str *parser_text(struct parser *p, struct str text);
uint32_t parser_name(struct parser *p, const struct str *text);

struct node *parse_expression(struct parser *p, bool with_conditional);
struct node *parse_tuple(struct parser *p, bool with_conditional, const char *end_name,
                         bool parenthesised);
struct node *parse_filters(struct parser *p, struct node *input, bool inline_first);
struct node *parse_target(struct parser *p, const char *end_name, bool with_namespace);
struct node *parse_name_target(struct parser *p);

#endif
