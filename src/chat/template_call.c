/* template_call.c - calling functions, reading attributes, elements and slices. */
#include "chat/template_ast.h"
#include "chat/template_unicode.h"

const struct native *tpl_find(const struct native *table, size_t n, const struct str *name) {
    for (size_t i = 0; i < n; i++)
        if (name->length && table[i].name[0] == name->data[0] && str_is(name, table[i].name))
            return &table[i];
    return NULL;
}

/* ---- arguments ---- */

static size_t parameter_index(const char *parameters, const struct str *name, size_t *count) {
    size_t found = SIZE_MAX, i = 0;
    for (const char *p = parameters; *p; i++) {
        size_t n = strcspn(p, ",");
        if (n == name->length && memcmp(p, name->data, n) == 0) found = i;
        p += n + (p[n] == ',');
    }
    *count = i;
    return found;
}

static bool bind(struct render *r, const struct native *native, const struct args *args,
                 struct value bound[static NATIVE_PARAMETERS_MAX]) {
    size_t count;
    parameter_index(native->parameters, &(struct str){"", 0}, &count);
    for (size_t i = 0; i < NATIVE_PARAMETERS_MAX; i++)
        bound[i] = (struct value){.kind = V_ABSENT};
    if (args->n_positional > count)
        return tpl_fail(r, "'%s' takes at most %zu arguments, %zu given", native->name, count,
                        args->n_positional),
               false;
    for (size_t i = 0; i < args->n_positional; i++)
        bound[i] = args->positional[i];
    for (size_t i = 0; i < args->n_keywords; i++) {
        const struct str *name = args->keywords[i].name;
        size_t at = parameter_index(native->parameters, name, &count);
        if (at == SIZE_MAX)
            return tpl_fail(r, "'%s' has no parameter '%.*s'", native->name, (int)name->length,
                            name->data),
                   false;
        if (bound[at].kind != V_ABSENT)
            return tpl_fail(r, "'%s' got '%.*s' twice", native->name, (int)name->length,
                            name->data),
                   false;
        bound[at] = args->keywords[i].value;
    }
    for (size_t i = 0; i < native->required; i++)
        if (bound[i].kind == V_ABSENT)
            return tpl_fail(r, "'%s' needs at least %u argument%s", native->name, native->required,
                            native->required == 1 ? "" : "s"),
                   false;
    return true;
}

struct value tpl_call_native(struct render *r, const struct native *native, struct value self,
                             const struct args *args) {
    struct value bound[NATIVE_PARAMETERS_MAX];
    if (!tpl_enter(r)) return tpl_none();
    struct value v = tpl_none();
    if (!native->parameters || bind(r, native, args, bound))
        v = native->call(r, self, native->parameters ? bound : NULL, args);
    tpl_leave(r);
    return r->failed ? tpl_none() : v;
}

struct value tpl_call(struct render *r, struct value callee, const struct args *args) {
    switch (callee.kind) {
    case V_NATIVE: return tpl_call_native(r, callee.as.bound->native, callee.as.bound->self, args);
    case V_MACRO: return tpl_call_macro(r, callee.as.macro, args);
    case V_LOOP:
        if (args->n_positional != 1 || args->n_keywords != 0)
            return tpl_fail(r, "loop() takes what to loop over, nothing else");
        return tpl_call_loop(r, callee.as.loop, args->positional[0]);
    case V_JOINER:
        if (callee.as.joiner->used) return callee.as.joiner->separator;
        callee.as.joiner->used = true;
        return tpl_view(r, "", 0);
    case V_UNDEFINED: return tpl_undefined_fail(r, callee);
    default: return tpl_fail(r, "'%s' object is not callable", tpl_type_name(callee.kind));
    }
}

int64_t tpl_arg_int(struct render *r, struct value a, int64_t fallback, const char *what) {
    if (a.kind == V_ABSENT || a.kind == V_NONE) return fallback;
    if (tpl_is_integer(a)) return tpl_integer(a);
    if (a.kind == V_UNDEFINED) tpl_undefined_fail(r, a);
    tpl_fail(r, "%s must be an integer, not %s", what, tpl_type_name(a.kind));
    return fallback;
}

bool tpl_arg_bool(struct value a, bool fallback) {
    return a.kind == V_ABSENT ? fallback : tpl_truth(a);
}

const struct str *tpl_arg_text(struct render *r, struct value a, const char *fallback,
                               const char *what) {
    if (a.kind == V_STRING) return a.as.string;
    if (a.kind == V_UNDEFINED)
        tpl_undefined_fail(r, a);
    else if (a.kind != V_ABSENT && a.kind != V_NONE)
        tpl_fail(r, "%s must be a string, not %s", what, tpl_type_name(a.kind));
    else if (!fallback)
        tpl_fail(r, "%s is missing", what);
    return tpl_view(r, fallback ? fallback : "", fallback ? strlen(fallback) : 0).as.string;
}

