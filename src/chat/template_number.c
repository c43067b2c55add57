/* template_number.c - arithmetic of Python's numbers (and + and * of its sequences).
 *
 * Integers have 64 bits; where Python would grow them, the operation fails. Nothing here
 * depends on the locale: digits are taken from printf and the point is set by hand. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/template_unicode.h"
#include "chat/template_value.h"

static struct value operands_wrong(struct render *r, const char *op, struct value a,
                                   struct value b) {
    if (a.kind == V_UNDEFINED) return tpl_undefined_fail(r, a);
    if (b.kind == V_UNDEFINED) return tpl_undefined_fail(r, b);
    if (*op == '+' && a.kind == V_STRING)
        return tpl_fail(r, "can only concatenate str (not \"%s\") to str", tpl_type_name(b.kind));
    if (*op == '+' && tpl_is_sequence(a))
        return tpl_fail(r, "can only concatenate %s (not \"%s\") to %s", tpl_type_name(a.kind),
                        tpl_type_name(b.kind), tpl_type_name(a.kind));
    return tpl_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'", op,
                    tpl_type_name(a.kind), tpl_type_name(b.kind));
}

static struct value overflow(struct render *r) {
    return tpl_fail(r, "integer result does not fit in 64 bits");
}

/* ---- + and * of sequences ---- */

static struct value add_strings(struct render *r, struct value a, struct value b) {
    if (!a.flag && !b.flag) return tpl_concat(r, a.as.string, b.as.string);
    const struct str *x = tpl_escape(r, a), *y = tpl_escape(r, b);
    return tpl_markup(tpl_concat(r, x, y));
}

static struct value add_lists(struct render *r, struct value a, struct value b) {
    const struct list *x = a.as.list, *y = b.as.list;
    struct list *sum = tpl_list_new(r, x->count + y->count);
    if (!sum || !tpl_charge(r, (x->count + y->count) / 4)) return tpl_none();
    if (x->count) memcpy(sum->items, x->items, x->count * sizeof *x->items);
    if (y->count) memcpy(sum->items + x->count, y->items, y->count * sizeof *y->items);
    sum->count = x->count + y->count;
    return a.kind == V_LIST ? tpl_list_of(sum) : tpl_tuple_of(sum);
}

static struct value repeat(struct render *r, struct value v, int64_t times) {
    if (v.kind == V_STRING) {
        size_t mark = tpl_capture(r);
        tpl_put_repeated(r, v.as.string->data, v.as.string->length, times);
        struct value result = tpl_captured(r, mark);
        result.flag = v.flag;
        return result;
    }
    struct list *list = tpl_list_new(r, 0);
    for (int64_t i = 0; i < times && v.as.list->count && tpl_charge(r, 1); i++)
        for (size_t k = 0; k < v.as.list->count; k++)
            if (!tpl_list_append(r, list, v.as.list->items[k])) return tpl_none();
    return v.kind == V_LIST ? tpl_list_of(list) : tpl_tuple_of(list);
}

static bool is_repeatable(struct value v) {
    return v.kind == V_STRING || (tpl_is_sequence(v) && v.flag == VIEW_NONE);
}

/* ---- numbers ---- */

