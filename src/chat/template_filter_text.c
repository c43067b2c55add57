/* template_filter_text.c - filters that make text. */
#include "chat/template_filter.h"
#include "chat/template_unicode.h"

/* Most of these are a string method applied to the value's text. */
static struct value text_of(struct render *r, struct value v) {
    return v.kind == V_STRING ? v : tpl_string_of(tpl_str(r, v));
}

static struct value method(struct render *r, struct value v, const char *name,
                           const struct args *args) {
    const struct str text = {name, strlen(name)};
    return tpl_call_native(r, tpl_find_string_method(&text), text_of(r, v), args);
}

FILTER(filter_upper) {
    (void)a;
    return method(r, v, "upper", args);
}

FILTER(filter_lower) {
    (void)a;
    return method(r, v, "lower", args);
}

FILTER(filter_capitalize) {
    (void)a;
    return method(r, v, "capitalize", args);
}

FILTER(filter_trim) {
    (void)a;
    return method(r, v, "strip", args);
}

FILTER(filter_center) {
    (void)args;
    struct value width = a[0].kind == V_ABSENT ? tpl_int(80) : a[0];
    return method(r, v, "center", &(struct args){.positional = &width, .n_positional = 1});
}

FILTER(filter_string) {
    (void)a, (void)args;
    return text_of(r, v);
}

FILTER(filter_safe) {
    (void)a, (void)args;
    return tpl_markup(text_of(r, v));
}

FILTER(filter_escape) {
    (void)a, (void)args;
    return tpl_markup(tpl_string_of(tpl_escape(r, v)));
}

FILTER(filter_format) {
    (void)a;
    return tpl_percent(r, text_of(r, v), args);
}

/* Every run of letters between blanks, hyphens and opening brackets is one word. */
FILTER(filter_title) {
    (void)a, (void)args;
    const struct str *s = tpl_str(r, v);
    size_t mark = tpl_capture(r);
    bool start = true;
    tpl_charge(r, s->length / 16);
    for (size_t i = 0; i < s->length && !r->failed;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        if (start)
            put_upper(r, code);
        else
            put_lower(r, code);
        start = code_is_space(code) || (code < 0x80 && code && strchr("-({[<", (int)code));
    }
    return tpl_captured(r, mark);
}

FILTER(filter_replace) {
    (void)args;
    struct value plain = tpl_string_of(tpl_str(r, v));
    struct value given[3] = {tpl_string_of(tpl_str(r, a[0])), tpl_string_of(tpl_str(r, a[1])),
                             a[2]};
    return method(
        r, plain, "replace",
        &(struct args){.positional = given, .n_positional = a[2].kind == V_ABSENT ? 2 : 3});
}

static struct list *lines_of(struct render *r, struct value v) {
    struct value lines = method(r, v, "splitlines", &(struct args){0});
    return r->failed ? NULL : lines.as.list;
}

FILTER(filter_indent) {
    (void)args;
    bool first = tpl_arg_bool(a[1], false), blank = tpl_arg_bool(a[2], false);
    int64_t width = a[0].kind == V_STRING ? 1 : tpl_arg_int(r, a[0], 4, "width");
    if (v.kind != V_STRING)
        return v.kind == V_UNDEFINED
                   ? tpl_undefined_fail(r, v)
                   : tpl_fail(r, "indent needs a string, not %s", tpl_type_name(v.kind));
    struct str unit = {" ", 1};
    if (a[0].kind == V_STRING) unit = *a[0].as.string;
    const struct str newline = {"\n", 1};
    struct value text = tpl_concat(r, v.as.string, &newline);
    struct list *lines = lines_of(r, text);
    size_t mark = tpl_capture(r);
    for (size_t i = 0; lines && i < lines->count && !r->failed; i++) {
        const struct str *line = lines->items[i].as.string;
        if (i > 0) tpl_put_char(r, '\n');
        if (i == 0 ? first : blank || line->length > 0)
            tpl_put_repeated(r, unit.data, unit.length, width);
        tpl_put(r, line->data, line->length);
    }
    struct value result = tpl_captured(r, mark);
    result.flag = v.flag;
    return result;
}

FILTER(filter_truncate) {
    (void)args;
    int64_t length = tpl_arg_int(r, a[0], 255, "length"),
            leeway = tpl_arg_int(r, a[3], 5, "leeway");
    bool kill_words = tpl_arg_bool(a[1], false);
    const struct str *end = tpl_arg_text(r, a[2], "...", "end");
    if (v.kind == V_UNDEFINED) return v;
    const struct str *s = tpl_arg_text(r, v, NULL, "text to truncate");
    if (r->failed) return v;
    int64_t end_length = (int64_t)text_count(end);
    if (length < end_length || leeway < 0)
        return tpl_fail(r, "length must be at least that of the end, leeway at least 0");
    if ((int64_t)text_count(s) - leeway <= length) return v;
    struct str kept = {s->data, text_offset(s, (size_t)(length - end_length))};
    const struct str space = {" ", 1};
    size_t at = kill_words ? SIZE_MAX : text_rfind(&kept, &space, kept.length);
    if (at != SIZE_MAX) kept.length = at;
    return tpl_concat(r, &kept, end);
}

