/* template_tojson.c - the tojson filter, which writes as Python's json.dumps does with
 * ensure_ascii=False, and from_json, which some published templates expect. */
#include <math.h>
#include <stdio.h>

#include "chat/template_unicode.h"
#include "chat/template_value.h"

struct json_style {
    const struct str *item, *key, *indent; /* indent NULL: one line */
    bool ascii, sort_keys;
    int64_t depth;
};

static bool put_json(struct render *r, struct value v, struct json_style *style);

static bool put_unicode_escape(struct render *r, uint32_t code) {
    char text[16];
    if (code < 0x10000)
        snprintf(text, sizeof text, "\\u%04x", code);
    else
        snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                 0xdc00 + (code & 0x3ff));
    return tpl_put_text(r, text);
}

static const char *short_escape(uint32_t code) {
    switch (code) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '\b': return "\\b";
    case '\f': return "\\f";
    default: return NULL;
    }
}

static bool put_json_string(struct render *r, const struct str *s, bool ascii) {
    size_t plain = 0;
    tpl_put_char(r, '"');
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        size_t n = text_decode(s->data + i, s->length - i, &code);
        const char *escape = short_escape(code);
        if (escape || code < 0x20 || (ascii && code > 0x7e)) {
            tpl_put(r, s->data + plain, i - plain);
            if (escape)
                tpl_put_text(r, escape);
            else
                put_unicode_escape(r, code);
            plain = i + n;
        }
        i += n;
    }
    tpl_put(r, s->data + plain, s->length - plain);
    return tpl_put_char(r, '"');
}

static bool put_json_number(struct render *r, struct value v) {
    if (v.kind != V_FLOAT || isfinite(v.as.real)) return tpl_put_repr(r, v);
    return tpl_put_text(r, isnan(v.as.real) ? "NaN" : v.as.real < 0 ? "-Infinity" : "Infinity");
}

static bool put_json_word(struct render *r, struct value v) {
    return tpl_put_text(r, v.kind == V_NONE ? "null" : v.as.boolean ? "true" : "false");
}

static bool put_break(struct render *r, const struct json_style *style) {
    if (!style->indent) return !r->failed;
    tpl_put_char(r, '\n');
    return tpl_put_repeated(r, style->indent->data, style->indent->length, style->depth);
}

static bool put_array(struct render *r, const struct list *list, struct json_style *style) {
    if (list->count == 0) return tpl_put_text(r, "[]");
    tpl_put_char(r, '[');
    style->depth++;
    for (size_t i = 0; i < list->count && !r->failed; i++) {
        if (i > 0) tpl_put(r, style->item->data, style->item->length);
        put_break(r, style);
        put_json(r, list->items[i], style);
    }
    style->depth--;
    put_break(r, style);
    return tpl_put_char(r, ']');
}

static bool put_key(struct render *r, struct value key, const struct json_style *style) {
    if (key.kind == V_STRING) return put_json_string(r, key.as.string, style->ascii);
    if (key.kind != V_NONE && !tpl_is_number(key))
        return tpl_fail(r, "keys must be str, int, float, bool or None, not %s",
                        tpl_type_name(key.kind)),
               false;
    tpl_put_char(r, '"');
    if (key.kind == V_NONE || key.kind == V_BOOL)
        put_json_word(r, key);
    else
        put_json_number(r, key);
    return tpl_put_char(r, '"');
}

static size_t *entry_order(struct render *r, const struct dict *d, bool sorted) {
    size_t *order = tpl_alloc(r, d->count + 1, sizeof *order);
    struct value *keys = sorted ? tpl_alloc(r, d->count + 1, sizeof *keys) : NULL;
    if (!order || (sorted && !keys)) return NULL;
    for (size_t i = 0; i < d->count; i++) {
        order[i] = i;
        if (sorted) keys[i] = d->entries[i].key;
    }
    if (sorted && !tpl_sort(r, keys, order, d->count, false)) return NULL;
    return order;
}

