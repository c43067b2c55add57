/* template_value.h - the values a template computes with, and the state of one rendering.
 *
 * A value is 16 bytes; what it points to lives in the rendering's arena (or, for
 * constants, in the template's) until the rendering ends, so nothing is counted or freed.
 * Strings are UTF-8 with a length; substrings share their bytes.
 *
 * Failure is sticky: the first tpl_fail records the error and sets `failed`; every
 * function then returns quickly with a harmless value, and loops look at `failed`.
 *
 * Everything recursive calls tpl_enter / tpl_leave, everything that repeats calls
 * tpl_charge, so that time and stack are bounded whatever the template does. */
#ifndef HEARTH_CHAT_TEMPLATE_VALUE_H
#define HEARTH_CHAT_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "chat/template.h"

struct str {
    const char *data;
    size_t length;
};

enum value_kind {
    V_ABSENT, /* an argument that was not passed; never seen by a template */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_RANGE,
    V_ITERATOR,
    V_NAMESPACE,
    V_MACRO,
    V_NATIVE,
    V_LOOP,
    V_CYCLER,
    V_JOINER
};

/* Why a value is undefined; together with name and owner it makes the message. */
enum undefined_reason {
    UNDEFINED_NAME,      /* no variable of that name */
    UNDEFINED_ATTRIBUTE, /* `aux` is the kind of the owner */
    UNDEFINED_ELEMENT,   /* `key` was not found in an owner of kind `aux` */
    UNDEFINED_PARAMETER, /* a macro's parameter that was not passed */
    UNDEFINED_HINT       /* `string` is the whole message */
};

enum list_view { VIEW_NONE, VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS, VIEW_GROUP }; /* what made it */

struct value {
    uint8_t kind;
    uint8_t flag;    /* string: is markup; list, tuple: enum list_view */
    uint16_t reason; /* undefined: enum undefined_reason */
    uint32_t aux;    /* undefined: the owner's kind */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const struct str *string;
        struct list *list; /* list, tuple */
        struct dict *dict; /* dict, namespace */
        struct range *range;
        struct iterator *iterator;
        struct macro *macro;
        struct bound *bound; /* native function, with the object of a method */
        struct loop *loop;
        struct cycler *cycler;
        struct joiner *joiner;
        struct value *key; /* undefined element */
    } as;
};

struct list {
    struct value *items;
    size_t count, capacity;
};

struct dict_entry {
    struct value key, value;
    uint64_t hash;
};

/* Insertion-ordered; `slots` (1 + entry number, 0 free) exists once it pays. */
struct dict {
    struct dict_entry *entries;
    size_t count, capacity;
    uint32_t *slots;
    size_t n_slots;
};

struct range {
    int64_t start, step, count, stop;
};

struct cycler {
    struct list *items;
    size_t position;
};

struct joiner {
    struct value separator;
    bool used;
};

struct keyword {
    const struct str *name;
    struct value value;
};

struct args {
    struct value *positional;
    size_t n_positional;
    struct keyword *keywords;
    size_t n_keywords;
};

enum { NATIVE_PARAMETERS_MAX = 6 };

struct render;

/* A filter, test, method or global function. `self` is what is filtered, tested or owns
 * the method; `a` holds the arguments in the order of `parameters`, V_ABSENT where not
 * passed. */
typedef struct value native_function(struct render *r, struct value self, const struct value *a,
                                     const struct args *args);

struct native {
    const char *name;
    native_function *call;
    const char *parameters; /* "sep,maxsplit"; NULL: takes `args` as they come */
    unsigned required;
};

struct bound {
    const struct native *native;
    struct value self;
};

struct binding {
    uint32_t name;
    struct value value;
};

struct scope {
    struct scope *parent;
    struct binding *bindings;
    uint32_t count, capacity;
    bool captured; /* a macro refers to it: it must not be reused */
};

struct macro {
    const struct node *node; /* macro or call block */
    struct scope *scope;
};

struct render {
    const struct chat_template *template;
    time_t now;
    struct template_limits limits;
    struct arena arena;
    struct buf text; /* the output so far and, above it, texts being captured */
    char *tail;      /* end of the newest concatenation, which may grow in place */
    size_t tail_room;
    uint64_t steps;
    unsigned depth, calls;
    struct scope *scope;
    struct value *globals;   /* by name number: context, then built-in functions */
    struct value block_text; /* what the filters of a filter or set block start with */
    uint32_t offset;         /* where in the source, for messages */
    bool failed;
    hearth_status status;
    hearth_error *err;
};

/* ---- failure and limits (template_render.c) ---- */