FILTER(filter_wordcount) {
    (void)a, (void)args;
    const struct str *s = tpl_str(r, v);
    int64_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < s->length;) {
        uint32_t code;
        i += text_decode(s->data + i, s->length - i, &code);
        bool word = code_is_word(code);
        n += word && !inside;
        inside = word;
    }
    return tpl_int(n);
}

/* ---- wordwrap ---- */

struct wrap {
    struct render *r;
    const struct str *separator;
    int64_t width, column;
    bool break_long, break_hyphens, any;
};

/* The next chunk: blanks, or a word (up to and with a hyphen between letters). */
static size_t chunk_length(const struct wrap *w, const char *p, size_t n, bool *blank) {
    uint32_t code, before = 0, two_before = 0;
    size_t i = text_decode(p, n, &code);
    *blank = code_is_space(code);
    before = code;
    while (i < n) {
        size_t step = text_decode(p + i, n - i, &code);
        if (code_is_space(code) != *blank) break;
        if (w->break_hyphens && before == '-' && code_is_letter(code) && code_is_letter(two_before))
            break;
        two_before = before;
        before = code;
        i += step;
    }
    return i;
}

static void wrap_break(struct wrap *w) {
    if (w->any) tpl_put(w->r, w->separator->data, w->separator->length);
    w->any = true;
    w->column = 0;
}

static void wrap_line(struct wrap *w, const struct str *line) {
    struct str rest = text_strip(*line, NULL, STRIP_RIGHT), blanks = {"", 0};
    bool started = false;
    while (rest.length > 0 && tpl_charge(w->r, 1)) {
        bool blank;
        struct str chunk = {rest.data, chunk_length(w, rest.data, rest.length, &blank)};
        rest = (struct str){rest.data + chunk.length, rest.length - chunk.length};
        if (blank) {
            blanks = chunk;
            if (!started) wrap_break(w), started = true;
            continue;
        }
        int64_t gap = (int64_t)text_count(&blanks), size = (int64_t)text_count(&chunk);
        bool fits = started && w->column + gap + size <= w->width;
        if (!fits && !(started && w->column == 0)) wrap_break(w), gap = 0;
        started = true;
        if (gap > 0) tpl_put(w->r, blanks.data, blanks.length);
        w->column += gap;
        blanks.length = 0;
        while (w->break_long && size > w->width && tpl_charge(w->r, 1)) {
            size_t n = text_offset(&chunk, (size_t)w->width);
            tpl_put(w->r, chunk.data, n);
            chunk = (struct str){chunk.data + n, chunk.length - n};
            size -= w->width;
            if (size > 0) wrap_break(w);
        }
        tpl_put(w->r, chunk.data, chunk.length);
        w->column += size;
    }
    if (!started) wrap_break(w);
}

FILTER(filter_wordwrap) {
    (void)args;
    const struct str *s = tpl_arg_text(r, v, NULL, "text to wrap");
    struct wrap w = {.r = r,
                     .width = tpl_arg_int(r, a[0], 79, "width"),
                     .break_long = tpl_arg_bool(a[1], true),
                     .separator = tpl_arg_text(r, a[2], "\n", "wrapstring"),
                     .break_hyphens = tpl_arg_bool(a[3], true)};
    if (r->failed) return v;
    if (w.width <= 0) return tpl_fail(r, "width must be greater than 0");
    struct list *lines = lines_of(r, tpl_string_of(s));
    size_t mark = tpl_capture(r);
    for (size_t i = 0; lines && i < lines->count && !r->failed; i++)
        wrap_line(&w, lines->items[i].as.string);
    return tpl_captured(r, mark);
}

/* ---- markup ---- */

