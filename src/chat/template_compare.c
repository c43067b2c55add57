/* template_compare.c - equality, order, membership, hashing and sorting, as in Python.
 *
 * Data can share parts, so that walking it may take exponential time, and a namespace can
 * contain itself: every element is charged, every level counted. */
#include "chat/template_unicode.h"
#include "chat/template_value.h"

static int compare_bytes(const struct str *a, const struct str *b) {
    size_t n = a->length < b->length ? a->length : b->length;
    int order = n ? memcmp(a->data, b->data, n) : 0;
    if (order != 0) return order;
    return (a->length > b->length) - (a->length < b->length);
}

/* Mixed integers and reals compare exactly: 2**53 + 1 is not 2.0**53. */
static int compare_numbers(struct value a, struct value b, bool *unordered) {
    *unordered = false;
    if (tpl_is_integer(a) && tpl_is_integer(b))
        return (tpl_integer(a) > tpl_integer(b)) - (tpl_integer(a) < tpl_integer(b));
    double x = tpl_real(a), y = tpl_real(b);
    *unordered = x != x || y != y;
    if (x != y || *unordered) return (x > y) - (x < y);
    int64_t i, j;
    if (a.kind != V_FLOAT && tpl_float_to_int(y, &j))
        return (tpl_integer(a) > j) - (tpl_integer(a) < j);
    if (b.kind != V_FLOAT && tpl_float_to_int(x, &i))
        return (i > tpl_integer(b)) - (i < tpl_integer(b));
    return 0;
}

bool tpl_same(struct value a, struct value b) {
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case V_NONE:
    case V_ABSENT: return true;
    case V_UNDEFINED: return false;
    case V_BOOL: return a.as.boolean == b.as.boolean;
    case V_INT: return a.as.integer == b.as.integer;
    case V_FLOAT: return a.as.real == b.as.real;
    case V_STRING:
        return a.as.string == b.as.string || compare_bytes(a.as.string, b.as.string) == 0;
    default: return a.as.list == b.as.list;
    }
}

static bool equal_lists(struct render *r, const struct list *a, const struct list *b) {
    if (a == b) return true;
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!tpl_equal(r, a->items[i], b->items[i])) return false;
    return true;
}

static bool equal_dicts(struct render *r, const struct dict *a, const struct dict *b) {
    if (a == b) return true;
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct value *other = tpl_dict_get(r, b, a->entries[i].key);
        if (!other || !tpl_equal(r, a->entries[i].value, *other)) return false;
    }
    return true;
}

static bool equal_ranges(const struct range *a, const struct range *b) {
    if (a->count != b->count) return false;
    if (a->count == 0) return true;
    return a->start == b->start && (a->count == 1 || a->step == b->step);
}

bool tpl_equal(struct render *r, struct value a, struct value b) {
    bool unordered, equal = false;
    if (!tpl_charge(r, 1)) return false;
    if (tpl_is_number(a) && tpl_is_number(b))
        return compare_numbers(a, b, &unordered) == 0 && !unordered;
    if (a.kind != b.kind) return false;
    if (a.kind == V_STRING) return compare_bytes(a.as.string, b.as.string) == 0;
    if (a.kind == V_UNDEFINED) return true;
    if (a.kind == V_RANGE) return equal_ranges(a.as.range, b.as.range);
    if (!tpl_is_sequence(a) && a.kind != V_DICT) return tpl_same(a, b);
    if (!tpl_enter_call(r)) return false;
    if (a.kind == V_DICT)
        equal = equal_dicts(r, a.as.dict, b.as.dict);
    else
        equal = equal_lists(r, a.as.list, b.as.list);
    tpl_leave_call(r);
    return equal && !r->failed;
}

static int incomparable(struct render *r, struct value a, struct value b, const char *op) {
    if (a.kind == V_UNDEFINED)
        tpl_undefined_fail(r, a);
    else if (b.kind == V_UNDEFINED)
        tpl_undefined_fail(r, b);
    tpl_fail(r, "'%s' not supported between instances of '%s' and '%s'", op, tpl_type_name(a.kind),
             tpl_type_name(b.kind));
    return 0;
}

/* Negative, zero, positive; 2 when unordered (not a number). */
int tpl_compare(struct render *r, struct value a, struct value b, const char *op) {
    bool unordered;
    if (tpl_is_number(a) && tpl_is_number(b)) {
        int order = compare_numbers(a, b, &unordered);
        return unordered ? 2 : order;
    }
    if (a.kind != b.kind) return incomparable(r, a, b, op);
    if (a.kind == V_STRING) {
        int order = compare_bytes(a.as.string, b.as.string);
        return (order > 0) - (order < 0);
    }
    if (!tpl_is_sequence(a)) return incomparable(r, a, b, op);
    if (!tpl_enter_call(r)) return 0;
    const struct list *x = a.as.list, *y = b.as.list;
    size_t i = 0;
    while (i < x->count && i < y->count && tpl_equal(r, x->items[i], y->items[i]))
        i++;
    int order = (x->count > y->count) - (x->count < y->count);
    if (i < x->count && i < y->count) order = tpl_compare(r, x->items[i], y->items[i], op);
    tpl_leave_call(r);
    return order;
}

