/* template_test.c - what may stand after `is`. */
#include <math.h>

#include "chat/template_value.h"

#define TEST(name)                                                                                 \
    static struct value name(struct render *r, struct value v, const struct value *a,              \
                             const struct args *args)
#define UNUSED (void)r, (void)a, (void)args

#define KIND_TEST(name, condition)                                                                 \
    TEST(name) {                                                                                   \
        UNUSED;                                                                                    \
        return tpl_bool(condition);                                                                \
    }

KIND_TEST(is_defined, v.kind != V_UNDEFINED)
KIND_TEST(is_undefined, v.kind == V_UNDEFINED)
KIND_TEST(is_none, v.kind == V_NONE)
KIND_TEST(is_boolean, v.kind == V_BOOL)
KIND_TEST(is_true, v.kind == V_BOOL && v.as.boolean)
KIND_TEST(is_false, v.kind == V_BOOL && !v.as.boolean)
KIND_TEST(is_integer, v.kind == V_INT)
KIND_TEST(is_float, v.kind == V_FLOAT)
KIND_TEST(is_number, tpl_is_number(v))
KIND_TEST(is_string, v.kind == V_STRING)
KIND_TEST(is_mapping, v.kind == V_DICT)
KIND_TEST(is_iterable, tpl_iterable(v))
KIND_TEST(is_escaped, v.kind == V_STRING && v.flag)
KIND_TEST(is_callable, v.kind == V_MACRO || v.kind == V_NATIVE || v.kind == V_LOOP ||
                           v.kind == V_JOINER || v.kind == V_UNDEFINED)
KIND_TEST(is_sequence, v.kind == V_STRING || v.kind == V_TUPLE || v.kind == V_DICT ||
                           v.kind == V_RANGE || v.kind == V_UNDEFINED ||
                           (v.kind == V_LIST && v.flag == VIEW_NONE))

static struct value remainder_is(struct render *r, struct value v, struct value divisor,
                                 int64_t rest) {
    struct value left = tpl_arithmetic(r, '%', v, divisor);
    return tpl_bool(!r->failed && tpl_equal(r, left, tpl_int(rest)));
}

TEST(is_odd) {
    (void)a, (void)args;
    return remainder_is(r, v, tpl_int(2), 1);
}

TEST(is_even) {
    (void)a, (void)args;
    return remainder_is(r, v, tpl_int(2), 0);
}

TEST(is_divisible_by) {
    (void)args;
    return remainder_is(r, v, a[0], 0);
}

static struct value text_question(struct render *r, struct value v, const char *method) {
    const struct str name = {method, strlen(method)};
    struct value text = tpl_string_of(tpl_str(r, v));
    return tpl_call_native(r, tpl_find_string_method(&name), text, &(struct args){0});
}

TEST(is_lower) {
    (void)a, (void)args;
    return text_question(r, v, "islower");
}

TEST(is_upper) {
    (void)a, (void)args;
    return text_question(r, v, "isupper");
}

TEST(is_same_as) {
    (void)args, (void)r;
    return tpl_bool(tpl_same(v, a[0]));
}

TEST(is_in) {
    (void)args;
    return tpl_bool(tpl_contains(r, a[0], v));
}

TEST(is_filter) {
    UNUSED;
    return tpl_bool(v.kind == V_STRING && tpl_find_filter(v.as.string));
}

TEST(is_test) {
    UNUSED;
    return tpl_bool(v.kind == V_STRING && tpl_find_test(v.as.string));
}

TEST(is_equal) {
    (void)args;
    return tpl_bool(tpl_equal(r, v, a[0]));
}

TEST(is_not_equal) {
    (void)args;
    return tpl_bool(!tpl_equal(r, v, a[0]));
}

TEST(is_greater) {
    (void)args;
    return tpl_bool(tpl_compare(r, v, a[0], ">") == 1);
}

TEST(is_less) {
    (void)args;
    return tpl_bool(tpl_compare(r, v, a[0], "<") == -1);
}

TEST(is_greater_or_equal) {
    (void)args;
    int order = tpl_compare(r, v, a[0], ">=");
    return tpl_bool(order == 0 || order == 1);
}

TEST(is_less_or_equal) {
    (void)args;
    int order = tpl_compare(r, v, a[0], "<=");
    return tpl_bool(order == 0 || order == -1);
}

static const struct native tests[] = {
    {"defined", is_defined, "", 0},
    {"undefined", is_undefined, "", 0},
    {"none", is_none, "", 0},
    {"boolean", is_boolean, "", 0},
    {"true", is_true, "", 0},
    {"false", is_false, "", 0},
    {"integer", is_integer, "", 0},
    {"float", is_float, "", 0},
    {"number", is_number, "", 0},
    {"string", is_string, "", 0},
    {"mapping", is_mapping, "", 0},
    {"iterable", is_iterable, "", 0},
    {"sequence", is_sequence, "", 0},
    {"callable", is_callable, "", 0},
    {"escaped", is_escaped, "", 0},
    {"odd", is_odd, "", 0},
    {"even", is_even, "", 0},
    {"divisibleby", is_divisible_by, "num", 1},
    {"lower", is_lower, "", 0},
    {"upper", is_upper, "", 0},
    {"sameas", is_same_as, "other", 1},
    {"in", is_in, "seq", 1},
    {"filter", is_filter, "", 0},
    {"test", is_test, "", 0},
    {"eq", is_equal, "other", 1},
    {"==", is_equal, "other", 1},
    {"equalto", is_equal, "other", 1},
    {"ne", is_not_equal, "other", 1},
    {"!=", is_not_equal, "other", 1},
    {"gt", is_greater, "other", 1},
    {">", is_greater, "other", 1},
    {"greaterthan", is_greater, "other", 1},
    {"lt", is_less, "other", 1},
    {"<", is_less, "other", 1},
    {"lessthan", is_less, "other", 1},
    {"ge", is_greater_or_equal, "other", 1},
    {">=", is_greater_or_equal, "other", 1},
    {"le", is_less_or_equal, "other", 1},
    {"<=", is_less_or_equal, "other", 1},
};

const struct native *tpl_find_test(const struct str *name) {
    return tpl_find(tests, sizeof tests / sizeof tests[0], name);
}
