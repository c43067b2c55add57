/* template_filter_sequence.c - filters over lists, dictionaries and other iterables. */
#include "chat/template_filter.h"
#include "chat/template_unicode.h"

static const struct value absent = {.kind = V_ABSENT};

static bool is_given(struct value v) {
    return v.kind != V_ABSENT && v.kind != V_NONE;
}

static struct list *path_of(struct render *r, struct value attribute) {
    return is_given(attribute) ? tpl_attribute_path(r, attribute) : NULL;
}

/* ---- first, last, list, join, reverse ---- */

FILTER(filter_first) {
    (void)a, (void)args;
    struct iterator *it = tpl_iterate(r, v);
    struct value first;
    if (it && tpl_next(r, it, &first)) return first;
    return tpl_undefined_hint(r, "No first item, sequence was empty.");
}

FILTER(filter_last) {
    (void)a, (void)args;
    int64_t length;
    if (!tpl_length(&v, &length))
        return tpl_fail(r, "'%s' object is not reversible", tpl_type_name(v.kind));
    if (length == 0) return tpl_undefined_hint(r, "No last item, sequence was empty.");
    if (v.kind == V_DICT) return v.as.dict->entries[length - 1].key;
    if (v.kind == V_LIST) return v.as.list->items[length - 1];
    return tpl_item(r, v, tpl_int(length - 1));
}

FILTER(filter_list) {
    (void)a, (void)args;
    return tpl_list_of(tpl_to_list(r, v));
}

FILTER(filter_join) {
    (void)args;
    const struct str *separator =
        a[0].kind == V_ABSENT ? tpl_view(r, "", 0).as.string : tpl_str(r, a[0]);
    struct list *path = path_of(r, a[1]);
    struct iterator *it = tpl_iterate(r, v);
    struct value item;
    size_t mark = tpl_capture(r);
    for (bool first = true; it && tpl_next(r, it, &item); first = false) {
        if (!first) tpl_put(r, separator->data, separator->length);
        const struct str *s = tpl_str(r, tpl_follow(r, item, path, absent));
        tpl_put(r, s->data, s->length);
    }
    return tpl_captured(r, mark);
}

static void reverse_list(struct list *list) {
    for (size_t i = 0, n = list ? list->count : 0; i < n / 2; i++) {
        struct value v = list->items[i];
        list->items[i] = list->items[n - 1 - i];
        list->items[n - 1 - i] = v;
    }
}

FILTER(filter_reverse) {
    (void)a, (void)args;
    static const struct value backwards = {.kind = V_INT, .as.integer = -1};
    if (v.kind == V_STRING) return tpl_slice(r, v, (struct value[3]){absent, absent, backwards});
    struct list *list = tpl_to_list(r, v);
    reverse_list(list);
    return v.kind == V_ITERATOR ? tpl_list_of(list) : tpl_iterator_of(r, list);
}

/* ---- map, select, reject ---- */

static struct value lazy(struct render *r, struct iterator made, struct value source) {
    if (!tpl_truth(source)) return tpl_iterator_of(r, tpl_list_new(r, 0));
    struct iterator *it = tpl_alloc(r, 1, sizeof *it);
    if (!it) return tpl_none();
    *it = made;
    it->inner = tpl_iterate(r, source);
    return (struct value){.kind = V_ITERATOR, .as.iterator = it};
}

/* The arguments after the first `n`, as the filter or test receives them. */
static const struct args *rest_of(struct render *r, const struct args *args, size_t n) {
    struct args *rest = tpl_alloc(r, 1, sizeof *rest);
    if (!rest) return NULL;
    *rest = *args;
    rest->positional += n;
    rest->n_positional -= n;
    return rest;
}

static const struct native *named(struct render *r, struct value name, const char *what,
                                  const struct native *(*find)(const struct str *)) {
    const struct str *text = tpl_arg_text(r, name, NULL, what);
    const struct native *found = r->failed ? NULL : find(text);
    if (!found && !r->failed)
        tpl_fail(r, "no %s named '%.*s'", what, (int)text->length, text->data);
    return found;
}

static struct value map_attribute(struct render *r, struct value v, const struct args *args) {
    struct iterator it = {.kind = ITERATE_MAP, .fallback = absent};
    for (size_t i = 0; i < args->n_keywords; i++) {
        const struct str *name = args->keywords[i].name;
        if (str_is(name, "attribute"))
            it.attribute = tpl_attribute_path(r, args->keywords[i].value);
        else if (str_is(name, "default"))
            it.fallback = args->keywords[i].value;
        else
            return tpl_fail(r, "map has no parameter '%.*s'", (int)name->length, name->data);
    }
    if (!it.attribute) return tpl_fail(r, "map requires a filter or an attribute");
    return lazy(r, it, v);
}

