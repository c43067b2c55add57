/* template_text.c - values as text: Python's str() and repr(), HTML escaping. */
#include <stdio.h>

#include "chat/template_ast.h"
#include "chat/template_unicode.h"

static bool put_code_escape(struct render *r, uint32_t code) {
    char text[16];
    snprintf(text, sizeof text,
             code < 0x100     ? "\\x%02x"
             : code < 0x10000 ? "\\u%04x"
                              : "\\U%08x",
             code);
    return tpl_put_text(r, text);
}

static bool put_quoted(struct render *r, const struct str *s) {
    char quote = '\'';
    if (s->length && memchr(s->data, '\'', s->length) && !memchr(s->data, '"', s->length))
        quote = '"';
    tpl_put_char(r, quote);
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        size_t n = text_decode(s->data + i, s->length - i, &code);
        if (code == (unsigned char)quote || code == '\\') {
            tpl_put_char(r, '\\');
            tpl_put(r, s->data + i, n);
        } else if (code == '\n' || code == '\r' || code == '\t') {
            tpl_put_text(r, code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
        } else if (!code_is_printable(code)) {
            put_code_escape(r, code);
        } else {
            tpl_put(r, s->data + i, n);
        }
        i += n;
    }
    return tpl_put_char(r, quote);
}

static bool put_items(struct render *r, const struct list *list, const char *open,
                      const char *close) {
    tpl_put_text(r, open);
    for (size_t i = 0; i < list->count && !r->failed; i++) {
        if (i > 0) tpl_put_text(r, ", ");
        tpl_put_repr(r, list->items[i]);
    }
    return tpl_put_text(r, close);
}

static bool put_list(struct render *r, struct value v) {
    static const char *const views[] = {"[", "dict_keys([", "dict_values([", "dict_items(["};
    if (v.kind == V_TUPLE) return put_items(r, v.as.list, "(", v.as.list->count == 1 ? ",)" : ")");
    return put_items(r, v.as.list, views[v.flag], v.flag == VIEW_NONE ? "]" : "])");
}

static bool put_dict(struct render *r, const struct dict *d, const char *open, const char *close) {
    tpl_put_text(r, open);
    for (size_t i = 0; i < d->count && !r->failed; i++) {
        if (i > 0) tpl_put_text(r, ", ");
        tpl_put_repr(r, d->entries[i].key);
        tpl_put_text(r, ": ");
        tpl_put_repr(r, d->entries[i].value);
    }
    return tpl_put_text(r, close);
}

static bool put_range(struct render *r, const struct range *range) {
    char text[96];
    long long start = range->start, step = range->step, stop = range->stop;
    if (step == 1)
        snprintf(text, sizeof text, "range(%lld, %lld)", start, stop);
    else
        snprintf(text, sizeof text, "range(%lld, %lld, %lld)", start, stop, step);
    return tpl_put_text(r, text);
}

static bool put_container(struct render *r, struct value v) {
    if (!tpl_enter_call(r)) return false;
    if (v.kind == V_NAMESPACE)
        put_dict(r, v.as.dict, "<Namespace {", "}>");
    else if (v.kind == V_DICT)
        put_dict(r, v.as.dict, "{", "}");
    else
        put_list(r, v);
    tpl_leave_call(r);
    return !r->failed;
}

static bool put_macro(struct render *r, const struct macro *macro) {
    const struct node *n = macro->node;
    tpl_put_text(r, "<Macro ");
    if (n->kind == NODE_MACRO)
        put_quoted(r, n->as.macro.name);
    else
        tpl_put_text(r, "'caller'");
    return tpl_put_char(r, '>');
}

static bool put_loop(struct render *r, struct loop *loop) {
    static const struct str index = {"index", 5}, length = {"length", 6};
    tpl_put_text(r, "<LoopContext ");
    tpl_put_repr(r, tpl_loop_attribute(r, loop, &index));
    tpl_put_char(r, '/');
    tpl_put_repr(r, tpl_loop_attribute(r, loop, &length));
    return tpl_put_char(r, '>');
}

bool tpl_put_repr(struct render *r, struct value v) {
    char number[FLOAT_TEXT_BYTES];
    switch (v.kind) {
    case V_UNDEFINED: return tpl_put_text(r, "Undefined");
    case V_ABSENT:
    case V_NONE: return tpl_put_text(r, "None");
    case V_BOOL: return tpl_put_text(r, v.as.boolean ? "True" : "False");
    case V_INT:
        snprintf(number, sizeof number, "%lld", (long long)v.as.integer);
        return tpl_put_text(r, number);
    case V_FLOAT: tpl_float_repr(v.as.real, number); return tpl_put_text(r, number);
    case V_STRING:
        if (!v.flag) return put_quoted(r, v.as.string);
        return tpl_put_text(r, "Markup(") && put_quoted(r, v.as.string) && tpl_put_char(r, ')');
    case V_RANGE: return put_range(r, v.as.range);
    case V_MACRO: return put_macro(r, v.as.macro);
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_NAMESPACE: return put_container(r, v);
    case V_LOOP: return put_loop(r, v.as.loop);
    case V_NATIVE:
        return tpl_put_text(r, "<function ") && tpl_put_text(r, v.as.bound->native->name) &&
               tpl_put_char(r, '>');
    default:
        return tpl_put_char(r, '<') && tpl_put_text(r, tpl_type_name(v.kind)) &&
               tpl_put_text(r, " object>");
    }
}

bool tpl_put_str(struct render *r, struct value v) {
    if (v.kind == V_STRING) return tpl_put(r, v.as.string->data, v.as.string->length);
    if (v.kind == V_UNDEFINED) return !r->failed;
    return tpl_put_repr(r, v);
}

const struct str *tpl_str(struct render *r, struct value v) {
    if (v.kind == V_STRING) return v.as.string;
    size_t mark = tpl_capture(r);
    tpl_put_str(r, v);
    return tpl_captured(r, mark).as.string;
}

bool tpl_put_escaped(struct render *r, const struct str *s) {
    size_t start = 0;
    for (size_t i = 0; i < s->length; i++) {
        const char *entity;
        switch (s->data[i]) {
        case '&': entity = "&amp;"; break;
        case '<': entity = "&lt;"; break;
        case '>': entity = "&gt;"; break;
        case '\'': entity = "&#39;"; break;
        case '"': entity = "&#34;"; break;
        default: continue;
        }
        if (!tpl_put(r, s->data + start, i - start) || !tpl_put_text(r, entity)) return false;
        start = i + 1;
    }
    return tpl_put(r, s->data + start, s->length - start);
}

const struct str *tpl_escape(struct render *r, struct value v) {
    if (v.kind == V_STRING && v.flag) return v.as.string;
    const struct str *s = tpl_str(r, v);
    size_t mark = tpl_capture(r);
    tpl_put_escaped(r, s);
    return tpl_captured(r, mark).as.string;
}
