#include "chat/template_value.h"

#include "chat/template_unicode.h"

static struct str *new_str(struct render *r, const char *data, size_t n) {
    struct str *s = tpl_alloc(r, 1, sizeof *s);
    if (s) *s = (struct str){data, n};
    return s;
}

static const struct str empty_str = {"", 0};

struct value tpl_view(struct render *r, const char *data, size_t n) {
    if (n == 0) return tpl_string_of(&empty_str);
    const struct str *s = new_str(r, data, n);
    return tpl_string_of(s ? s : &empty_str);
}

struct value tpl_string(struct render *r, const char *data, size_t n) {
    if (n == 0) return tpl_string_of(&empty_str);
    char *copy = tpl_alloc(r, n, 1);
    if (!copy) return tpl_string_of(&empty_str);
    memcpy(copy, data, n);
    return tpl_view(r, copy, n);
}

struct value tpl_markup(struct value string) {
    string.flag = 1;
    return string;
}

/* A template that grows a string in a loop would need quadratic memory; so the newest
 * concatenation keeps room behind it, and one that continues it writes there. Earlier
 * strings keep their lengths and never see the new bytes. */
struct value tpl_concat(struct render *r, const struct str *a, const struct str *b) {
    if (b->length == 0) return tpl_string_of(a);
    if (a->length == 0) return tpl_string_of(b);
    size_t total = a->length + b->length; /* both fit in the arena */
    if (r->tail && a->data + a->length == r->tail && b->length <= r->tail_room) {
        memcpy(r->tail, b->data, b->length);
        r->tail += b->length;
        r->tail_room -= b->length;
        return tpl_view(r, a->data, total);
    }
    size_t spare = total < 64 ? 64 : total;
    if (spare > (r->arena.max_bytes - r->arena.used_bytes) / 4) spare = 0;
    char *data = tpl_alloc(r, total + spare, 1);
    if (!data) return tpl_string_of(&empty_str);
    memcpy(data, a->data, a->length);
    memcpy(data + a->length, b->data, b->length);
    r->tail = data + total;
    r->tail_room = spare;
    return tpl_view(r, data, total);
}

struct value tpl_undefined(enum undefined_reason reason, uint32_t owner, const struct str *name) {
    return (struct value){
        .kind = V_UNDEFINED, .reason = (uint16_t)reason, .aux = owner, .as.string = name};
}

struct value tpl_undefined_hint(struct render *r, const char *text) {
    struct value hint = tpl_view(r, text, strlen(text));
    return tpl_undefined(UNDEFINED_HINT, 0, hint.as.string);
}

static struct value fail_element(struct render *r, struct value undefined) {
    size_t mark = tpl_capture(r);
    tpl_put_repr(r, *undefined.as.key);
    struct value key = tpl_captured(r, mark);
    const char *owner = tpl_type_name((uint8_t)undefined.aux);
    return tpl_fail(r, "%s%s has no element %.*s", undefined.aux == V_NONE ? "None" : owner,
                    undefined.aux == V_NONE ? "" : " object", (int)key.as.string->length,
                    key.as.string->data);
}

struct value tpl_undefined_fail(struct render *r, struct value undefined) {
    if (undefined.reason == UNDEFINED_ELEMENT) return fail_element(r, undefined);
    const struct str *s = undefined.as.string;
    int n = (int)(s->length < 200 ? s->length : 200);
    switch (undefined.reason) {
    case UNDEFINED_ATTRIBUTE:
        if (undefined.aux == V_NONE)
            return tpl_fail(r, "'None' has no attribute '%.*s'", n, s->data);
        return tpl_fail(r, "'%s object' has no attribute '%.*s'",
                        tpl_type_name((uint8_t)undefined.aux), n, s->data);
    case UNDEFINED_PARAMETER: return tpl_fail(r, "parameter '%.*s' was not provided", n, s->data);
    case UNDEFINED_HINT: return tpl_fail(r, "%.*s", n, s->data);
    default: return tpl_fail(r, "'%.*s' is undefined", n, s->data);
    }
}

struct value tpl_native(struct render *r, const struct native *native, struct value self) {
    struct bound *bound = tpl_alloc(r, 1, sizeof *bound);
    if (!bound) return tpl_none();
    *bound = (struct bound){native, self};
    return (struct value){.kind = V_NATIVE, .as.bound = bound};
}

