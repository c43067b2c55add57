/* template_iterate.c - walking through values.
 *
 * As in Python, some iterators are lazy (map, select, a loop's `if`): an item is computed
 * when it is asked for, and an iterator that was walked through stays empty. */
#include "chat/template_ast.h"
#include "chat/template_unicode.h"

bool tpl_iterable(struct value v) {
    switch (v.kind) {
    case V_UNDEFINED:
    case V_STRING:
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_RANGE:
    case V_ITERATOR:
    case V_LOOP: return true;
    default: return false;
    }
}

struct iterator *tpl_iterate(struct render *r, struct value v) {
    if (v.kind == V_ITERATOR) return r->failed ? NULL : v.as.iterator;
    if (!tpl_iterable(v) || v.kind == V_LOOP) {
        tpl_fail(r, "'%s' object is not iterable", tpl_type_name(v.kind));
        return NULL;
    }
    struct iterator *it = tpl_alloc(r, 1, sizeof *it);
    if (!it) return NULL;
    *it = (struct iterator){.kind = ITERATE_ITEMS, .source = v};
    if (v.kind == V_DICT) it->expected = v.as.dict->count;
    return it;
}

static bool next_character(struct render *r, struct iterator *it, struct value *out) {
    const struct str *s = it->source.as.string;
    if (it->position >= s->length) return false;
    uint32_t code;
    size_t n = text_decode(s->data + it->position, s->length - it->position, &code);
    *out = tpl_view(r, s->data + it->position, n);
    out->flag = it->source.flag;
    it->position += n;
    return !r->failed;
}

static bool next_key(struct render *r, struct iterator *it, struct value *out) {
    const struct dict *d = it->source.as.dict;
    if (d->count != it->expected) {
        tpl_fail(r, "dictionary changed size during iteration");
        return false;
    }
    if (it->position >= d->count) return false;
    *out = d->entries[it->position++].key;
    return true;
}

static bool next_item(struct render *r, struct iterator *it, struct value *out) {
    switch (it->source.kind) {
    case V_STRING: return next_character(r, it, out);
    case V_DICT: return next_key(r, it, out);
    case V_LIST:
    case V_TUPLE:
        if (it->position >= it->source.as.list->count) return false;
        *out = it->source.as.list->items[it->position++];
        return true;
    case V_RANGE:
        if ((int64_t)it->position >= it->source.as.range->count) return false;
        *out = tpl_int(it->source.as.range->start +
                       it->source.as.range->step * (int64_t)it->position++);
        return true;
    default: return false;
    }
}

static struct value apply_map(struct render *r, const struct iterator *it, struct value item) {
    if (!it->function) return tpl_follow(r, item, it->attribute, it->fallback);
    return tpl_call_native(r, it->function, item, it->args);
}

static bool selected(struct render *r, const struct iterator *it, struct value item) {
    if (it->attribute) {
        struct value none = {.kind = V_ABSENT};
        item = tpl_follow(r, item, it->attribute, none);
    }
    if (it->function) item = tpl_call_native(r, it->function, item, it->args);
    return tpl_truth(item) != it->reject;
}

static bool next_lazy(struct render *r, struct iterator *it, struct value *out) {
    struct value item;
    while (tpl_next(r, it->inner, &item)) {
        bool wanted = true;
        *out = item;
        if (it->kind == ITERATE_MAP)
            *out = apply_map(r, it, item);
        else if (it->kind == ITERATE_SELECT)
            wanted = selected(r, it, item);
        else
            wanted = tpl_for_test(r, it, item);
        if (r->failed) return false;
        if (wanted) return true;
    }
    return false;
}

bool tpl_next(struct render *r, struct iterator *it, struct value *out) {
    if (!it || !tpl_enter(r)) return false;
    bool more = it->kind == ITERATE_ITEMS ? next_item(r, it, out) : next_lazy(r, it, out);
    tpl_leave(r);
    return more && !r->failed;
}

struct list *tpl_to_list(struct render *r, struct value v) {
    struct iterator *it = tpl_iterate(r, v);
    struct list *list = it ? tpl_list_new(r, 0) : NULL;
    struct value item;
    while (list && tpl_next(r, it, &item))
        tpl_list_append(r, list, item);
    return r->failed ? NULL : list;
}

struct value tpl_iterator_of(struct render *r, struct list *list) {
    if (!list) return tpl_none();
    struct iterator *it = tpl_iterate(r, tpl_list_of(list));
    return it ? (struct value){.kind = V_ITERATOR, .as.iterator = it} : tpl_none();
}