FILTER(filter_map) {
    (void)a;
    if (args->n_positional == 0) return map_attribute(r, v, args);
    struct iterator it = {.kind = ITERATE_MAP, .fallback = absent};
    it.function = named(r, args->positional[0], "filter", tpl_find_filter);
    it.args = rest_of(r, args, 1);
    return r->failed ? tpl_none() : lazy(r, it, v);
}

static struct value select_items(struct render *r, struct value v, const struct args *args,
                                 bool attribute, bool reject) {
    struct iterator it = {.kind = ITERATE_SELECT, .reject = reject};
    if (attribute && args->n_positional == 0)
        return tpl_fail(r, "missing parameter for attribute name");
    if (attribute) it.attribute = tpl_attribute_path(r, args->positional[0]);
    if (args->n_positional > attribute) {
        it.function = named(r, args->positional[attribute], "test", tpl_find_test);
        it.args = rest_of(r, args, 1 + (size_t)attribute);
    }
    return r->failed ? tpl_none() : lazy(r, it, v);
}

FILTER(filter_select) {
    (void)a;
    return select_items(r, v, args, false, false);
}

FILTER(filter_reject) {
    (void)a;
    return select_items(r, v, args, false, true);
}

FILTER(filter_selectattr) {
    (void)a;
    return select_items(r, v, args, true, false);
}

FILTER(filter_rejectattr) {
    (void)a;
    return select_items(r, v, args, true, true);
}

/* ---- order ---- */

struct value tpl_sort_key(struct render *r, struct value v, const struct list *path,
                          struct value fallback, bool case_sensitive) {
    static const struct str lower = {"lower", 5};
    v = tpl_follow(r, v, path, fallback);
    if (v.kind != V_STRING || case_sensitive) return v;
    return tpl_call_native(r, tpl_find_string_method(&lower), v, &(struct args){0});
}

/* "a,b.c" sorts by a, then by b.c: the key is the tuple of both. */
static struct value several_keys(struct render *r, struct value v, const struct list *paths,
                                 bool case_sensitive) {
    struct list *keys = tpl_list_new(r, paths->count);
    for (size_t i = 0; i < paths->count && !r->failed; i++)
        tpl_list_append(r, keys,
                        tpl_sort_key(r, v, paths->items[i].as.list, absent, case_sensitive));
    return tpl_tuple_of(keys);
}

static struct list *paths_of(struct render *r, struct value attribute) {
    struct list *paths = tpl_list_new(r, 1);
    if (!paths) return NULL;
    if (attribute.kind != V_STRING) {
        struct list *path = is_given(attribute) ? path_of(r, attribute) : tpl_list_new(r, 0);
        tpl_list_append(r, paths, tpl_list_of(path));
        return r->failed ? NULL : paths;
    }
    struct str rest = *attribute.as.string;
    for (bool more = true; more && !r->failed;) {
        const char *comma = rest.length ? memchr(rest.data, ',', rest.length) : NULL;
        size_t n = comma ? (size_t)(comma - rest.data) : rest.length;
        struct list *path = tpl_attribute_path(r, tpl_view(r, rest.data, n));
        tpl_list_append(r, paths, tpl_list_of(path));
        more = comma != NULL;
        if (more) rest = (struct str){comma + 1, rest.length - n - 1};
    }
    return r->failed ? NULL : paths;
}

static struct list *in_order(struct render *r, const struct list *list, const struct value *keys,
                             bool reverse) {
    if (!list) return NULL;
    size_t *order = tpl_alloc(r, list->count + 1, sizeof *order);
    struct list *sorted = tpl_list_new(r, list->count);
    if (!order || !sorted) return NULL;
    for (size_t i = 0; i < list->count; i++)
        order[i] = i;
    if (!tpl_sort(r, keys, order, list->count, reverse)) return NULL;
    for (size_t i = 0; i < list->count; i++)
        sorted->items[i] = list->items[order[i]];
    sorted->count = list->count;
    return sorted;
}

