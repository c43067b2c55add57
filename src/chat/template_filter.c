/* template_filter.c - filters of any value: default, length, numbers, attributes. */
#include "chat/template_filter.h"

#include <math.h>
#include <stdio.h>

#include "chat/template_unicode.h"

FILTER(filter_default) {
    (void)args;
    bool missing = v.kind == V_UNDEFINED || (tpl_arg_bool(a[1], false) && !tpl_truth(v));
    if (!missing) return v;
    return a[0].kind == V_ABSENT ? tpl_view(r, "", 0) : a[0];
}

FILTER(filter_length) {
    (void)a, (void)args;
    int64_t length;
    if (v.kind == V_STRING) tpl_charge(r, v.as.string->length / 64);
    if (tpl_length(&v, &length)) return tpl_int(length);
    return tpl_fail(r, "object of type '%s' has no len()", tpl_type_name(v.kind));
}

FILTER(filter_attr) {
    (void)args;
    const struct str *name = tpl_arg_text(r, a[0], NULL, "attribute");
    if (r->failed) return v;
    const struct native *method = tpl_find_method(v.kind, name);
    if (method) return tpl_native(r, method, v);
    if (v.kind == V_LOOP || v.kind == V_NAMESPACE || v.kind == V_CYCLER)
        return tpl_attribute(r, v, name);
    return tpl_undefined(UNDEFINED_ATTRIBUTE, v.kind, name);
}

/* ---- numbers ---- */

FILTER(filter_abs) {
    (void)a, (void)args;
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (v.kind == V_FLOAT) return tpl_float(fabs(v.as.real));
    if (!tpl_is_integer(v))
        return tpl_fail(r, "bad operand type for abs(): '%s'", tpl_type_name(v.kind));
    return tpl_integer(v) < 0 ? tpl_negate(r, v, false) : tpl_int(tpl_integer(v));
}

static bool to_int(struct value v, int base, int64_t *out) {
    double real;
    if (tpl_is_integer(v))
        *out = tpl_integer(v);
    else if (v.kind == V_FLOAT)
        return tpl_float_to_int(v.as.real, out);
    else if (v.kind != V_STRING)
        return false;
    else if (!tpl_parse_int(v.as.string, base, out))
        return tpl_parse_float(v.as.string, &real) && tpl_float_to_int(real, out);
    return true;
}

FILTER(filter_int) {
    (void)args;
    int64_t i, base = tpl_arg_int(r, a[1], 10, "base");
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (base != 0 && (base < 2 || base > 36)) return tpl_fail(r, "base must be 0 or 2 to 36");
    if (to_int(v, (int)base, &i)) return tpl_int(i);
    return a[0].kind == V_ABSENT ? tpl_int(0) : a[0];
}

FILTER(filter_float) {
    (void)args;
    double real;
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (tpl_is_number(v)) return tpl_float(tpl_real(v));
    if (v.kind == V_STRING && tpl_parse_float(v.as.string, &real)) return tpl_float(real);
    return a[0].kind == V_ABSENT ? tpl_float(0) : a[0];
}

/* Python rounds the decimal expansion of the binary value, ties to even: so does printf. */
static double round_common(double x, int64_t precision) {
    char text[512];
    if (!isfinite(x) || precision > 300) return x;
    if (precision < 0) {
        double unit = pow(10, (double)-precision);
        return isinf(unit) ? 0 * x : nearbyint(x / unit) * unit;
    }
    double rounded;
    snprintf(text, sizeof text, "%.*f", (int)precision, x);
    for (char *p = text; *p; p++)
        if (*p == ',') *p = '.';
    struct str s = {text, strlen(text)};
    return tpl_parse_float(&s, &rounded) ? rounded : x;
}

static struct value round_integer(struct render *r, int64_t i, int64_t precision) {
    if (precision >= 0) return tpl_int(i);
    int64_t unit = 1;
    for (int64_t k = precision; k < 0; k++)
        if (__builtin_mul_overflow(unit, 10, &unit)) return tpl_int(0);
    int64_t rest = i % unit, down = i - rest, up;
    if (rest < 0) rest += unit, down = __builtin_sub_overflow(down, unit, &up) ? down : down - unit;
    bool go_up = rest > unit / 2 || (rest == unit / 2 && (down / unit) % 2 != 0);
    if (go_up && __builtin_add_overflow(down, unit, &up))
        return tpl_fail(r, "integer result does not fit in 64 bits");
    return tpl_int(go_up ? up : down);
}