/* ---- lists ---- */

struct list *tpl_list_new(struct render *r, size_t capacity) {
    struct list *list = tpl_alloc(r, 1, sizeof *list);
    if (!list || capacity == 0) return list;
    list->items = tpl_alloc(r, capacity, sizeof *list->items);
    if (!list->items) return NULL;
    list->capacity = capacity;
    return list;
}

bool tpl_list_append(struct render *r, struct list *list, struct value v) {
    if (!list || r->failed) return false;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 4;
        struct value *grown = tpl_alloc(r, capacity, sizeof *grown);
        if (!grown) return false;
        if (list->count) memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = v;
    return true;
}

struct value tpl_pair(struct render *r, struct value a, struct value b) {
    struct list *pair = tpl_list_new(r, 2);
    tpl_list_append(r, pair, a);
    tpl_list_append(r, pair, b);
    return tpl_tuple_of(pair);
}

/* ---- JSON ---- */

static struct value from_json_array(struct render *r, const json_t *json) {
    size_t n = json_array_size(json);
    struct list *list = tpl_list_new(r, n);
    for (size_t i = 0; i < n && !r->failed; i++)
        tpl_list_append(r, list, tpl_from_json(r, json_array_get(json, i)));
    return tpl_list_of(list);
}

static struct value from_json_object(struct render *r, const json_t *json) {
    struct dict *dict = tpl_dict_new(r);
    json_t *object = (json_t *)(uintptr_t)json; /* iterating does not change it */
    for (void *it = json_object_iter(object); it && !r->failed;
         it = json_object_iter_next(object, it)) {
        const char *key = json_object_iter_key(it);
        tpl_dict_set(r, dict, tpl_string(r, key, strlen(key)),
                     tpl_from_json(r, json_object_iter_value(it)));
    }
    return tpl_dict_of(dict);
}

struct value tpl_from_json(struct render *r, const json_t *json) {
    struct value v = tpl_none();
    switch (json_typeof(json)) {
    case JSON_NULL: return v;
    case JSON_TRUE: return tpl_bool(true);
    case JSON_FALSE: return tpl_bool(false);
    case JSON_INTEGER: return tpl_int(json_integer_value(json));
    case JSON_REAL: return tpl_float(json_real_value(json));
    case JSON_STRING: return tpl_string(r, json_string_value(json), json_string_length(json));
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    if (!tpl_enter_call(r)) return v;
    v = json_is_array(json) ? from_json_array(r, json) : from_json_object(r, json);
    tpl_leave_call(r);
    return v;
}

/* ---- looking ---- */

const char *tpl_type_name(uint8_t kind) {
    static const char *const names[] = {
        [V_ABSENT] = "NoneType",
        [V_UNDEFINED] = "Undefined",
        [V_NONE] = "NoneType",
        [V_BOOL] = "bool",
        [V_INT] = "int",
        [V_FLOAT] = "float",
        [V_STRING] = "str",
        [V_LIST] = "list",
        [V_TUPLE] = "tuple",
        [V_DICT] = "dict",
        [V_RANGE] = "range",
        [V_ITERATOR] = "generator",
        [V_NAMESPACE] = "Namespace",
        [V_MACRO] = "Macro",
        [V_NATIVE] = "function",
        [V_LOOP] = "LoopContext",
        [V_CYCLER] = "Cycler",
        [V_JOINER] = "Joiner",
    };
    return names[kind];
}

bool tpl_truth(struct value v) {
    int64_t length;
    switch (v.kind) {
    case V_ABSENT:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v.as.boolean;
    case V_INT: return v.as.integer != 0;
    case V_FLOAT: return v.as.real != 0;
    case V_STRING: return v.as.string->length != 0;
    default: return !tpl_length(&v, &length) || length != 0;
    }
}

bool tpl_length(const struct value *v, int64_t *length) {
    switch (v->kind) {
    case V_UNDEFINED: *length = 0; return true;
    case V_STRING: *length = (int64_t)text_count(v->as.string); return true;
    case V_LIST:
    case V_TUPLE: *length = (int64_t)v->as.list->count; return true;
    case V_DICT: *length = (int64_t)v->as.dict->count; return true;
    case V_RANGE: *length = v->as.range->count; return true;
    default: return false;
    }
}