FILTER(filter_sort) {
    (void)args;
    bool case_sensitive = tpl_arg_bool(a[1], false);
    struct list *list = tpl_to_list(r, v), *paths = paths_of(r, a[2]);
    struct value *keys = list ? tpl_alloc(r, list->count + 1, sizeof *keys) : NULL;
    if (!keys || !paths) return tpl_none();
    for (size_t i = 0; i < list->count && !r->failed; i++)
        keys[i] = several_keys(r, list->items[i], paths, case_sensitive);
    if (r->failed) return tpl_none();
    return tpl_list_of(in_order(r, list, keys, tpl_arg_bool(a[0], false)));
}

FILTER(filter_dictsort) {
    (void)args;
    bool case_sensitive = tpl_arg_bool(a[0], false), reverse = tpl_arg_bool(a[2], false);
    const struct str *by = tpl_arg_text(r, a[1], "key", "by");
    if (v.kind == V_UNDEFINED) return tpl_undefined_fail(r, v);
    if (v.kind != V_DICT)
        return tpl_fail(r, "'%s' object has no attribute 'items'", tpl_type_name(v.kind));
    if (!str_is(by, "key") && !str_is(by, "value"))
        return tpl_fail(r, "you can only sort by either \"key\" or \"value\"");
    struct list *items = tpl_dict_view(r, v.as.dict, VIEW_ITEMS).as.list;
    struct value *keys = items ? tpl_alloc(r, items->count + 1, sizeof *keys) : NULL;
    for (size_t i = 0; keys && i < items->count && !r->failed; i++)
        keys[i] = tpl_sort_key(r, items->items[i].as.list->items[str_is(by, "value")], NULL, absent,
                               case_sensitive);
    if (r->failed) return tpl_none();
    return tpl_list_of(in_order(r, items, keys, reverse));
}

FILTER(filter_unique) {
    (void)args;
    bool case_sensitive = tpl_arg_bool(a[0], false);
    struct list *path = path_of(r, a[1]), *kept = tpl_list_new(r, 0);
    struct dict *seen = tpl_dict_new(r);
    struct iterator *it = tpl_iterate(r, v);
    struct value item;
    while (it && kept && seen && tpl_next(r, it, &item)) {
        struct value key = tpl_sort_key(r, item, path, absent, case_sensitive);
        if (tpl_dict_get(r, seen, key)) continue;
        tpl_dict_set(r, seen, key, tpl_none());
        tpl_list_append(r, kept, item);
    }
    return r->failed ? tpl_none() : tpl_iterator_of(r, kept);
}

static struct value extreme(struct render *r, struct value v, const struct value *a, bool largest) {
    bool case_sensitive = tpl_arg_bool(a[0], false), any = false;
    struct list *path = path_of(r, a[1]);
    struct iterator *it = tpl_iterate(r, v);
    struct value item, best = tpl_none(), best_key = tpl_none();
    while (it && tpl_next(r, it, &item)) {
        struct value key = tpl_sort_key(r, item, path, absent, case_sensitive);
        bool better = !any || (largest ? tpl_compare(r, key, best_key, ">") == 1
                                       : tpl_compare(r, key, best_key, "<") == -1);
        if (better) best = item, best_key = key;
        any = true;
    }
    return any ? best : tpl_undefined_hint(r, "No aggregated item, sequence was empty.");
}

FILTER(filter_min) {
    (void)args;
    return extreme(r, v, a, false);
}

FILTER(filter_max) {
    (void)args;
    return extreme(r, v, a, true);
}

FILTER(filter_sum) {
    (void)args;
    struct list *path = path_of(r, a[0]);
    struct value sum = a[1].kind == V_ABSENT ? tpl_int(0) : a[1], item;
    if (sum.kind == V_STRING) return tpl_fail(r, "sum() can't sum strings: use join");
    struct iterator *it = tpl_iterate(r, v);
    while (it && tpl_next(r, it, &item))
        sum = tpl_arithmetic(r, '+', sum, tpl_follow(r, item, path, absent));
    return sum;
}

/* ---- groups ---- */