FILTER(filter_round) {
    (void)args;
    int64_t precision = tpl_arg_int(r, a[0], 0, "precision");
    const struct str *method = tpl_arg_text(r, a[1], "common", "method");
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (r->failed) return v;
    if (!tpl_is_number(v))
        return tpl_fail(r, "type %s doesn't define __round__ method", tpl_type_name(v.kind));
    bool ceiling = str_is(method, "ceil");
    if (str_is(method, "common")) {
        if (tpl_is_integer(v)) return round_integer(r, tpl_integer(v), precision);
        return tpl_float(round_common(v.as.real, precision));
    }
    if (!ceiling && !str_is(method, "floor"))
        return tpl_fail(r, "method must be common, ceil or floor");
    double unit = pow(10, (double)precision), x = tpl_real(v) * unit;
    return tpl_float((ceiling ? ceil(x) : floor(x)) / unit);
}

FILTER(filter_filesizeformat) {
    (void)args;
    static const char letters[] = "kMGTPEZY";
    bool binary = tpl_arg_bool(a[0], false);
    double base = binary ? 1024 : 1000, bytes;
    char text[64];
    if (v.kind == V_STRING ? !tpl_parse_float(v.as.string, &bytes) : !tpl_is_number(v))
        return tpl_fail(r, "filesizeformat needs a number");
    if (v.kind != V_STRING) bytes = tpl_real(v);
    if (bytes == 1) return tpl_view(r, "1 Byte", 6);
    if (bytes < base) {
        snprintf(text, sizeof text, "%lld Bytes", (long long)(bytes > -1e18 ? bytes : 0));
        return tpl_string(r, text, strlen(text));
    }
    double unit = base * base;
    size_t i = 0;
    for (; i < 7 && bytes >= unit; i++)
        unit *= base;
    struct format_spec spec = {.precision = 1, .type = 'f'};
    size_t mark = tpl_capture(r);
    tpl_put_number(r, tpl_float(base * bytes / unit), &spec);
    snprintf(text, sizeof text, binary ? " %ciB" : " %cB",
             binary && letters[i] == 'k' ? 'K' : letters[i]);
    tpl_put_text(r, text);
    return tpl_captured(r, mark);
}

/* Dictionaries are shown sorted by key, as pprint does; long ones are not broken. */
static struct value sorted_for_print(struct render *r, struct value v) {
    if (v.kind != V_DICT || !tpl_enter_call(r)) return v;
    struct dict *sorted = tpl_dict_new(r);
    size_t n = v.as.dict->count;
    struct value *keys = tpl_alloc(r, n + 1, sizeof *keys);
    size_t *order = tpl_alloc(r, n + 1, sizeof *order);
    bool comparable = true;
    for (size_t i = 0; keys && order && i < n; i++) {
        keys[i] = v.as.dict->entries[i].key;
        order[i] = i;
        comparable &= keys[i].kind == V_STRING;
    }
    if (comparable && keys && order) tpl_sort(r, keys, order, n, false);
    for (size_t i = 0; keys && order && i < n && !r->failed; i++)
        tpl_dict_set(r, sorted, keys[order[i]],
                     sorted_for_print(r, v.as.dict->entries[order[i]].value));
    tpl_leave_call(r);
    return tpl_dict_of(sorted);
}

FILTER(filter_pprint) {
    (void)a, (void)args;
    size_t mark = tpl_capture(r);
    tpl_put_repr(r, sorted_for_print(r, v));
    return tpl_captured(r, mark);
}

FILTER(filter_random) {
    (void)v, (void)a, (void)args;
    return tpl_fail(r, "filter 'random' is refused: a prompt must be reproducible");
}

static const struct native filters[] = {
    {"default", filter_default, "default_value,boolean", 0},
    {"d", filter_default, "default_value,boolean", 0},
    {"length", filter_length, "", 0},
    {"count", filter_length, "", 0},
    {"tojson", tpl_filter_tojson, "ensure_ascii,indent,separators,sort_keys", 0},
    {"from_json", tpl_filter_from_json, "", 0},
    {"attr", filter_attr, "name", 1},
    {"int", filter_int, "default,base", 0},
    {"float", filter_float, "default", 0},
    {"abs", filter_abs, "", 0},
    {"round", filter_round, "precision,method", 0},
    {"filesizeformat", filter_filesizeformat, "binary", 0},
    {"pprint", filter_pprint, "", 0},
    {"random", filter_random, NULL, 0},
};

const struct native *tpl_find_filter(const struct str *name) {
    const struct native *found = tpl_find(filters, sizeof filters / sizeof filters[0], name);
    if (!found) found = tpl_find_text_filter(name);
    return found ? found : tpl_find_sequence_filter(name);
}