static struct value integer_operation(struct render *r, char op, int64_t a, int64_t b) {
    int64_t c;
    switch (op) {
    case '+': return __builtin_add_overflow(a, b, &c) ? overflow(r) : tpl_int(c);
    case '-': return __builtin_sub_overflow(a, b, &c) ? overflow(r) : tpl_int(c);
    case '*': return __builtin_mul_overflow(a, b, &c) ? overflow(r) : tpl_int(c);
    default: break;
    }
    if (b == 0)
        return tpl_fail(r, op == '/' ? "division by zero" : "integer division or modulo by zero");
    if (op == '/') return tpl_float((double)a / (double)b);
    if (b == -1) {
        if (op == '%') return tpl_int(0);
        return a == INT64_MIN ? overflow(r) : tpl_int(-a);
    }
    int64_t quotient = a / b, rest = a % b; /* C truncates, Python floors */
    if (rest != 0 && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    return tpl_int(op == 'f' ? quotient : rest);
}

static struct value real_operation(struct render *r, char op, double a, double b) {
    switch (op) {
    case '+': return tpl_float(a + b);
    case '-': return tpl_float(a - b);
    case '*': return tpl_float(a * b);
    default: break;
    }
    if (b == 0) return tpl_fail(r, op == '/' ? "float division by zero" : "float modulo by zero");
    if (op == '/') return tpl_float(a / b);
    double rest = fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
    if (op == '%') return tpl_float(rest == 0 ? copysign(0, b) : rest);
    double quotient = (a - rest) / b, floored = floor(quotient);
    if (quotient - floored > 0.5) floored += 1;
    return tpl_float(quotient == 0 ? copysign(0, a / b) : floored);
}

static struct value percent_format(struct render *r, struct value a, struct value b) {
    struct args args = {.positional = &b, .n_positional = 1};
    if (b.kind == V_TUPLE)
        args = (struct args){.positional = b.as.list->items, .n_positional = b.as.list->count};
    return tpl_percent(r, a, &args);
}

struct value tpl_arithmetic(struct render *r, char op, struct value a, struct value b) {
    static const char names[] = "+-*/f%";
    static const char *const texts[] = {"+", "-", "*", "/", "//", "%"};
    if (op == 'p') return tpl_power(r, a, b);
    if (tpl_is_integer(a) && tpl_is_integer(b))
        return integer_operation(r, op, tpl_integer(a), tpl_integer(b));
    if (tpl_is_number(a) && tpl_is_number(b))
        return real_operation(r, op, tpl_real(a), tpl_real(b));
    if (op == '+' && a.kind == V_STRING && b.kind == V_STRING) return add_strings(r, a, b);
    if (op == '+' && tpl_is_sequence(a) && a.kind == b.kind) return add_lists(r, a, b);
    if (op == '*' && is_repeatable(a) && tpl_is_integer(b)) return repeat(r, a, tpl_integer(b));
    if (op == '*' && is_repeatable(b) && tpl_is_integer(a)) return repeat(r, b, tpl_integer(a));
    if (op == '%' && a.kind == V_STRING) return percent_format(r, a, b);
    return operands_wrong(r, texts[strchr(names, op) - names], a, b);
}

static struct value integer_power(struct render *r, int64_t base, int64_t exponent) {
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return overflow(r);
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base)) return overflow(r);
    }
    return tpl_int(result);
}

struct value tpl_power(struct render *r, struct value a, struct value b) {
    if (!tpl_is_number(a) || !tpl_is_number(b)) return operands_wrong(r, "** or pow()", a, b);
    if (tpl_is_integer(a) && tpl_is_integer(b) && tpl_integer(b) >= 0)
        return integer_power(r, tpl_integer(a), tpl_integer(b));
    double x = tpl_real(a), y = tpl_real(b);
    if (x == 0 && y < 0) return tpl_fail(r, "0.0 cannot be raised to a negative power");
    if (x < 0 && y != floor(y)) return tpl_fail(r, "a power of a negative number is not real");
    double result = pow(x, y);
    if (isinf(result) && !isinf(x) && !isinf(y)) return tpl_fail(r, "power is out of range");
    return tpl_float(result);
}

struct value tpl_negate(struct render *r, struct value v, bool positive) {
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (!tpl_is_number(v))
        return tpl_fail(r, "bad operand type for unary %s: '%s'", positive ? "+" : "-",
                        tpl_type_name(v.kind));
    if (v.kind == V_FLOAT) return positive ? v : tpl_float(-v.as.real);
    int64_t i = tpl_integer(v);
    if (positive) return tpl_int(i);
    return i == INT64_MIN ? overflow(r) : tpl_int(-i);
}

/* ---- text to number ---- */

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return (c | 0x20) - 'a' + 10;
    return 99;
}

/* "0x1f" with base 16 or 0 and its relatives: the prefix is skipped, its base returned. */
static int number_base(struct str *s, int base) {
    static const char marks[] = "box";
    static const int bases[] = {2, 8, 16};
    if (s->length > 2 && s->data[0] == '0')
        for (size_t i = 0; i < 3; i++)
            if ((s->data[1] | 0x20) == marks[i] && (base == 0 || base == bases[i])) {
                s->data += 2;
                s->length -= 2;
                if (s->data[0] == '_') s->data++, s->length--;
                return bases[i];
            }
    return base ? base : 10;
}

bool tpl_parse_int(const struct str *text, int base, int64_t *out) {
    struct str s = text_strip(*text, NULL, STRIP_BOTH);
    bool negative = s.length > 0 && s.data[0] == '-';
    if (s.length > 0 && (s.data[0] == '-' || s.data[0] == '+')) s.data++, s.length--;
    base = number_base(&s, base);
    int64_t value = 0;
    bool digit_before = false;
    for (size_t i = 0; i < s.length; i++) {
        int digit = digit_value(s.data[i]);
        if (s.data[i] == '_' && digit_before) {
            digit_before = false;
            continue;
        }
        if (digit >= base) return false;
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_sub_overflow(value, digit, &value)) /* counts down: reaches the minimum */
            return false;
        digit_before = true;
    }
    if (!digit_before || (!negative && value == INT64_MIN)) return false;
    *out = negative ? value : -value;
    return true;
}