static bool put_object(struct render *r, const struct dict *d, struct json_style *style) {
    if (d->count == 0) return tpl_put_text(r, "{}");
    size_t *order = entry_order(r, d, style->sort_keys);
    if (!order) return false;
    tpl_put_char(r, '{');
    style->depth++;
    for (size_t i = 0; i < d->count && !r->failed; i++) {
        const struct dict_entry *e = &d->entries[order[i]];
        if (i > 0) tpl_put(r, style->item->data, style->item->length);
        put_break(r, style);
        put_key(r, e->key, style);
        tpl_put(r, style->key->data, style->key->length);
        put_json(r, e->value, style);
    }
    style->depth--;
    put_break(r, style);
    return tpl_put_char(r, '}');
}

static bool put_json(struct render *r, struct value v, struct json_style *style) {
    switch (v.kind) {
    case V_NONE:
    case V_BOOL: return put_json_word(r, v);
    case V_INT:
    case V_FLOAT: return put_json_number(r, v);
    case V_STRING: return put_json_string(r, v.as.string, style->ascii);
    case V_LIST:
        if (v.flag != VIEW_NONE) break;
        /* fall through */
    case V_TUPLE:
    case V_DICT:
        if (!tpl_enter_call(r)) return false;
        if (v.kind == V_DICT)
            put_object(r, v.as.dict, style);
        else
            put_array(r, v.as.list, style);
        tpl_leave_call(r);
        return !r->failed;
    default: break;
    }
    tpl_fail(r, "object of type %s is not JSON serializable", tpl_type_name(v.kind));
    return false;
}

static const struct str *indent_text(struct render *r, struct value indent) {
    if (indent.kind == V_ABSENT || indent.kind == V_NONE) return NULL;
    if (indent.kind == V_STRING) return indent.as.string;
    int64_t width = tpl_arg_int(r, indent, 0, "indent");
    size_t mark = tpl_capture(r);
    tpl_put_repeated(r, " ", 1, width);
    return tpl_captured(r, mark).as.string;
}

enum { TOJSON_ASCII, TOJSON_INDENT, TOJSON_SEPARATORS, TOJSON_SORT };

struct value tpl_filter_tojson(struct render *r, struct value self, const struct value *a,
                               const struct args *args) {
    (void)args;
    static const struct str comma = {", ", 2}, short_comma = {",", 1}, colon = {": ", 2};
    struct json_style style = {.indent = indent_text(r, a[TOJSON_INDENT]),
                               .key = &colon,
                               .ascii = tpl_arg_bool(a[TOJSON_ASCII], false),
                               .sort_keys = tpl_arg_bool(a[TOJSON_SORT], false)};
    style.item = style.indent ? &short_comma : &comma;
    struct value separators = a[TOJSON_SEPARATORS];
    if (tpl_is_sequence(separators) && separators.as.list->count == 2) {
        style.item = tpl_arg_text(r, separators.as.list->items[0], NULL, "separator");
        style.key = tpl_arg_text(r, separators.as.list->items[1], NULL, "separator");
    } else if (separators.kind != V_ABSENT && separators.kind != V_NONE) {
        return tpl_fail(r, "separators must be a pair of strings");
    }
    size_t mark = tpl_capture(r);
    put_json(r, self, &style);
    return tpl_captured(r, mark);
}

struct value tpl_filter_from_json(struct render *r, struct value self, const struct value *a,
                                  const struct args *args) {
    (void)a, (void)args;
    json_error_t error;
    const struct str *s = tpl_arg_text(r, self, NULL, "JSON text");
    if (r->failed || !tpl_charge(r, s->length / 16)) return tpl_none();
    json_t *json = json_loadb(s->data, s->length, JSON_DECODE_ANY, &error);
    if (!json) return tpl_fail(r, "text is not JSON: %s", error.text);
    struct value v = tpl_from_json(r, json);
    json_decref(json);
    return v;
}