/* ---- attributes and elements ---- */

static struct value cycler_attribute(struct render *r, struct value v, const struct str *name) {
    if (str_is(name, "current")) return v.as.cycler->items->items[v.as.cycler->position];
    const struct native *method = tpl_find_method(V_CYCLER, name);
    if (method) return tpl_native(r, method, v);
    return tpl_undefined(UNDEFINED_ATTRIBUTE, v.kind, name);
}

static struct value macro_attribute(const struct macro *macro, const struct str *name) {
    if (str_is(name, "name") && macro->node->kind == NODE_MACRO)
        return tpl_string_of(macro->node->as.macro.name);
    return tpl_undefined(UNDEFINED_ATTRIBUTE, V_MACRO, name);
}

/* Methods come before elements of a dictionary, as in `message.items`. */
struct value tpl_attribute(struct render *r, struct value v, const struct str *name) {
    const struct value *found = NULL;
    const struct native *method;
    switch (v.kind) {
    case V_UNDEFINED: return tpl_undefined_fail(r, v);
    case V_LOOP: return tpl_loop_attribute(r, v.as.loop, name);
    case V_CYCLER: return cycler_attribute(r, v, name);
    case V_MACRO: return macro_attribute(v.as.macro, name);
    case V_TUPLE:
        if (v.flag == VIEW_GROUP && str_is(name, "grouper")) return v.as.list->items[0];
        if (v.flag == VIEW_GROUP && str_is(name, "list")) return v.as.list->items[1];
        if ((method = tpl_find_method(V_TUPLE, name))) return tpl_native(r, method, v);
        break;
    case V_NAMESPACE: found = tpl_dict_get_string(r, v.as.dict, name); break;
    default:
        if ((method = tpl_find_method(v.kind, name))) return tpl_native(r, method, v);
        if (v.kind == V_DICT) found = tpl_dict_get_string(r, v.as.dict, name);
    }
    return found ? *found : tpl_undefined(UNDEFINED_ATTRIBUTE, v.kind, name);
}

static struct value no_element(struct render *r, struct value v, struct value key) {
    if (key.kind == V_STRING) {
        const struct native *method = tpl_find_method(v.kind, key.as.string);
        if (method) return tpl_native(r, method, v);
        if (v.kind == V_LOOP || v.kind == V_NAMESPACE || v.kind == V_CYCLER || v.kind == V_TUPLE)
            return tpl_attribute(r, v, key.as.string);
        return tpl_undefined(UNDEFINED_ATTRIBUTE, v.kind, key.as.string);
    }
    struct value undefined = tpl_undefined(UNDEFINED_ELEMENT, v.kind, NULL);
    undefined.as.key = tpl_alloc(r, 1, sizeof *undefined.as.key);
    if (!undefined.as.key) return tpl_none();
    *undefined.as.key = key;
    return undefined;
}

static bool hashable(struct value v) {
    return v.kind != V_LIST && v.kind != V_DICT;
}

static struct value character_at(struct render *r, struct value v, int64_t i) {
    struct iterator it = {.source = v, .position = text_offset(v.as.string, (size_t)i)};
    struct value c = tpl_none();
    tpl_charge(r, v.as.string->length / 64);
    tpl_next(r, &it, &c);
    return c;
}

struct value tpl_item(struct render *r, struct value v, struct value key) {
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (v.kind == V_DICT && hashable(key)) {
        const struct value *found = tpl_dict_get(r, v.as.dict, key);
        return found ? *found : no_element(r, v, key);
    }
    int64_t length;
    bool indexable = v.kind == V_STRING || v.kind == V_TUPLE || v.kind == V_RANGE ||
                     (v.kind == V_LIST && v.flag == VIEW_NONE);
    if (!indexable || !tpl_is_integer(key) || !tpl_length(&v, &length))
        return no_element(r, v, key);
    int64_t i = tpl_integer(key);
    if (i < 0) i += length;
    if (i < 0 || i >= length) return no_element(r, v, key);
    if (v.kind == V_STRING) return character_at(r, v, i);
    if (v.kind == V_RANGE) return tpl_int(v.as.range->start + i * v.as.range->step);
    return v.as.list->items[i];
}

/* ---- slices ---- */

static int64_t clamp(int64_t i, int64_t length, int64_t low, int64_t high) {
    if (i < 0) i = i < -length ? low : i + length;
    return i < low ? low : i > high ? high : i;
}