struct value tpl_fail(struct render *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct value tpl_fail_limit(struct render *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct value tpl_refuse(struct render *r, struct value message);    /* raise_exception */
void *tpl_alloc(struct render *r, size_t count, size_t size_bytes); /* zeroed; NULL: failed */
bool tpl_charge(struct render *r, uint64_t steps);
bool tpl_enter(struct render *r); /* one level deeper; tpl_leave only after true */
static inline void tpl_leave(struct render *r) {
    r->depth--;
}
/* As tpl_enter, for what max_depth counts: calls and nested data. */
bool tpl_enter_call(struct render *r);
static inline void tpl_leave_call(struct render *r) {
    r->calls--;
}

/* ---- text: output and capture (template_render.c) ---- */

bool tpl_put(struct render *r, const char *data, size_t n);
bool tpl_put_text(struct render *r, const char *text);
bool tpl_put_char(struct render *r, char c);
bool tpl_put_repeated(struct render *r, const char *data, size_t n, int64_t times);
static inline size_t tpl_capture(const struct render *r) {
    return r->text.length;
}
struct value tpl_captured(struct render *r, size_t mark); /* the text put since tpl_capture */

/* ---- making values (template_value.c) ---- */

static inline struct value tpl_none(void) {
    return (struct value){.kind = V_NONE};
}
static inline struct value tpl_bool(bool b) {
    return (struct value){.kind = V_BOOL, .as.boolean = b};
}
static inline struct value tpl_int(int64_t i) {
    return (struct value){.kind = V_INT, .as.integer = i};
}
static inline struct value tpl_float(double d) {
    return (struct value){.kind = V_FLOAT, .as.real = d};
}
static inline struct value tpl_string_of(const struct str *s) {
    return (struct value){.kind = V_STRING, .as.string = s};
}
static inline struct value tpl_list_of(struct list *list) {
    return (struct value){.kind = list ? V_LIST : V_NONE, .as.list = list};
}
static inline struct value tpl_tuple_of(struct list *list) {
    return (struct value){.kind = list ? V_TUPLE : V_NONE, .as.list = list};
}
static inline struct value tpl_dict_of(struct dict *dict) {
    return (struct value){.kind = dict ? V_DICT : V_NONE, .as.dict = dict};
}
struct value tpl_string(struct render *r, const char *data, size_t n); /* copies */
struct value tpl_view(struct render *r, const char *data, size_t n);   /* borrows arena bytes */
struct value tpl_markup(struct value string);
struct value tpl_concat(struct render *r, const struct str *a, const struct str *b);
struct value tpl_undefined(enum undefined_reason reason, uint32_t owner, const struct str *name);
struct value tpl_undefined_hint(struct render *r, const char *text);
struct value tpl_undefined_fail(struct render *r, struct value undefined);
struct value tpl_native(struct render *r, const struct native *native, struct value self);
struct value tpl_from_json(struct render *r, const json_t *json);

struct list *tpl_list_new(struct render *r, size_t capacity);
bool tpl_list_append(struct render *r, struct list *list, struct value v);
struct value tpl_pair(struct render *r, struct value a, struct value b);

/* ---- dictionaries (template_dict.c) ---- */

struct dict *tpl_dict_new(struct render *r);
struct dict *tpl_dict_copy(struct render *r, const struct dict *dict);
bool tpl_dict_set(struct render *r, struct dict *dict, struct value key, struct value v);
struct value *tpl_dict_get(struct render *r, const struct dict *dict, struct value key);
struct value *tpl_dict_get_string(struct render *r, const struct dict *dict, const struct str *key);
bool tpl_dict_remove(struct render *r, struct dict *dict, struct value key);
struct value tpl_dict_view(struct render *r, const struct dict *dict, enum list_view what);

/* ---- looking at values (template_value.c, template_compare.c) ---- */

static inline bool tpl_is_number(struct value v) {
    return v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL;
}
static inline bool tpl_is_integer(struct value v) {
    return v.kind == V_INT || v.kind == V_BOOL;
}
static inline int64_t tpl_integer(struct value v) { /* of a value that is_integer */
    return v.kind == V_BOOL ? v.as.boolean : v.as.integer;
}
static inline double tpl_real(struct value v) { /* of a value that is_number */
    return v.kind == V_FLOAT ? v.as.real : (double)tpl_integer(v);
}
static inline bool tpl_is_sequence(struct value v) {
    return v.kind == V_LIST || v.kind == V_TUPLE;
}
static inline bool str_is(const struct str *s, const char *text) {
    size_t n = strlen(text);
    return s->length == n && memcmp(s->data, text, n) == 0;
}
const char *tpl_type_name(uint8_t kind); /* Python's: "str", "NoneType" */
bool tpl_truth(struct value v);
bool tpl_length(const struct value *v, int64_t *length); /* false: has none */
bool tpl_equal(struct render *r, struct value a, struct value b);
bool tpl_same(struct value a, struct value b); /* Python's `is` */
int tpl_compare(struct render *r, struct value a, struct value b, const char *op);
bool tpl_contains(struct render *r, struct value container, struct value item);
uint64_t tpl_hash(struct render *r, struct value v); /* fails on lists and dicts */
/* Sorts `order` (indices into keys) by keys[...]; stable, also when reversed. */
bool tpl_sort(struct render *r, const struct value *keys, size_t *order, size_t n, bool reverse);

/* ---- numbers (template_number.c) ---- */

struct value tpl_arithmetic(struct render *r, char op, struct value a, struct value b);
struct value tpl_power(struct render *r, struct value a, struct value b);
struct value tpl_negate(struct render *r, struct value v, bool positive);
bool tpl_parse_int(const struct str *s, int base, int64_t *out);
bool tpl_parse_float(const struct str *s, double *out);
bool tpl_float_to_int(double d, int64_t *out);
enum { FLOAT_TEXT_BYTES = 96 };
void tpl_float_repr(double d, char out[static FLOAT_TEXT_BYTES]);

/* ---- values as text (template_text.c) ---- */

bool tpl_put_str(struct render *r, struct value v);  /* as Python's str() */
bool tpl_put_repr(struct render *r, struct value v); /* as Python's repr() */
const struct str *tpl_str(struct render *r, struct value v);
bool tpl_put_escaped(struct render *r, const struct str *s);    /* & < > ' " as HTML */
const struct str *tpl_escape(struct render *r, struct value v); /* markup stays as it is */

/* ---- formatting (template_format.c, template_tojson.c) ---- */

/* `format` is a string; when it is markup, what is put in is escaped. */
struct value tpl_percent(struct render *r, struct value format, const struct args *args);
native_function tpl_method_format, tpl_filter_tojson, tpl_filter_from_json;
struct format_spec {
    uint32_t fill;
    char align, sign, type;
    bool alternate, comma, underscore;
    int64_t width, precision; /* -1: not given */
};
bool tpl_put_number(struct render *r, struct value v, const struct format_spec *spec);
bool tpl_put_aligned(struct render *r, const struct str *s, const struct format_spec *spec,
                     char default_align);

/* ---- iteration (template_iterate.c) ---- */

enum iterator_kind { ITERATE_ITEMS, ITERATE_MAP, ITERATE_SELECT, ITERATE_FOR_IF };

struct iterator {
    enum iterator_kind kind;
    struct value source; /* what is walked through: anything iterable */
    size_t position;
    size_t expected;        /* a dictionary's size, which must not change */
    struct iterator *inner; /* when the source is itself an iterator, and for the lazy kinds */
    const struct native *function; /* map: filter, select: test; NULL: attribute or truth */
    const struct args *args;
    struct list *attribute; /* path looked up first; NULL: the item itself */
    struct value fallback;  /* map(attribute, default) */
    bool reject;
    const struct node *node; /* for … if */
    struct scope *scope;
};

/* An iterator over `v`; NULL after failing when it cannot be iterated. */
struct iterator *tpl_iterate(struct render *r, struct value v);
bool tpl_iterable(struct value v);
bool tpl_next(struct render *r, struct iterator *it, struct value *out);
struct list *tpl_to_list(struct render *r, struct value v); /* always a new list */
struct value tpl_iterator_of(struct render *r, struct list *list);

/* ---- calls, attributes (template_call.c) ---- */

struct value tpl_call_native(struct render *r, const struct native *native, struct value self,
                             const struct args *args);
struct value tpl_call(struct render *r, struct value callee, const struct args *args);
struct value tpl_attribute(struct render *r, struct value v, const struct str *name);
struct value tpl_item(struct render *r, struct value v, struct value key);
struct value tpl_slice(struct render *r, struct value v, const struct value bounds[static 3]);
struct list *tpl_attribute_path(struct render *r, struct value path); /* "a.b.0" split */
struct value tpl_follow(struct render *r, struct value v, const struct list *path,
                        struct value fallback);

/* ---- evaluation (template_eval.c, template_exec.c) ---- */

struct value tpl_eval(struct render *r, const struct node *n);
void tpl_exec_body(struct render *r, const struct node *body);
struct value tpl_call_macro(struct render *r, const struct macro *macro, const struct args *args);
struct value tpl_call_loop(struct render *r, struct loop *loop, struct value iterable);
struct value tpl_loop_attribute(struct render *r, struct loop *loop, const struct str *name);
bool tpl_for_test(struct render *r, struct iterator *it, struct value item);
void tpl_assign(struct render *r, const struct node *target, struct value v);
struct scope *tpl_scope_new(struct render *r, struct scope *parent);
struct value *tpl_bind(struct render *r, struct scope *scope, uint32_t name);
struct value tpl_eval_call(struct render *r, const struct node *n, struct value extra_caller);
bool tpl_eval_args(struct render *r, const struct node *args, struct args *out);

/* ---- the tables of names ---- */

const struct native *tpl_find_filter(const struct str *name);
const struct native *tpl_find_test(const struct str *name);
const struct native *tpl_find_global(const struct str *name);
const struct native *tpl_find_loop_method(const struct str *name);
const struct native *tpl_find_string_method(const struct str *name);
const struct native *tpl_find_method(uint8_t kind, const struct str *name);
const struct native *tpl_find(const struct native *table, size_t n, const struct str *name);

/* Argument `a` as an integer, or `fallback` when absent or none; fails on other types. */
int64_t tpl_arg_int(struct render *r, struct value a, int64_t fallback, const char *what);
bool tpl_arg_bool(struct value a, bool fallback);
/* Argument `a` as text; fails when it is not a string. */
const struct str *tpl_arg_text(struct render *r, struct value a, const char *fallback,
                               const char *what);

#endif