static bool put_quoted_url(struct render *r, struct value v, bool query) {
    static const char hex[] = "0123456789ABCDEF";
    const struct str *s = tpl_str(r, v);
    for (size_t i = 0; i < s->length && !r->failed; i++) {
        unsigned char c = (unsigned char)s->data[i];
        bool plain = (c < 0x80 && code_is_word(c)) || c == '-' || c == '.' || c == '~' ||
                     (c == '/' && !query);
        if (plain)
            tpl_put_char(r, (char)c);
        else if (c == ' ' && query)
            tpl_put_char(r, '+');
        else
            tpl_put(r, (char[3]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
    return !r->failed;
}

FILTER(filter_urlencode) {
    (void)a, (void)args;
    struct value pairs = v, item;
    size_t mark = tpl_capture(r);
    if (v.kind == V_STRING || !tpl_iterable(v)) {
        put_quoted_url(r, v, false);
        return tpl_captured(r, mark);
    }
    if (v.kind == V_DICT) pairs = tpl_dict_view(r, v.as.dict, VIEW_ITEMS);
    struct iterator *it = tpl_iterate(r, pairs);
    for (bool first = true; it && tpl_next(r, it, &item); first = false) {
        struct list *pair = tpl_to_list(r, item);
        if (!pair || pair->count != 2) return tpl_fail(r, "urlencode needs pairs");
        if (!first) tpl_put_char(r, '&');
        put_quoted_url(r, pair->items[0], true);
        tpl_put_char(r, '=');
        put_quoted_url(r, pair->items[1], true);
    }
    return tpl_captured(r, mark);
}

FILTER(filter_xmlattr) {
    (void)args;
    bool first = !tpl_arg_bool(a[0], true);
    if (v.kind != V_DICT) return tpl_fail(r, "xmlattr needs a mapping");
    size_t mark = tpl_capture(r);
    for (size_t i = 0; i < v.as.dict->count && !r->failed; i++) {
        const struct dict_entry *e = &v.as.dict->entries[i];
        if (e->value.kind == V_NONE || e->value.kind == V_UNDEFINED) continue;
        const struct str *key = tpl_escape(r, e->key), *value = tpl_escape(r, e->value);
        for (size_t k = 0; k < key->length; k++)
            if (strchr(" \t\n\r\f\v/>=", key->data[k]))
                return tpl_fail(r, "invalid character in attribute name");
        if (!first) tpl_put_char(r, ' ');
        first = false;
        tpl_put(r, key->data, key->length);
        tpl_put_text(r, "=\"");
        tpl_put(r, value->data, value->length);
        tpl_put_char(r, '"');
    }
    return tpl_captured(r, mark);
}

/* The text without comments and tags. */
static struct value without_tags(struct render *r, const struct str *s) {
    size_t mark = tpl_capture(r), i = 0;
    const struct str open = {"<", 1}, close = {">", 1};
    const struct str comment = {"<!--", 4}, comment_end = {"-->", 3};
    while (i < s->length && tpl_charge(r, 1)) {
        size_t at = text_find(s, &open, i);
        if (at == SIZE_MAX) break;
        struct str rest = {s->data + at, s->length - at};
        bool is_comment = text_starts(&rest, &comment);
        size_t end = is_comment ? text_find(s, &comment_end, at) : text_find(s, &close, at);
        if (end == SIZE_MAX) break;
        tpl_put(r, s->data + i, at - i);
        i = end + (is_comment ? 3 : 1);
    }
    tpl_put(r, s->data + i, s->length - i);
    return tpl_captured(r, mark);
}

static void put_unescaped(struct render *r, const struct str *s) {
    static const struct {
        const char *entity, *text;
    } entities[] = {{"&amp;", "&"}, {"&lt;", "<"},   {"&gt;", ">"},   {"&quot;", "\""},
                    {"&#39;", "'"}, {"&#34;", "\""}, {"&apos;", "'"}, {"&nbsp;", "\xc2\xa0"}};
    for (size_t i = 0; i < s->length && !r->failed;) {
        struct str rest = {s->data + i, s->length - i};
        size_t k = 0;
        for (; k < sizeof entities / sizeof entities[0]; k++)
            if (text_starts(&rest, &(struct str){entities[k].entity, strlen(entities[k].entity)}))
                break;
        if (k == sizeof entities / sizeof entities[0]) {
            tpl_put_char(r, s->data[i++]);
            continue;
        }
        tpl_put_text(r, entities[k].text);
        i += strlen(entities[k].entity);
    }
}

FILTER(filter_striptags) {
    (void)a, (void)args;
    struct value plain = without_tags(r, tpl_str(r, v));
    struct value words = method(r, plain, "split", &(struct args){0});
    size_t mark = tpl_capture(r);
    for (size_t i = 0; !r->failed && i < words.as.list->count; i++) {
        if (i > 0) tpl_put_char(r, ' ');
        put_unescaped(r, words.as.list->items[i].as.string);
    }
    return tpl_captured(r, mark);
}

static const struct native filters[] = {
    {"trim", filter_trim, "chars", 0},
    {"string", filter_string, "", 0},
    {"upper", filter_upper, "", 0},
    {"lower", filter_lower, "", 0},
    {"capitalize", filter_capitalize, "", 0},
    {"title", filter_title, "", 0},
    {"replace", filter_replace, "old,new,count", 2},
    {"safe", filter_safe, "", 0},
    {"indent", filter_indent, "width,first,blank", 0},
    {"e", filter_escape, "", 0},
    {"escape", filter_escape, "", 0},
    {"forceescape", filter_escape, "", 0},
    {"format", filter_format, NULL, 0},
    {"center", filter_center, "width", 0},
    {"truncate", filter_truncate, "length,killwords,end,leeway", 0},
    {"wordcount", filter_wordcount, "", 0},
    {"wordwrap", filter_wordwrap, "width,break_long_words,wrapstring,break_on_hyphens", 0},
    {"urlencode", filter_urlencode, "", 0},
    {"xmlattr", filter_xmlattr, "autospace", 0},
    {"striptags", filter_striptags, "", 0},
};

const struct native *tpl_find_text_filter(const struct str *name) {
    return tpl_find(filters, sizeof filters / sizeof filters[0], name);
}