static bool range_contains(const struct range *range, struct value item) {
    int64_t i;
    if (item.kind == V_FLOAT) {
        if (!tpl_float_to_int(item.as.real, &i) || (double)i != item.as.real) return false;
    } else if (tpl_is_integer(item)) {
        i = tpl_integer(item);
    } else {
        return false;
    }
    for (int64_t k = 0; k < range->count; k++)
        if (range->start + k * range->step == i) return true;
    return false;
}

static bool iterator_contains(struct render *r, struct value container, struct value item) {
    struct iterator *it = tpl_iterate(r, container);
    struct value v;
    while (it && tpl_next(r, it, &v))
        if (tpl_equal(r, v, item)) return true;
    return false;
}

bool tpl_contains(struct render *r, struct value container, struct value item) {
    switch (container.kind) {
    case V_STRING:
        if (item.kind == V_UNDEFINED) return tpl_undefined_fail(r, item), false;
        if (item.kind != V_STRING)
            return tpl_fail(r, "'in <string>' requires string as left operand, not %s",
                            tpl_type_name(item.kind)),
                   false;
        tpl_charge(r, container.as.string->length / 64);
        return text_find(container.as.string, item.as.string, 0) != SIZE_MAX;
    case V_DICT: return tpl_dict_get(r, container.as.dict, item) != NULL;
    case V_LIST:
    case V_TUPLE:
        for (size_t i = 0; i < container.as.list->count && tpl_charge(r, 1); i++)
            if (tpl_equal(r, container.as.list->items[i], item)) return true;
        return false;
    case V_RANGE:
        tpl_charge(r, (uint64_t)container.as.range->count / 4);
        return range_contains(container.as.range, item);
    case V_UNDEFINED: return false;
    default: break;
    }
    if (tpl_iterable(container)) return iterator_contains(r, container, item);
    tpl_fail(r, "argument of type '%s' is not iterable", tpl_type_name(container.kind));
    return false;
}

/* ---- hashing ---- */

static uint64_t mix(uint64_t hash, uint64_t more) {
    hash = (hash ^ more) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t hash_bytes(const struct str *s) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < s->length; i++)
        hash = (hash ^ (unsigned char)s->data[i]) * 0x100000001b3u;
    return mix(hash, s->length);
}

static uint64_t hash_real(double d) {
    int64_t i;
    uint64_t bits;
    if (tpl_float_to_int(d, &i) && (double)i == d) return mix(1, (uint64_t)i);
    memcpy(&bits, &d, sizeof bits);
    return mix(2, bits);
}

static uint64_t hash_tuple(struct render *r, const struct list *tuple) {
    uint64_t hash = 3;
    if (!tpl_enter_call(r)) return 0;
    for (size_t i = 0; i < tuple->count && !r->failed; i++)
        hash = mix(hash, tpl_hash(r, tuple->items[i]));
    tpl_leave_call(r);
    return hash;
}

uint64_t tpl_hash(struct render *r, struct value v) {
    switch (v.kind) {
    case V_STRING: tpl_charge(r, v.as.string->length / 32); return hash_bytes(v.as.string);
    case V_BOOL:
    case V_INT: return mix(1, (uint64_t)tpl_integer(v));
    case V_FLOAT: return hash_real(v.as.real);
    case V_TUPLE: return hash_tuple(r, v.as.list);
    case V_LIST:
    case V_DICT: tpl_fail(r, "unhashable type: '%s'", tpl_type_name(v.kind)); return 0;
    default: return mix(4, v.kind);
    }
}

/* ---- sorting ---- */

static void merge(struct render *r, const struct value *keys, const size_t *from, size_t *to,
                  size_t left, size_t middle, size_t right, bool reverse) {
    size_t i = left, j = middle;
    for (size_t k = left; k < right; k++) {
        bool take_right = i == middle;
        if (i < middle && j < right && tpl_charge(r, 1)) {
            struct value a = keys[from[j]], b = keys[from[i]];
            take_right =
                reverse ? tpl_compare(r, b, a, "<") == -1 : tpl_compare(r, a, b, "<") == -1;
        }
        to[k] = take_right ? from[j++] : from[i++];
    }
}

bool tpl_sort(struct render *r, const struct value *keys, size_t *order, size_t n, bool reverse) {
    size_t *other = tpl_alloc(r, n + 1, sizeof *other), *from = order, *to = other;
    if (!other) return false;
    for (size_t width = 1; width < n && !r->failed; width *= 2) {
        for (size_t left = 0; left < n; left += 2 * width) {
            size_t middle = left + width < n ? left + width : n;
            size_t right = middle + width < n ? middle + width : n;
            merge(r, keys, from, to, left, middle, right, reverse);
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order) memcpy(order, from, n * sizeof *order);
    return !r->failed;
}