FILTER(filter_groupby) {
    (void)args;
    struct list *list = tpl_to_list(r, v), *path = path_of(r, a[0]), *groups = tpl_list_new(r, 0);
    bool case_sensitive = tpl_arg_bool(a[2], false);
    struct value *keys = list ? tpl_alloc(r, list->count + 1, sizeof *keys) : NULL;
    for (size_t i = 0; keys && i < list->count && !r->failed; i++)
        keys[i] = tpl_sort_key(r, list->items[i], path, a[1], case_sensitive);
    struct list *sorted = r->failed ? NULL : in_order(r, list, keys, false), *members = NULL;
    struct value last = tpl_none();
    for (size_t i = 0; sorted && i < sorted->count && !r->failed; i++) {
        struct value key = tpl_sort_key(r, sorted->items[i], path, a[1], case_sensitive);
        if (!members || !tpl_equal(r, key, last)) {
            members = tpl_list_new(r, 0);
            struct value shown = tpl_follow(r, sorted->items[i], path, a[1]);
            struct value group = tpl_pair(r, shown, tpl_list_of(members));
            group.flag = VIEW_GROUP;
            tpl_list_append(r, groups, group);
        }
        tpl_list_append(r, members, sorted->items[i]);
        last = key;
    }
    return r->failed ? tpl_none() : tpl_list_of(groups);
}

FILTER(filter_batch) {
    (void)args;
    int64_t size = tpl_arg_int(r, a[0], 0, "line count");
    struct list *batches = tpl_list_new(r, 0), *batch = NULL;
    struct iterator *it = tpl_iterate(r, v);
    struct value item;
    while (it && tpl_next(r, it, &item)) {
        if (!batch || (int64_t)batch->count == size) {
            batch = tpl_list_new(r, 0);
            tpl_list_append(r, batches, tpl_list_of(batch));
        }
        tpl_list_append(r, batch, item);
    }
    while (batch && is_given(a[1]) && (int64_t)batch->count < size && tpl_charge(r, 1))
        tpl_list_append(r, batch, a[1]);
    return r->failed ? tpl_none() : tpl_iterator_of(r, batches);
}

FILTER(filter_slice) {
    (void)args;
    int64_t n = tpl_arg_int(r, a[0], 0, "slices"), start = 0;
    struct list *list = tpl_to_list(r, v), *slices = tpl_list_new(r, 0);
    if (n == 0) return tpl_fail(r, "integer division or modulo by zero");
    int64_t each = list ? (int64_t)list->count / n : 0, extra = list ? (int64_t)list->count % n : 0;
    for (int64_t i = 0; i < n && tpl_charge(r, 1); i++) {
        struct list *slice = tpl_list_new(r, 0);
        int64_t end = start + each + (i < extra);
        for (; start < end && slice; start++)
            tpl_list_append(r, slice, list->items[start]);
        if (is_given(a[1]) && i >= extra) tpl_list_append(r, slice, a[1]);
        tpl_list_append(r, slices, tpl_list_of(slice));
    }
    return r->failed ? tpl_none() : tpl_iterator_of(r, slices);
}

FILTER(filter_items) {
    (void)a, (void)args;
    if (v.kind == V_UNDEFINED) return tpl_iterator_of(r, tpl_list_new(r, 0));
    if (v.kind != V_DICT)
        return tpl_fail(r, "can only get item pairs from a mapping, not %s", tpl_type_name(v.kind));
    return tpl_iterator_of(r, tpl_dict_view(r, v.as.dict, VIEW_ITEMS).as.list);
}

static const struct native filters[] = {
    {"join", filter_join, "d,attribute", 0},
    {"items", filter_items, "", 0},
    {"list", filter_list, "", 0},
    {"map", filter_map, NULL, 0},
    {"selectattr", filter_selectattr, NULL, 0},
    {"rejectattr", filter_rejectattr, NULL, 0},
    {"select", filter_select, NULL, 0},
    {"reject", filter_reject, NULL, 0},
    {"first", filter_first, "", 0},
    {"last", filter_last, "", 0},
    {"sort", filter_sort, "reverse,case_sensitive,attribute", 0},
    {"dictsort", filter_dictsort, "case_sensitive,by,reverse", 0},
    {"unique", filter_unique, "case_sensitive,attribute", 0},
    {"min", filter_min, "case_sensitive,attribute", 0},
    {"max", filter_max, "case_sensitive,attribute", 0},
    {"sum", filter_sum, "attribute,start", 0},
    {"reverse", filter_reverse, "", 0},
    {"groupby", filter_groupby, "attribute,default,case_sensitive", 1},
    {"batch", filter_batch, "linecount,fill_with", 1},
    {"slice", filter_slice, "slices,fill_with", 1},
};

const struct native *tpl_find_sequence_filter(const struct str *name) {
    return tpl_find(filters, sizeof filters / sizeof filters[0], name);
}