static bool special_float(struct str s, double *out) {
    static const struct {
        const char *name;
        double value;
    } specials[] = {{"inf", INFINITY}, {"infinity", INFINITY}, {"nan", NAN}};
    for (size_t i = 0; i < 3; i++)
        if (s.length == strlen(specials[i].name) &&
            strncasecmp(s.data, specials[i].name, s.length) == 0) {
            *out = specials[i].value;
            return true;
        }
    return false;
}

enum { FLOAT_DIGITS_MAX = 800 }; /* more decimal digits never change a double */

struct decimal {
    char digits[FLOAT_DIGITS_MAX + 32];
    size_t n;
    long exponent;
    bool any;
};

/* Digits with single underscores between them; returns where they end. */
static size_t read_digits(const struct str *s, size_t i, struct decimal *d, bool fraction) {
    for (bool digit_before = false; i < s->length; i++) {
        char c = s->data[i];
        if (c == '_' && digit_before && i + 1 < s->length && digit_value(s->data[i + 1]) < 10) {
            digit_before = false;
            continue;
        }
        if (digit_value(c) >= 10) break;
        digit_before = d->any = true;
        bool keep = d->n < FLOAT_DIGITS_MAX && (d->n > 0 || c != '0');
        if (keep) d->digits[d->n++] = c;
        if (fraction && (keep || d->n == 0))
            d->exponent--;
        else if (!fraction && !keep && d->n > 0)
            d->exponent++;
    }
    return i;
}

bool tpl_parse_float(const struct str *text, double *out) {
    struct str s = text_strip(*text, NULL, STRIP_BOTH);
    bool negative = s.length > 0 && s.data[0] == '-';
    if (s.length > 0 && (s.data[0] == '-' || s.data[0] == '+')) s.data++, s.length--;
    struct decimal d = {.n = 0};
    int64_t exponent = 0;
    if (!special_float(s, out)) {
        size_t i = read_digits(&s, 0, &d, false);
        if (i < s.length && s.data[i] == '.') i = read_digits(&s, i + 1, &d, true);
        if (!d.any) return false;
        if (i < s.length && (s.data[i] | 0x20) == 'e') {
            struct str rest = {s.data + i + 1, s.length - i - 1};
            if (rest.length == 0 || code_is_space((unsigned char)rest.data[0])) return false;
            if (!tpl_parse_int(&rest, 10, &exponent)) return false;
            i = s.length;
        }
        if (i != s.length) return false;
        exponent = exponent > 100000 ? 100000 : exponent < -100000 ? -100000 : exponent;
        snprintf(d.digits + d.n, 32, "%se%ld", d.n ? "" : "0", d.exponent + (long)exponent);
        *out = strtod(d.digits, NULL);
    }
    if (negative) *out = -*out;
    return true;
}

bool tpl_float_to_int(double d, int64_t *out) {
    if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0)) return false;
    *out = (int64_t)d;
    return true;
}

/* ---- number to text ---- */

/* Shortest digits that read back as the same double, in the layout of Python's repr. */
void tpl_float_repr(double d, char out[static FLOAT_TEXT_BYTES]) {
    char digits[24], scientific[40];
    if (isnan(d) || isinf(d)) {
        snprintf(out, FLOAT_TEXT_BYTES, "%s", isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
        return;
    }
    int n = 0, precision = 0;
    do
        snprintf(scientific, sizeof scientific, "%.*e", precision, fabs(d));
    while (strtod(scientific, NULL) != fabs(d) && ++precision < 17);
    const char *p = scientific;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && n < 23) digits[n++] = *p;
    int exponent = (int)strtol(p + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    const char *sign = signbit(d) ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        snprintf(out, FLOAT_TEXT_BYTES, "%s%c%s%se%c%02d", sign, digits[0], n > 1 ? "." : "",
                 digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        snprintf(out, FLOAT_TEXT_BYTES, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    else if (n <= exponent + 1)
        snprintf(out, FLOAT_TEXT_BYTES, "%s%s%.*s.0", sign, digits, exponent + 1 - n,
                 "0000000000000000");
    else
        snprintf(out, FLOAT_TEXT_BYTES, "%s%.*s.%s", sign, exponent + 1, digits,
                 digits + exponent + 1);
}