static struct value slice_string(struct render *r, struct value v, int64_t start, int64_t step,
                                 int64_t count) {
    const struct str *s = v.as.string;
    struct value result;
    tpl_charge(r, s->length / 64);
    if (step == 1) {
        size_t from = text_offset(s, (size_t)start);
        struct str rest = {s->data + from, s->length - from};
        result = tpl_view(r, rest.data, text_offset(&rest, (size_t)count));
    } else {
        struct list *characters = tpl_to_list(r, v);
        size_t mark = tpl_capture(r);
        for (int64_t i = 0; characters && i < count && !r->failed; i++)
            tpl_put_str(r, characters->items[start + i * step]);
        result = tpl_captured(r, mark);
    }
    result.flag = v.flag;
    return result;
}

static struct value slice_range(struct render *r, const struct range *range, int64_t start,
                                int64_t stop, int64_t step, int64_t count) {
    struct range *made = tpl_alloc(r, 1, sizeof *made);
    if (!made) return tpl_none();
    int64_t first = range->start + (start < range->count ? start * range->step : 0);
    int64_t last = range->stop;
    if (stop < range->count && range->count > 0) last = range->start + stop * range->step;
    *made = (struct range){first, count > 1 ? range->step * step : 1, count, last};
    return (struct value){.kind = V_RANGE, .as.range = made};
}

static struct value slice_list(struct render *r, struct value v, int64_t start, int64_t step,
                               int64_t count) {
    struct list *made = tpl_list_new(r, (size_t)count);
    tpl_charge(r, (uint64_t)count / 4);
    for (int64_t i = 0; made && i < count; i++)
        made->items[i] = v.as.list->items[start + i * step];
    if (made) made->count = (size_t)count;
    return v.kind == V_TUPLE ? tpl_tuple_of(made) : tpl_list_of(made);
}

struct value tpl_slice(struct render *r, struct value v, const struct value bounds[static 3]) {
    int64_t length, step = tpl_arg_int(r, bounds[2], 1, "slice step");
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    bool sliceable = v.kind == V_STRING || v.kind == V_TUPLE || v.kind == V_RANGE ||
                     (v.kind == V_LIST && v.flag == VIEW_NONE);
    if (!sliceable || !tpl_length(&v, &length)) return no_element(r, v, tpl_view(r, "slice", 5));
    if (step == 0) return tpl_fail(r, "slice step cannot be zero");
    if (step > length) step = length + 1; /* keeps products small; selects the same */
    if (step < -length) step = -length - 1;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
    bool has_start = bounds[0].kind != V_ABSENT && bounds[0].kind != V_NONE;
    bool has_stop = bounds[1].kind != V_ABSENT && bounds[1].kind != V_NONE;
    int64_t start = step > 0 ? low : high, stop = step > 0 ? high : low;
    if (has_start) start = clamp(tpl_arg_int(r, bounds[0], 0, "slice start"), length, low, high);
    if (has_stop) stop = clamp(tpl_arg_int(r, bounds[1], 0, "slice end"), length, low, high);
    if (r->failed) return tpl_none();
    int64_t span = step > 0 ? stop - start : start - stop, stride = step > 0 ? step : -step;
    int64_t count = stride > 0 ? (span + stride - 1) / stride : 0;
    if (count < 0) count = 0;
    if (v.kind == V_STRING) return slice_string(r, v, start, step, count);
    if (v.kind == V_RANGE) return slice_range(r, v.as.range, start, stop, step, count);
    return slice_list(r, v, start, step, count);
}

/* ---- attribute paths of filters: "function.parameters", "0", 0 ---- */

static bool is_digits(struct str s) {
    for (size_t i = 0; i < s.length; i++)
        if (s.data[i] < '0' || s.data[i] > '9') return false;
    return s.length > 0;
}

struct list *tpl_attribute_path(struct render *r, struct value path) {
    struct list *parts = tpl_list_new(r, 2);
    if (path.kind != V_STRING) {
        tpl_list_append(r, parts, path);
        return parts;
    }
    struct str s = *path.as.string;
    while (parts && !r->failed) {
        const char *dot = s.length ? memchr(s.data, '.', s.length) : NULL;
        struct str part = {s.data, dot ? (size_t)(dot - s.data) : s.length};
        int64_t number;
        if (is_digits(part) && tpl_parse_int(&part, 10, &number))
            tpl_list_append(r, parts, tpl_int(number));
        else
            tpl_list_append(r, parts, tpl_view(r, part.data, part.length));
        if (!dot) break;
        s = (struct str){dot + 1, s.length - part.length - 1};
    }
    return r->failed ? NULL : parts;
}

struct value tpl_follow(struct render *r, struct value v, const struct list *path,
                        struct value fallback) {
    for (size_t i = 0; path && i < path->count && !r->failed; i++) {
        v = tpl_item(r, v, path->items[i]);
        if (v.kind == V_UNDEFINED && fallback.kind != V_ABSENT && fallback.kind != V_NONE)
            v = fallback;
    }
    return v;
}
